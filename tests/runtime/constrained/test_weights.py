"""What a kept grammar is weighed with is what it takes: the machine by the allocator's account, the
objects around it by Python's."""

from __future__ import annotations

import ctypes
import gc
import json
import tracemalloc
from collections.abc import Iterator

import pytest

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.machine_grammar import MachineGrammar
from branchline.runtime.constrained.machine_library import machine_library
from branchline.runtime.constrained.machine_masks import Machine
from branchline.runtime.constrained.machine_tables import MachineTables
from branchline.runtime.constrained.workers import Workers
from branchline.runtime.protocol import JsonSchema
from branchline.runtime.tokenizer import Tokenizer

pytestmark = pytest.mark.skipif(machine_library() is None, reason="needs a C++ compiler")
MANY = 200


def schema(number: int, size: int) -> JsonSchema:
    """One that no other number has."""
    fields = {
        f"field_{number}_{index}": {"type": "string", "maxLength": 20 + index}
        if index % 2
        else {"enum": [number, f"v{number}"]}
        for index in range(size)
    }
    names = {"type": "object", "properties": fields, "required": list(fields)}
    return JsonSchema(json.dumps(names))


class Heap(ctypes.Structure):
    """What glibc's mallinfo2 returns."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "mapped", "usmblks", "fsmblks", "used")
    ] + [("free", ctypes.c_size_t), ("keepcost", ctypes.c_size_t)]


def heap_bytes() -> int:
    """What is allocated, and not by Python."""
    look = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if look is None:
        pytest.skip("needs glibc")
    look.restype = Heap
    heap = look()
    return int(heap.used + heap.mapped)


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> Iterator[GrammarCompiler]:
    """As in the engine: schemas are taken apart by another process, and leave nothing here."""
    workers = Workers(GrammarLimits())
    yield GrammarCompiler(tokenizer, tokenizer.vocab_size, workers=workers)
    workers.close()


TEXTS = {
    "words": ({"enum": [f"word{number}" for number in range(300)]}, [b'"word1', b'"word299"']),
    "counts": ({"type": "string", "maxLength": 400}, [b'"' + b"x" * 300, b'"' + "é".encode() * 90]),
    "apart": (
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        [b'["a","b","ab","ba","aba"', b'["' + b"ab" * 50],
    ),
    "any": ({}, [b'{"a":[1,{"b":[null,true,"' + b"text" * 20]),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("walked", [False, True])
def test_a_machine_takes_what_it_says(compiler: GrammarCompiler, name: str, walked: bool) -> None:
    grammar = compiler.compile(JsonSchema(json.dumps(TEXTS[name][0])))
    assert isinstance(grammar, MachineGrammar)
    tables: MachineTables = grammar.compiled._tables
    library = machine_library()

    def made() -> Machine:
        machine = Machine(library, tables, 0)
        for text in TEXTS[name][1] if walked else []:
            assert machine.walk(machine.start, text) is not None
        return machine

    _ = made()  # what all of them share
    gc.collect()
    machines: list[Machine | None] = [None] * MANY
    before = heap_bytes()
    for place in range(MANY):
        machines[place] = made()
    taken = heap_bytes() - before
    said = sum(machine.num_bytes for machine in machines if machine is not None)
    assert 0.95 <= taken / said <= 1.05, (taken, said)


@pytest.mark.parametrize("size", [1, 4, 40])
def test_the_objects_around_a_machine_take_what_is_said(
    compiler: GrammarCompiler, size: int
) -> None:
    for number in range(20):
        compiler.compile(schema(-1 - number, size))
    gc.collect()
    tracemalloc.start(1)
    before, kept_before = tracemalloc.get_traced_memory()[0], compiler.cached_bytes
    native = 0
    for number in range(MANY):
        grammar = compiler.compile(schema(number, size))
        assert isinstance(grammar, MachineGrammar)
        native += grammar.compiled.machine.num_bytes
    del grammar
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    said = compiler.cached_bytes - kept_before - native
    # Python's allocator rounds up to sixteen bytes.
    assert 0.85 <= taken / said <= 1.0, (taken / MANY, said / MANY)


def test_a_grammar_that_is_used_is_weighed_with_what_it_found(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(schema(10**6, 4))
    before = grammar.num_bytes
    matcher = grammar.matcher()
    assert matcher.forced().token_ids
    assert grammar.num_bytes > before
