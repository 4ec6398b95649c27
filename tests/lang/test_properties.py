"""Random programs against a naive reference that runs them one op after the other."""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import CHATML, Scripted, default_reply, logprob_of

import branchline as bl

TEXT = st.text("ab<|user|>é\n", max_size=5)
NAMES = st.sampled_from(["x", "y", "z"])
LEAF = st.one_of(
    st.tuples(st.just("text"), TEXT),
    st.tuples(st.just("gen"), NAMES, st.integers(0, 9), st.sampled_from([None, "e", "ab"])),
    st.tuples(st.just("select"), NAMES, st.lists(TEXT.filter(bool), min_size=1, max_size=3)),
)
OPS = st.lists(
    st.recursive(
        LEAF,
        lambda ops: st.one_of(
            st.tuples(st.just("role"), st.sampled_from(list(CHATML)), st.lists(LEAF, max_size=3)),
            st.tuples(st.just("fork"), st.integers(1, 3), st.lists(ops, max_size=3)),
            st.tuples(st.just("concat"), st.integers(1, 3), st.lists(LEAF, max_size=3)),
        ),
        max_leaves=6,
    ),
    max_size=6,
)


def perform(s, ops):
    """The ops by the language."""
    for kind, *rest in ops:
        if kind == "text":
            s += rest[0]
        elif kind == "gen":
            s += bl.gen(rest[0], max_tokens=rest[1], stop=rest[2])
        elif kind == "select":
            s += bl.select(rest[0], rest[1])
        elif kind == "role" and in_role(s):
            perform(s, rest[1])
        elif kind == "role":
            with getattr(s, rest[0])():
                perform(s, rest[1])
        else:
            group = s.fork(rest[0])
            for index, child in enumerate(group):
                child += f"{index}"
                perform(child, rest[1])
            group.join("gather_variable" if kind == "fork" else "concate_and_append")


def in_role(s):
    s.sync()
    return s.stream_executor.transcript.role is not None


@dataclass
class Naive:
    """The same by plain strings, in order, without any concurrency."""

    text: str = ""
    role: str | None = None
    variables: dict = field(default_factory=dict)
    from_join: set = field(default_factory=set)
    written: set = field(default_factory=set)

    def perform(self, ops):
        for kind, *rest in ops:
            if kind == "text":
                self.text += rest[0]
            elif kind == "gen":
                output = default_reply(self.text)
                if rest[2] is not None:
                    output = output.split(rest[2])[0]
                self.write(rest[0], output[: rest[1]])
            elif kind == "select":
                self.write(rest[0], max(rest[1], key=lambda c: sum(map(logprob_of, c)) / len(c)))
            elif kind == "role" and self.role:
                self.perform(rest[1])
            elif kind == "role":
                prefix, suffix = CHATML[rest[0]]
                self.text += prefix
                self.role = rest[0]
                self.perform(rest[1])
                self.text += suffix
                self.role = None
            else:
                self.branch(kind, *rest)

    def write(self, name, value):
        self.text += value
        self.variables[name] = value
        self.written.add(name)

    def branch(self, kind, size, ops):
        children = []
        for index in range(size):
            child = Naive(self.text, self.role, dict(self.variables), set(self.from_join), set())
            child.text += f"{index}"
            child.perform(ops)
            children.append(child)
        if kind == "concat":
            self.text += "".join(child.text[len(self.text) :] for child in children)
            return
        taken = set(self.variables) - self.from_join
        gathered = {}
        for child in children:
            for name in child.written - taken:
                gathered.setdefault(name, []).append(child.variables[name])
        self.variables.update(gathered)
        self.from_join |= set(gathered)
        self.written |= set(gathered)


@settings(max_examples=150, deadline=None)
@given(OPS, st.booleans())
def test_a_random_program_gives_what_the_naive_reference_gives(ops, stream):
    naive = Naive()
    naive.perform(ops)
    model = Scripted()
    state = bl.function(lambda s: perform(s, ops)).run(backend=model, stream=stream)
    assert state.text() == naive.text
    assert state.stream_executor.variables == naive.variables


@settings(max_examples=100, deadline=None)
@given(OPS, st.booleans(), st.integers(1, 5))
def test_text_iter_concatenates_to_text(ops, stream, chunk_size):
    model = Scripted(chunk_size=chunk_size)
    state = bl.function(lambda s: perform(s, ops)).run(backend=model, stream=stream)
    assert "".join(state.text_iter()) == state.text()
    for name, value in state.stream_executor.variables.items():
        if isinstance(value, str):
            assert "".join(state.text_iter(name)) == value


@settings(max_examples=100, deadline=None)
@given(OPS, st.integers(1, 4))
def test_children_start_with_the_parents_text(ops, size):
    @bl.function
    def program(s):
        perform(s, ops)
        group = s.fork(size)
        group += lambda i: f"{i}" + bl.gen("v")
        return [child.text() for child in group]

    state = program.run(backend=Scripted())
    parent = state.text()
    assert state.ret_value == [f"{parent}{i}" + default_reply(f"{parent}{i}") for i in range(size)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("abc", max_size=4), max_size=30), st.integers(1, 8))
def test_run_batch_keeps_the_order(texts, num_threads):
    @bl.function
    def program(s, text):
        s += text + bl.gen("a")

    states = program.run_batch([(t,) for t in texts], backend=Scripted(), num_threads=num_threads)
    assert [state["a"] for state in states] == [default_reply(text) for text in texts]


@settings(max_examples=150, deadline=None)
@given(OPS, st.booleans(), st.integers(0, 6))
def test_with_random_failures_every_read_ends_with_a_value_or_the_cause(ops, stream, unlucky):
    def fail(prompt):
        return bl.Overloaded("full") if zlib.crc32(prompt.encode()) % 7 == unlucky else None

    states = []

    @bl.function
    def program(s):
        states.append(s)
        perform(s, ops)

    raised = None
    try:
        states.append(program.run(backend=Scripted(fail=fail), stream=stream))
    except bl.Overloaded as error:
        raised = error
    state = states[-1]
    error = state.error()
    for name in ("x", "y", "z"):
        with contextlib.suppress(KeyError, bl.Overloaded):
            assert isinstance(state[name], str | list)
            assert name in state
    if raised is not None:
        assert error is raised
    if error is None:
        assert "".join(state.text_iter()) == state.text()
        return
    assert isinstance(error, bl.Overloaded)
    assert error.op is not None
    with pytest.raises(bl.Overloaded):
        state.text()
    with pytest.raises(bl.Overloaded):
        list(state.text_iter())
