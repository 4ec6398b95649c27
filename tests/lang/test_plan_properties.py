"""Random programs, compiled and interpreted: the same results, whatever they are made of."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import CHATML, Scripted
from scripted_plans import ScriptedPlans, seen

import branchline as bl

TEXT = st.text("ab<|user|>é\n", max_size=5)
NAMES = st.sampled_from(["x", "y", "z"])
LEAF = st.one_of(
    st.tuples(st.just("text"), TEXT),
    st.tuples(st.just("argument")),
    st.tuples(st.just("gen"), NAMES, st.integers(0, 9), st.sampled_from([None, "e"])),
    st.tuples(st.just("select"), NAMES, st.lists(TEXT.filter(bool), min_size=1, max_size=3)),
    st.tuples(st.just("thinking"), NAMES),
)
LEAVES = st.lists(LEAF, max_size=3)
ROLES = st.sampled_from(list(CHATML))
OPS = st.lists(
    st.recursive(
        LEAF | st.tuples(st.just("read"), NAMES),
        lambda ops: st.one_of(
            st.tuples(st.just("scope"), NAMES, LEAVES),
            st.tuples(st.just("fork"), st.integers(1, 3), st.lists(ops, max_size=3)),
            st.tuples(st.just("concat"), st.integers(1, 3), LEAVES),
            st.tuples(st.just("copy"), st.lists(ops, max_size=3)),
        ),
        max_leaves=6,
    )
    | st.tuples(st.just("role"), ROLES, LEAVES)
    | st.tuples(st.just("turn"), ROLES, TEXT),
    max_size=5,
)


def texts_of(value: Any) -> list[Any]:
    """A variable's texts: a join makes lists, and lists of lists."""
    return [text for one in value for text in texts_of(one)] if type(value) is list else [value]


def perform(s: bl.ProgramState, ops: list[Any], word: str) -> None:
    for kind, *rest in ops:
        if kind == "text":
            s += rest[0]
        elif kind == "argument":
            s += word
        elif kind == "gen":
            s += bl.gen(rest[0], max_tokens=rest[1], stop=rest[2])
        elif kind == "thinking":
            s += bl.separate_reasoning(bl.gen(rest[0], max_tokens=4), model_type="qwen3")
        elif kind == "select":
            s += bl.select(rest[0], rest[1])
        elif kind == "read":
            with contextlib.suppress(KeyError):
                for text in texts_of(s[rest[0]]):
                    s += text
        elif kind == "copy":
            with s.copy() as other:
                perform(other, rest[0], word)
        elif kind == "turn":
            s += getattr(s, rest[0])(rest[1] + word)
        elif kind == "role":
            with getattr(s, rest[0])():
                perform(s, rest[1], word)
        elif kind == "scope":
            with s.var_scope(rest[0]):
                perform(s, rest[1], word)
        else:
            group = s.fork(rest[0])
            for index, child in enumerate(group):
                child += f"{index}"
                perform(child, rest[1], word)
            group.join("gather_variable" if kind == "fork" else "concate_and_append")


@settings(max_examples=80, deadline=None)
@given(OPS, st.lists(TEXT, min_size=1, max_size=3))
def test_a_random_program_reads_the_same_compiled_and_interpreted(
    ops: list[Any], words: list[str]
) -> None:
    def body(s: bl.ProgramState, word: str) -> list[str]:
        perform(s, ops, word)
        return [word, "<" + word]

    program = bl.function(body)
    items = [{"word": word} for word in words]
    interpreted = [
        seen(state) for state in program.run_batch(items, backend=Scripted(), compiled=False)
    ]
    batch = program.run_batch(items, backend=ScriptedPlans())
    assert [seen(state) for state in batch] == interpreted
    compiled = program.compile()
    assert compiled.reason is None
    replayed = compiled.run_batch(items, backend=ScriptedPlans())
    assert [seen(state) for state in replayed] == interpreted
