"""Many masks against every token tried, and many random outputs under random budgets. A small share
runs with every change; the whole is for the night (figures in docs/grammars.md).

BRANCHLINE_MASK_BITS and BRANCHLINE_GENERATIONS set how much the night does, BRANCHLINE_SCHEMAS
which schemas it generates for besides those of the tests.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from jsonschema.validators import validator_for
from msgspec.structs import replace

from branchline.runtime.constrained.base import Grammar
from branchline.runtime.constrained.compiler import GrammarCompiler, build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.shaping import Shaped, alive
from branchline.runtime.constrained.vocabulary import INFINITE, Vocabulary
from branchline.runtime.constrained.walker import State, Walker
from branchline.runtime.constrained.workers import Workers
from branchline.runtime.errors import RequestError
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
LAID_OUT = ["invoice", "recursive", "anything", "keywords beside enum", "unique values"]
LAYOUTS: list[dict[str, object]] = [
    {"separators": (", ", ": ")},
    {"indent": 2},
    {"max_whitespace": 2},
]
CONSTRAINTS: list[Constraint] = [
    *(JsonSchema(json.dumps(schema)) for schema in SCHEMAS.values()),
    *(JsonSchema(json.dumps(SCHEMAS[name]), **how) for name in LAID_OUT for how in LAYOUTS),
    JsonSchema(json.dumps(SCHEMAS["invoice"]), any_order=True),
    *(Regex(pattern) for pattern in PATTERNS),
    Choices(["yes", "yesterday", "no", "é", "è", "the quick brown fox", "the quick brown dog"]),
    Ebnf('root ::= sum\nsum ::= sum "+" atom | atom\natom ::= [0-9]+ | "(" sum ")"'),
    Regex("[a-z]{1,100000}"),
    Regex("[ab]*a[ab]{20}"),
    Islands([Island("<n>", Regex("[0-9]+"), "</n>"), Island("<w>", Choices(["x", "xy"]))]),
]


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    """The embedded model's tokenizer: a real vocabulary."""
    return Tokenizer.load(resolve_model("embedded"))


class Steps:
    """Where bytes lead from the states of one walker, as far as it was asked. State 0 is none."""

    MOST = 3_000

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._forget()

    def _forget(self) -> None:
        self._states: list[State | None] = [None]
        self._places: dict[int, int] = {}
        self._next = np.full((64, 256), -1, np.int32)
        self._next[0] = 0
        self.costs = np.full(64, INFINITE, np.int32)

    def place(self, state: State | None) -> int:
        if state is None:
            return 0
        place = self._places.setdefault(id(state), len(self._states))
        if place == len(self._states):
            self._states.append(state)
            if place == len(self._next):
                self._next = np.vstack([self._next, np.full_like(self._next, -1)])
                self.costs = np.append(self.costs, np.full_like(self.costs, INFINITE))
            self.costs[place] = state.cost
        return place

    def start(self, state: State) -> np.ndarray:
        if len(self._states) > self.MOST:
            self._forget()
        return np.array([self.place(state)], np.int32)

    def after(self, places: np.ndarray, data: np.ndarray) -> np.ndarray:
        found = self._next[places, data]
        for pair in np.unique(places[found < 0].astype(np.int64) << 8 | data[found < 0]).tolist():
            state = self._states[pair >> 8]
            assert state is not None
            place = self.place(self._walker.step(state, pair & 255))
            self._next[pair >> 8, pair & 255] = place
        return self._next[places, data]


class Oracle:
    """Every token tried by the walker, all at once, byte by byte: what begins alike takes a step
    once, and so does what has come to the same state."""

    def __init__(self, table: list[bytes]) -> None:
        self._size = len(table)
        self._levels: list[tuple[np.ndarray, ...]] = []
        # By depth: of each beginning of so many bytes the one that it goes on from, its last byte,
        # and the tokens that end there.
        before = {b"": 0}
        for depth in range(1, max(map(len, table)) + 1):
            longer = [
                (data[:depth], token) for token, data in enumerate(table) if len(data) >= depth
            ]
            here = {data: place for place, data in enumerate(dict(longer))}
            parents = [before[data[:-1]] for data in here]
            ends = [(here[data], token) for data, token in longer if len(table[token]) == depth]
            columns = (parents, [data[-1] for data in here], *zip(*ends, strict=True))
            self._levels.append(tuple(np.array(column) for column in columns))
            before = here
        self._steps: dict[int, Steps] = {}
        self.num_states = 0

    def costs(self, walker: Walker, state: State) -> np.ndarray:
        """int32 [vocab]: least tokens to finish after each token, INFINITE for forbidden ones."""
        self.num_states += 1
        steps = self._steps.setdefault(id(walker), Steps(walker))
        costs = np.full(self._size, INFINITE, np.int32)
        places = steps.start(state)
        for parents, last, *ends in self._levels:
            places = steps.after(places[parents], last)
            if ends:
                costs[ends[1]] = steps.costs[places[ends[0]]]
        return costs


def engines_of(compiler: GrammarCompiler, constraint: Constraint) -> Iterator[Grammar]:
    """The grammar with the masks of each engine that takes it."""
    yield compiler.compile(constraint)
    if not isinstance(constraint, Islands):
        with contextlib.suppress(RequestError):
            yield compiler.compile(replace(constraint, backend="xgrammar"))
        engine = compiler._engine
        language = build_language(constraint, GrammarLimits())
        yield engine.finish(Shaped(alive(language, engine.vocabulary)[1], ()))


def walker_of(compiler: GrammarCompiler, constraint: Constraint) -> tuple[Vocabulary, Walker]:
    """The reference, over the vocabulary that the constraint's grammars have."""
    engine, mark = compiler._engine, str
    if isinstance(constraint, Islands):
        engine = compiler._engine_of_tags()
        mark = engine.controls.marked
    language = build_language(constraint, GrammarLimits(), mark)
    return engine.vocabulary, Walker(language, engine.vocabulary)


def check_masks(
    words: Tokenizer, num_bits: int, seed: int, constraints: list[Constraint] = CONSTRAINTS
) -> str:
    """Walk randomly through the constraints until so many bits were compared: at each place the
    machine's mask without a budget and with several that are hardly enough, and at every sixth the
    other engines'."""
    compiler = GrammarCompiler(words, words.vocab_size)
    rng = np.random.default_rng(seed)
    row = np.zeros(-(-words.vocab_size // 32), dtype=np.int32)
    every = [
        (one, list(engines_of(compiler, one)), *walker_of(compiler, one)) for one in constraints
    ]
    kinds = Counter(type(grammar.compiled).__name__ for _, some, *_ in every for grammar in some)
    assert len(kinds) == 3, kinds  # the machine, xgrammar, the walker
    ends = list(words.eos_ids)
    oracles: dict[int, Oracle] = {}  # text, and text with tags
    compared = 0
    while compared < num_bits:
        constraint, grammars, vocabulary, walker = every[int(rng.integers(len(every)))]
        if id(vocabulary) not in oracles:
            oracles[id(vocabulary)] = Oracle(vocabulary.token_bytes)
        matchers, state = [grammar.matcher() for grammar in grammars], walker.start
        for _ in range(20):
            costs = oracles[id(vocabulary)].costs(walker, state)
            least = max(state.cost, 1)
            known = matchers[0]._handle
            assert known.machine.forced(known.state) == walker.forced(state), constraint
            assert matchers[0].min_tokens_to_accept == state.cost
            budgets = [None, *{least + int(more) - 1 for more in rng.geometric(0.2, 5)}]
            for place, matcher in enumerate(matchers):
                if place and rng.integers(6):
                    continue
                for remaining in budgets if place == 0 else rng.choice(budgets, 1).tolist():
                    expected = costs < INFINITE if remaining is None else costs < remaining
                    expected[ends] = state.accepting
                    matcher.fill_mask(row, remaining)
                    bits = np.unpackbits(row.view(np.uint8), bitorder="little")[: len(costs)]
                    wrong = np.flatnonzero(bits != expected)
                    engine = type(grammars[place].compiled).__name__
                    assert not wrong.size, (constraint, engine, remaining, wrong[:5])
                    compared += len(costs)
            choices = np.flatnonzero(costs < INFINITE)
            if not choices.size:
                break
            token = int(rng.choice(choices))
            for matcher in matchers:
                assert matcher.accept(token)
            state = walker.walk(state, vocabulary.token_bytes[token])
    num_states = sum(oracle.num_states for oracle in oracles.values())
    return f"{compared} bits, {num_states} times every token of a state tried, 0 wrong, {kinds}"


def validates(schema: object, text: str) -> bool:
    value = json.loads(text)
    if isinstance(schema, dict) and isinstance(schema.get("exclusiveMinimum"), bool):
        kind = jsonschema.Draft4Validator
    else:
        kind = validator_for(schema, jsonschema.Draft202012Validator)
    return kind(schema, format_checker=kind.FORMAT_CHECKER).is_valid(value)


def shipped_schemas() -> Iterator[object]:
    """Those of the tests, and of the data that BRANCHLINE_SCHEMAS names: files of one object per
    line, folders of such objects, with a `schema` each."""
    yield from SCHEMAS.values()
    for name in filter(None, os.environ.get("BRANCHLINE_SCHEMAS", "").split(os.pathsep)):
        path = Path(name)
        lines = path.read_text().splitlines() if path.is_file() else []
        for text in [*lines, *(file.read_text() for file in sorted(path.glob("*.json")))]:
            yield json.loads(text)["schema"]


def outputs(generate, compiler, count: int) -> Iterator[tuple[object, str]]:
    """Of each schema that is not refused in turn."""
    rng = np.random.default_rng(count)
    grammars = []
    for schema in shipped_schemas():
        with contextlib.suppress(RequestError):
            grammars.append((schema, compiler.compile(JsonSchema(json.dumps(schema)))))
    print(f"{len(grammars)} schemas")
    for number in range(count):
        schema, grammar = grammars[number % len(grammars)]
        budget = grammar.min_tokens + int(rng.geometric(0.06)) - 1
        yield schema, generate(grammar, budget, int(rng.integers(2**31)))


def test_masks_are_right_bit_by_bit(words):
    some = [*CONSTRAINTS[::2], CONSTRAINTS[-1]]
    assert "0 wrong" in check_masks(words, 10**8, 1, some)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_a_thousand_million_bits_of_masks_are_right(words):
    wanted = int(os.environ.get("BRANCHLINE_MASK_BITS", 10**9))
    print(check_masks(words, wanted, 2))


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_ten_thousand_outputs_at_random_within_random_budgets_are_whole_and_valid(
    generate, tokenizer
):
    count = int(os.environ.get("BRANCHLINE_GENERATIONS", 10_000))
    limits = GrammarLimits(cache_bytes=2**33)
    workers = Workers(limits)
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size + 40, limits, workers=workers)
    wrong = []
    for number, (schema, text) in enumerate(outputs(generate, compiler, count)):
        if number % 500 == 0:
            print(f"{number} outputs, {len(wrong)} invalid or cut", flush=True)
        try:
            right = validates(schema, text)
        except ValueError:
            right = False  # cut
        if not right:
            wrong.append((json.dumps(schema)[:2_000], text))
            print(*wrong[-1], sep="\n")
    print(f"{count} outputs, {len(wrong)} invalid or cut")
    workers.close()
    assert wrong == []


def test_islands_at_random_are_whole(generate, compiler):
    grammar = compiler.compile(CONSTRAINTS[-1])
    for seed in range(20):
        text = generate(grammar, grammar.min_tokens + seed, seed)
        assert re.fullmatch(r"(?:(?!<[nw]>).|<n>[0-9]+</n>|<w>xy?)*", text, re.DOTALL)
