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
from collections import Counter, OrderedDict
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
from branchline.runtime.constrained.vocabulary import INFINITE
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


class Oracle:
    """Every token tried by the walker, sharing the steps of common beginnings."""

    MOST_KEPT = 1_500

    def __init__(self, table: list[bytes]) -> None:
        self._root: dict = {}
        for index, data in enumerate(table):
            node = self._root
            for byte in data:
                node = node.setdefault(byte, {})
            if data:
                node.setdefault(-1, []).append(index)
        self._size = len(table)
        # With the state, whose id would be given to another one once it is gone.
        self._kept: OrderedDict[int, tuple[State, np.ndarray]] = OrderedDict()
        self.num_states = 0

    def costs(self, walker: Walker, state: State) -> np.ndarray:
        """int32 [vocab]: least tokens to finish after each token, INFINITE for forbidden ones."""
        if id(state) not in self._kept:
            self._kept[id(state)] = (state, self._tried(walker, state))
            self.num_states += 1
            if len(self._kept) > self.MOST_KEPT:
                self._kept.popitem(last=False)
        return self._kept[id(state)][1]

    def _tried(self, walker: Walker, state: State) -> np.ndarray:
        costs = np.full(self._size, INFINITE, np.int32)
        pending = [(self._root, state)]
        while pending:
            node, here = pending.pop()
            for byte, below in node.items():
                if byte == -1:
                    costs[below] = here.cost
                elif (following := walker.step(here, byte)) is not None:
                    pending.append((below, following))
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


def check_masks(
    words: Tokenizer, num_bits: int, seed: int, constraints: list[Constraint] = CONSTRAINTS
) -> str:
    """Walk randomly through the constraints until so many bits were compared, with budgets that
    are hardly enough at every second step."""
    compiler = GrammarCompiler(words, words.vocab_size)
    rng = np.random.default_rng(seed)
    row = np.zeros(-(-words.vocab_size // 32), dtype=np.int32)
    every = [(one, grammar) for one in constraints for grammar in engines_of(compiler, one)]
    kinds = Counter(type(grammar.compiled).__name__ for _, grammar in every)
    assert len(kinds) == 3, kinds  # the machine, xgrammar, the walker
    ends = list(words.eos_ids)
    oracle = Oracle(every[0][1].engine.vocabulary.token_bytes)
    tagged = Oracle(every[-1][1].engine.vocabulary.token_bytes)
    compared = 0
    while compared < num_bits:
        constraint, grammar = every[int(rng.integers(len(every)))]
        trier = tagged if isinstance(constraint, Islands) else oracle
        matcher, state = grammar.matcher(), grammar.walker.start
        for _ in range(20):
            costs = trier.costs(grammar.walker, state)
            remaining = None
            if rng.integers(2):
                remaining = max(state.cost, 1) + int(rng.geometric(0.2)) - 1
            expected = costs < INFINITE if remaining is None else costs < remaining
            expected[ends] = state.accepting
            matcher.fill_mask(row, remaining)
            bits = np.unpackbits(row.view(np.uint8), bitorder="little", count=words.vocab_size)
            wrong = np.flatnonzero(bits != expected)
            assert not wrong.size, (constraint, grammar.compiled, remaining, wrong[:5])
            compared += words.vocab_size
            choices = np.flatnonzero(costs < INFINITE)
            if not choices.size:
                break
            token = int(rng.choice(choices))
            assert matcher.accept(token)
            state = grammar.walker.walk(state, grammar.engine.vocabulary.token_bytes[token])
    num_states = oracle.num_states + tagged.num_states
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
    some = [*CONSTRAINTS[::6], CONSTRAINTS[-1]]
    assert "0 wrong" in check_masks(words, 400_000, 1, some)


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
