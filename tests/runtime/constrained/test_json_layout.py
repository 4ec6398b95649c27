"""Layouts of JSON: every text of a laid-out language is a compact one laid out, and the other way
round."""

from __future__ import annotations

import itertools
import json
import random

import msgspec
import pytest

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import State, Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Constraint, JsonSchema

from .schemas import SCHEMAS

BYTES = Vocabulary([bytes([byte]) for byte in range(256)])
FIXED = {
    "spaced": {"separators": (", ", ": ")},
    "two spaces": {"indent": 2},
    "lines": {"indent": 0},
    "lines of its own kind": {"indent": 1, "separators": (" , ", " :")},
}


def walker_of(schema: object, **options: object) -> Walker:
    constraint = JsonSchema(json.dumps(schema), **options)
    return Walker(build_language(constraint, GrammarLimits()), BYTES)


def takes(walker: Walker, text: str) -> bool:
    state = walker.walk(walker.start, text.encode())
    return state is not None and state.accepting


def laid_out(text: str, **options: object) -> str:
    """The slow reference: what the standard library makes of a compact text's value."""
    # Numbers keep their spelling.
    numbers = itertools.count()
    spelled: dict[str, str] = {}

    def kept(number: str) -> str:
        name = f"\0{next(numbers)}\0"
        spelled[json.dumps(name)] = number
        return name

    value = json.loads(text, parse_int=kept, parse_float=kept, object_pairs_hook=_Members)
    found = json.dumps(value, ensure_ascii=False, **options)
    for name, number in spelled.items():
        found = found.replace(name, number)
    return found


class _Members(dict):
    """Members in their order; names may come twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self):
        return self._pairs


def drawn(walker: Walker, seed: int, most: int = 400) -> str:
    """A text of the language by chance, which hurries to its end after `most` bytes."""
    rng = random.Random(seed)
    state: State | None = walker.start
    text = bytearray()
    while state is not None and state.frames and not (state.accepting and rng.random() < 0.2):
        following = [(byte, walker.step(state, byte)) for byte in range(256)]
        options = [(byte, after) for byte, after in following if after is not None]
        if len(text) > most:
            least = min(after.cost for _, after in options)
            options = [(byte, after) for byte, after in options if after.cost == least]
        byte, state = rng.choice(options)
        text.append(byte)
    return text.decode()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_layout_is_what_json_dumps_writes(schema):
    options = FIXED["lines of its own kind"]
    compact, laid = walker_of(SCHEMAS[schema]), walker_of(SCHEMAS[schema], **options)
    assert takes(laid, laid_out(drawn(compact, 1, most=100), **options))
    text = drawn(laid, 2, most=100)
    squeezed = laid_out(text, separators=(",", ":"))
    assert takes(compact, squeezed)
    assert laid_out(squeezed, **options) == text


VALUES = [
    "[]",
    "{}",
    "[[]]",
    '{"a":{}}',
    '[{"a":[1,{}]},"{[,:",-1.5e3]',
    '"\\"[{,:\\\\"',
    "0",
    "null",
]


@pytest.mark.parametrize("text", VALUES)
@pytest.mark.parametrize("name", FIXED)
def test_values_of_every_shape_are_laid_out(name, text):
    laid = walker_of({}, **FIXED[name])
    right = laid_out(text, **FIXED[name])
    assert takes(laid, right)
    assert takes(laid, text) == (text == right)


def test_compact_is_what_nothing_asked_for_gives():
    schema = SCHEMAS["invoice"]
    constraint = JsonSchema(json.dumps(schema))
    limits = GrammarLimits()
    plain = build_language(constraint, limits)
    same = build_language(msgspec.structs.replace(constraint, separators=(",", ":")), limits)
    assert plain.rules.keys() == same.rules.keys()


def test_what_nests_without_end_is_indented_to_the_eighth_level():
    laid = walker_of({}, indent=1)
    assert takes(laid, laid_out("[" * 8 + "1" + "]" * 8, indent=1))
    inner = "\n" + " " * 8
    deep = laid_out("[" * 8 + '"x"' + "]" * 8, indent=1)
    assert takes(laid, deep.replace('"x"', f"[{inner}[{inner}1{inner}]{inner}]"))


def test_white_space_of_the_model_has_a_bound():
    free = walker_of({"type": "array", "items": {"type": "integer"}}, max_whitespace=3)
    for text in ("[]", "[1,2]", "[ 1, 2 ]", "[\n\t 1,\n  2\n]"):
        assert takes(free, text)
    for text in ("[ ]", "[    1]", "[1 ,2]", "[1,    2]", " [1]", "[1] "):
        assert not takes(free, text)


def test_members_may_stand_in_white_space():
    free = walker_of(SCHEMAS["declared and others"], max_whitespace=2)
    assert takes(free, '{\n\n"a": 1, "c":  true\n}')
    assert not takes(free, '{"a" : 1}')


@pytest.mark.parametrize("schema", ["invoice", "everything", "recursive"])
def test_drawn_texts_with_white_space_are_of_the_compact_language(schema):
    compact, free = walker_of(SCHEMAS[schema]), walker_of(SCHEMAS[schema], max_whitespace=4)
    squeezed = laid_out(drawn(free, 3, most=200), separators=(",", ":"))
    assert takes(compact, squeezed)


@pytest.mark.parametrize("options", [{"indent": 2}, {"separators": (", ", ": ")}])
def test_white_space_of_the_model_and_a_fixed_layout_contradict_each_other(options):
    with pytest.raises(RequestError, match="max_whitespace"):
        walker_of({}, max_whitespace=1, **options)


def test_a_layout_that_expands_too_far_is_refused():
    schema = json.dumps({"properties": {f"p{n}": {} for n in range(40)}})
    with pytest.raises(RequestError, match="leave out indent"):
        build_language(JsonSchema(schema, indent=2), GrammarLimits(max_nodes=300))


@pytest.mark.parametrize(
    "options",
    [
        {"separators": (";", ":")},
        {"separators": (",", "")},
        {"separators": (",\n", ":")},
        {"separators": (" " * 5 + ",", ":")},
        {"indent": 9},
        {"indent": -1},
        {"max_whitespace": 33},
    ],
)
def test_a_layout_beyond_what_is_allowed_does_not_decode(options):
    wrong = msgspec.msgpack.encode(JsonSchema("{}", **options))
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(wrong, type=Constraint)
