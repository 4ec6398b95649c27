"""Many masks against every token tried, and many random outputs under random budgets. A small share
runs with every change; the whole is for the night (figures in docs/grammars.md).

BRANCHLINE_MASK_BITS and BRANCHLINE_GENERATIONS set how much the night does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.constrained.walker import State, Walker
from branchline.runtime.models.resolve import resolve_model
from branchline.runtime.protocol import (
    Choices,
    Constraint,
    Ebnf,
    Island,
    Islands,
    JsonSchema,
    Regex,
)
from branchline.runtime.tokenizer import Tokenizer

_spec = importlib.util.spec_from_file_location(
    "campaign_schemas", Path(__file__).with_name("schemas.py")
)
_module = sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
SCHEMAS = _module.SCHEMAS

PATTERNS = [
    r"(a|ab|abc)",
    r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?",
    r"[A-Z][a-z]+( [A-Z][a-z]+){0,3}",
    r"[^\n]{1,40}\n",
    r"\w+@\w+\.(com|org)",
    r"(yes|yesterday|é|霍格沃茨|è)+",
]
CONSTRAINTS: list[Constraint] = [
    *(JsonSchema(json.dumps(schema)) for schema in SCHEMAS.values()),
    *(Regex(pattern) for pattern in PATTERNS),
    Choices(["yes", "yesterday", "no", "é", "è", "the quick brown fox", "the quick brown dog"]),
    Ebnf('root ::= sum\nsum ::= sum "+" atom | atom\natom ::= [0-9]+ | "(" sum ")"'),
    Islands([Island("<n>", Regex("[0-9]+"), "</n>"), Island("<w>", Choices(["x", "xy"]))]),
]


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    """The embedded model's tokenizer: a real vocabulary."""
    return Tokenizer.load(resolve_model("embedded"))


class Oracle:
    """Every token tried by the walker, sharing the steps of common beginnings."""

    def __init__(self, table: list[bytes]) -> None:
        self._root: dict = {}
        for index, data in enumerate(table):
            node = self._root
            for byte in data:
                node = node.setdefault(byte, {})
            if data:
                node.setdefault(-1, []).append(index)

    def allowed(self, walker: Walker, state: State) -> set[int]:
        found: set[int] = set()
        pending = [(self._root, state)]
        while pending:
            node, here = pending.pop()
            for byte, below in node.items():
                if byte == -1:
                    found.update(below)
                elif (following := walker.step(here, byte)) is not None:
                    pending.append((below, following))
        return found


def check_masks(words: Tokenizer, num_bits: int, seed: int) -> int:
    """Walk randomly through the constraints until so many bits were compared."""
    compiler = GrammarCompiler(words, words.vocab_size)
    rng = np.random.default_rng(seed)
    row = np.zeros(-(-words.vocab_size // 32), dtype=np.int32)
    grammars = [compiler.compile(constraint) for constraint in CONSTRAINTS]
    oracle = Oracle(grammars[0].engine.vocabulary.token_bytes)
    tagged = Oracle(grammars[-1].engine.vocabulary.token_bytes)
    compared = 0
    while compared < num_bits:
        place = int(rng.integers(len(grammars)))
        grammar = grammars[place]
        trier = tagged if isinstance(CONSTRAINTS[place], Islands) else oracle
        matcher, state = grammar.matcher(), grammar.walker.start
        for _ in range(20):
            expected = trier.allowed(grammar.walker, state)
            if state.accepting:
                expected |= set(words.eos_ids)
            matcher.fill_mask(row)
            bits = np.unpackbits(row.view(np.uint8), bitorder="little")
            wrong = set(np.flatnonzero(bits).tolist()) ^ expected
            assert not wrong, (CONSTRAINTS[place], matcher, sorted(wrong)[:5])
            compared += words.vocab_size
            choices = sorted(expected - set(words.eos_ids))
            if not choices:
                break
            token = int(rng.choice(choices))
            assert matcher.accept(token)
            state = grammar.walker.walk(state, grammar.engine.vocabulary.token_bytes[token])
    return compared


def validates(schema: object, text: str) -> bool:
    value = json.loads(text)
    if isinstance(schema, dict) and isinstance(schema.get("exclusiveMinimum"), bool):
        kind = jsonschema.Draft4Validator
    else:
        kind = jsonschema.Draft202012Validator
    return kind(schema, format_checker=kind.FORMAT_CHECKER).is_valid(value)


def outputs(generate, compiler, count: int) -> Iterator[tuple[object, str]]:
    rng = np.random.default_rng(count)
    grammars = [
        (schema, compiler.compile(JsonSchema(json.dumps(schema)))) for schema in SCHEMAS.values()
    ]
    for number in range(count):
        schema, grammar = grammars[number % len(grammars)]
        budget = grammar.min_tokens + int(rng.geometric(0.06)) - 1
        yield schema, generate(grammar, budget, int(rng.integers(2**31)))


def test_masks_are_right_bit_by_bit(words):
    assert check_masks(words, 400_000, 1) >= 400_000


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_a_thousand_million_bits_of_masks_are_right(words):
    wanted = int(os.environ.get("BRANCHLINE_MASK_BITS", 10**9))
    print(f"{check_masks(words, wanted, 2)} bits, 0 wrong")


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_ten_thousand_outputs_at_random_within_random_budgets_are_whole_and_valid(
    generate, compiler
):
    count = int(os.environ.get("BRANCHLINE_GENERATIONS", 10_000))
    for schema, text in outputs(generate, compiler, count):
        assert validates(schema, text), (schema, text)
    print(f"{count} outputs, 0 invalid, 0 cut")


def test_islands_at_random_are_whole(generate, compiler):
    grammar = compiler.compile(CONSTRAINTS[-1])
    for seed in range(20):
        text = generate(grammar, grammar.min_tokens + seed, seed)
        assert re.fullmatch(r"(?:(?!<[nw]>).|<n>[0-9]+</n>|<w>xy?)*", text, re.DOTALL)
