"""Masks of the machine: those of every token tried in the walker, whatever the budget, however
small the pieces and however little it may remember."""

from __future__ import annotations

import json

import numpy as np
import pytest

from branchline.runtime.constrained.allowance import Allowance
from branchline.runtime.constrained.compiler import GrammarCompiler, build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.machine_library import machine_library
from branchline.runtime.constrained.machine_masks import MachineMasks, MachineVocabulary
from branchline.runtime.constrained.machine_tables import MachineTables, machine_tables
from branchline.runtime.constrained.rows import Rows
from branchline.runtime.constrained.shaping import Shaped, alive
from branchline.runtime.constrained.vocabulary import INFINITE, Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, Constraint, Ebnf, JsonSchema, Regex

pytestmark = pytest.mark.skipif(machine_library() is None, reason="needs a C++ compiler")

STRING = {"type": "string"}
CONSTRAINTS: list[Constraint] = [
    Choices(["", "yes", "yesterday", "é", "è", "x" * 70 + "a", *(f"w{n}" for n in range(40))]),
    Regex(r"[^a\x00]{1,9}é?"),
    Regex(r"(?s:.)*"),
    Regex(r"[^<]*"),
    Regex(r"[ -~é]{2,5}x"),
    Regex(r"[ -~]{0,40}"),
    Regex(r"[^\"\\\n]{3,40}!"),
    Ebnf('root ::= "(" root ")" | "霍格" | ""'),
    JsonSchema('{"type":"object","properties":{"a":{"type":"integer"},"b":{"maxLength":40}}}'),
    JsonSchema(json.dumps({**STRING, "minLength": 3, "maxLength": 9})),
    JsonSchema(json.dumps({**STRING, "pattern": "^[a-z ]*$"})),
    JsonSchema("{}"),
]


def pair(compiler: GrammarCompiler, constraint: Constraint):
    """The grammar with the machine's masks, and with the walker's."""
    engine = compiler._engine
    graph = alive(build_language(constraint, GrammarLimits()), engine.vocabulary)[1]
    machine = engine.finish(Shaped(graph, (), machine=machine_tables(graph.root)))
    assert isinstance(machine.compiled, MachineMasks)
    return machine, engine.finish(Shaped(graph, ()))


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda one: str(one)[:40])
def test_masks_are_those_of_the_walker_on_every_step(constraint, compiler, tokenizer, allowed):
    rng = np.random.default_rng(11)
    machine, walker = pair(compiler, constraint)
    for extra in (0, 2, 12, 60):
        ours, theirs = machine.matcher(), walker.matcher()
        remaining = machine.min_tokens + extra
        for used in range(min(remaining, 12)):
            assert allowed(ours) == allowed(theirs)
            mine = allowed(ours, remaining - used)
            assert mine == allowed(theirs, remaining - used)
            choices = sorted(mine - set(tokenizer.eos_ids))
            if not choices:
                break
            token = int(rng.choice(choices))
            assert ours.accept(token)
            assert theirs.accept(token)
            assert ours.finished == theirs.finished
            assert ours.min_tokens_to_accept == theirs.min_tokens_to_accept
            assert ours.forced(remaining - used - 1, 1) == theirs.forced(remaining - used - 1, 1)


def test_a_mask_found_in_pieces_is_the_same(compiler):
    num_asked = 0
    for constraint in CONSTRAINTS:
        whole, pieces = np.zeros((2, compiler._engine.row_size), np.int32)
        pair(compiler, constraint)[0].matcher().fill_mask(whole, 7)
        matcher = pair(compiler, constraint)[0].matcher()
        while not matcher.try_mask(pieces, 7, Allowance(1)):
            num_asked += 1
        assert (whole == pieces).all()
    assert num_asked > 2 * len(CONSTRAINTS)


def test_what_it_forgets_it_finds_again(compiler, tokenizer, allowed):
    """A machine that may remember next to nothing, beside one that may."""
    schema = JsonSchema(json.dumps({"type": "array", "items": {**STRING, "maxLength": 9}}))
    keeps, forgets = (pair(compiler, schema)[0] for _ in "ab")
    forgets.compiled._most_bytes = 0
    ours, theirs = forgets.matcher(), keeps.matcher()
    ids = tokenizer.encode_text('["name","é霍","x"]')
    for place, token in enumerate(ids):
        forgets.compiled._most_bytes = 0
        assert allowed(ours) == allowed(theirs)
        copy = ours.fork()
        assert ours.accept(token)
        assert theirs.accept(token)
        assert allowed(copy) != allowed(ours) or place == 0
    assert forgets.compiled.generation > len(ids) // 3
    ours.rollback(3)
    theirs.rollback(3)
    assert allowed(ours) == allowed(theirs)


def test_to_find_states_again_is_a_part_of_what_a_mask_works(compiler, tokenizer):
    """Not of the token's that comes before it, and no more at once than is allowed and a token."""
    grammar = pair(compiler, JsonSchema(json.dumps({**STRING, "maxLength": 5_000})))[0]
    matcher, row = grammar.matcher(), np.zeros((2, compiler._engine.row_size), np.int32)
    ids = tokenizer.encode_text('"' + "xyz0" * 300)
    for token in ids[:-1]:
        assert matcher.accept(token)
    known = grammar.compiled.machine
    grammar.compiled._most_bytes = 0
    assert matcher.accept(ids[-1])
    matcher.fill_mask(row[0])
    assert grammar.compiled.machine is known
    num_pieces = 0
    done = False
    while not done:
        allowance = Allowance(20)
        done = matcher.try_mask(row[1], None, allowance)
        assert allowance.left > -300
        num_pieces += 1
        assert grammar.compiled.machine is not known
    assert num_pieces > 10
    assert (row[0] == row[1]).all()
    assert matcher.try_mask(row[1], None, Allowance(1))  # what a text needs is kept


def test_an_end_is_taken_once_and_taken_back(compiler, takes_its_end_once):
    takes_its_end_once(pair(compiler, Choices(["a", "ab"]))[0].matcher())


def masks_over_bytes(grammar: str) -> MachineMasks:
    vocabulary = Vocabulary([bytes([byte]) for byte in range(256)])
    language = build_language(Ebnf(grammar), GrammarLimits())
    tables = machine_tables(alive(language, vocabulary)[1].root)
    machine = MachineVocabulary(machine_library(), vocabulary)
    return MachineMasks(machine, tables, (), Rows(1_000))


def test_what_can_be_read_in_too_many_ways_ends_its_request_alone(monkeypatch):
    """Of each "a" there are three hundred readings, and no two go on alike."""
    monkeypatch.setattr("branchline.runtime.constrained.machine_masks._MAX_FRAMES", 200)
    ways = " | ".join(f'"a" [{chr(0x100 + way)}a]' for way in range(300))
    masks = masks_over_bytes(f'root ::= "x" | "a" ({ways})')
    machine = masks.machine
    with pytest.raises(RequestError, match="less ambiguous"):
        machine.walk(machine.start, b"a")
    assert masks.handle().accept_token(ord("x"))


def test_ways_that_go_on_alike_are_read_once(monkeypatch):
    """Two ways for each "a", a trillion together; as the walker, whose states are as many."""
    monkeypatch.setattr("branchline.runtime.constrained.machine_masks._MAX_FRAMES", 200)
    masks = masks_over_bytes('root ::= "a" root "b" | "a" root "c" | "x"')
    machine = masks.machine
    state = machine.walk(machine.start, b"a" * 40 + b"x" + b"bc" * 19)
    assert state > 0
    assert not machine.is_accepting(state)
    assert machine.is_accepting(machine.walk(state, b"cb"))
    assert machine.walk(state, b"cbb") is None


def test_no_token_that_leaves_a_text_unspellable_is_allowed():
    """Of "é" there is only the first byte, and "ab" cannot be followed by its "c"."""
    vocabulary = Vocabulary([b"a", b"\xc3", b"ab", b"ax", b"x"])
    language = build_language(Choices(["é", "abc", "ax"]), GrammarLimits())
    graph = alive(language, vocabulary)[1]
    library = machine_library()
    masks = MachineMasks(
        MachineVocabulary(library, vocabulary), machine_tables(graph.root), (), Rows(1_000)
    )
    row = np.zeros((1, 1), np.int32)
    masks.handle().fill_next_token_bitmask(row)
    walker = Walker.over(graph)
    for index, data in enumerate(vocabulary.token_bytes):
        after = walker.walk(walker.start, data)
        fits = after is not None and after.cost < INFINITE
        assert bool(row[0, 0] >> index & 1) is fits


def test_tables_cross_processes_as_they_are(compiler):
    graph = alive(build_language(CONSTRAINTS[0], GrammarLimits()), compiler._engine.vocabulary)[1]
    tables = machine_tables(graph.root)
    assert MachineTables.decoded(tables.encoded()).encoded() == tables.encoded()
