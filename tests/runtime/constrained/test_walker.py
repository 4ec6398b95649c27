"""Where the walker answers from what it kept, against going down to the bytes each time."""

from __future__ import annotations

import random

import pytest

from branchline.runtime.constrained import walker as module
from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Frame, State, Walker
from branchline.runtime.protocol import Constraint, Ebnf, JsonSchema, Regex

BYTES = Vocabulary([b"", *(bytes([byte]) for byte in range(256))])
CONSTRAINTS: list[Constraint] = [
    JsonSchema('{"type":"object","properties":{"name":{"type":"string","maxLength":9}}}'),
    JsonSchema('{"type":"array","uniqueItems":true,"maxItems":4,"items":{"type":"integer"}}'),
    Regex(r"(a{0,9}b?){0,5}(é|c){1,4}"),
    Regex("|".join(f"word{i}" for i in range(40))),
    Ebnf('root ::= "(" root ")" | [a-c]{0,6} "." | root "+" root'),
]


class Forgetful(Walker):
    """Keeps nothing: the slow reference."""

    def step(self, state: State, byte: int) -> State | None:
        state._next.clear()
        return super().step(state, byte)

    def _close(self, arrived: list[Frame | None]) -> State:
        self._closed.clear()
        return super()._close(arrived)


def told(state: State | None) -> object:
    """What a state means, without which objects it is made of."""
    if state is None:
        return None
    frames = [(f.node.kind, f.node.data, f.low, f.high, f.cost, f.slack) for f in state.frames]
    return state.accepting, state.cost, state.slack, sorted(map(repr, frames))


@pytest.mark.parametrize("most_kept", [50_000, 40])
@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda one: type(one).__name__)
def test_states_are_those_of_a_walker_that_keeps_nothing(constraint, most_kept, monkeypatch):
    language = build_language(constraint, GrammarLimits())
    slow = Forgetful(language, BYTES)
    monkeypatch.setattr(module, "_MAX_KEPT", most_kept)
    fast = Walker(language, BYTES)
    rng = random.Random(5)
    for _ in range(12):
        ours, theirs = fast.start, slow.start
        for _ in range(20):
            for byte in rng.sample(range(256), 8):
                assert told(fast.step(ours, byte)) == told(slow.step(theirs, byte))
            open_ = [byte for byte in range(256) if fast.step(ours, byte) is not None]
            if not open_:
                break
            byte = rng.choice(open_)
            ours, theirs = fast.step(ours, byte), slow.step(theirs, byte)
            assert told(ours) == told(theirs)


def test_bytes_that_lead_to_the_same_place_lead_to_one_state():
    """Without going down to the bytes for each of them."""
    walker = Walker(build_language(Regex("[a-z]{9}"), GrammarLimits()), BYTES)
    opened: list[list[Frame | None]] = []
    walker._opened = lambda arrived: opened.append(arrived) or Walker._opened(walker, arrived)  # type: ignore[method-assign,func-returns-value]
    assert len({id(walker.step(walker.start, byte)) for byte in b"abcxyz"}) == 1
    assert len(opened) == 1
