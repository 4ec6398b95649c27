"""Resumable batches: nothing is done twice, nothing is lost, and no file is taken for another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from scripted import Scripted, model_info

import branchline as bl
from branchline.lang.checkpoint import Checkpoint


class Person(BaseModel):
    name: str
    age: int


@bl.function
def echo(s, text):
    s += text + bl.gen("a")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.jsonl"


def items(count):
    return [(f"{i}",) for i in range(count)]


def told(state):
    """Everything that a state tells."""
    return (
        state.text(),
        state.messages(),
        state["a"],
        state.value("a"),
        state.get_meta_info("a"),
        state.usages(),
        state.timeline(),
        state._repr_html_(),
        state.error(),
        "a" in state,
        repr(state),
    )


def test_a_finished_batch_is_not_run_again_and_tells_the_same(model, path):
    first = echo.run_batch(items(5), backend=model, checkpoint=path)
    assert len(model.calls) == 5
    second = echo.run_batch(items(5), backend=model, checkpoint=path)
    assert len(model.calls) == 5
    assert [told(state) for state in second] == [told(state) for state in first]


def test_only_what_is_missing_runs(model, path):
    echo.run_batch(items(3), backend=model, checkpoint=path)
    model.calls.clear()
    states = echo.run_batch(items(6), backend=model, checkpoint=path)
    assert [call.text for call in model.calls] == ["3", "4", "5"]
    assert [state["a"] for state in states] == [model.reply(f"{i}") for i in range(6)]


def test_failed_instances_run_again_and_finished_ones_are_kept(model, path):
    model.fail = lambda prompt: bl.GrammarError("bad") if prompt == "1" else None
    states = echo.run_batch(items(3), backend=model, checkpoint=path, on_error="return")
    assert isinstance(states[1].error(), bl.GrammarError)
    model.fail = lambda prompt: None
    model.calls.clear()
    states = echo.run_batch(items(3), backend=model, checkpoint=path)
    assert [call.text for call in model.calls] == ["1"]
    assert [state.error() for state in states] == [None] * 3


def test_the_generator_form_resumes_in_order(model, path):
    for state in echo.run_batch(items(9), backend=model, checkpoint=path, generator_style=True):
        if state["a"] == model.reply("4"):
            break
    states = echo.run_batch(items(9), backend=model, checkpoint=path, generator_style=True)
    assert [state["a"] for state in states] == [model.reply(f"{i}") for i in range(9)]


@given(cut=st.integers(min_value=0, max_value=2000))
@settings(max_examples=60, deadline=None)
def test_a_file_that_was_torn_anywhere_is_continued(tmp_path_factory, cut):
    model, path = Scripted(), tmp_path_factory.mktemp("torn") / "out.jsonl"
    echo.run_batch(items(3), backend=model, checkpoint=path, num_threads=1)
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % len(whole)])
    model.calls.clear()
    kept = max(0, path.read_bytes().count(b"\n") - 1)
    states = echo.run_batch(items(3), backend=model, checkpoint=path, num_threads=1)
    assert [state["a"] for state in states] == [model.reply(f"{i}") for i in range(3)]
    assert len(model.calls) == 3 - kept
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_process_killed_in_the_middle_is_continued(tmp_path, path):
    script = tmp_path / "pipeline.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            sys.path.insert(0, sys.argv[1])
            from scripted import Scripted
            import branchline as bl

            model = Scripted()
            limit = int(sys.argv[3])

            def hold(prompt):
                if len(model.calls) > limit:
                    os.kill(os.getpid(), signal.SIGKILL)
                return False

            model.hold = hold

            @bl.function
            def echo(s, text):
                s += text + bl.gen("a")

            items = [(f"{i}",) for i in range(40)]
            states = echo.run_batch(items, backend=model, checkpoint=sys.argv[2], num_threads=4)
            print(len(model.calls), *(state["a"] for state in states))
            """
        )
    )
    folder = str(Path(__file__).parent)

    def run(limit):
        return subprocess.run(
            [sys.executable, str(script), folder, str(path), str(limit)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONHASHSEED": "random"},
        )

    assert run(15).returncode == -signal.SIGKILL
    finished = path.read_bytes().count(b"\n") - 1
    assert 10 <= finished <= 16
    assert run(12).returncode == -signal.SIGKILL
    result = run(1000)
    assert result.returncode == 0, result.stderr
    num_calls, *answers = result.stdout.split()
    assert answers == [Scripted().reply(f"{i}") for i in range(40)]
    assert int(num_calls) < 40 - finished


def test_return_values_come_back_as_the_annotated_type(model, path):
    @bl.function
    def person(s, name) -> Person:
        return Person(name=name, age=41)

    for _ in range(2):
        (state,) = person.run_batch([("Ada",)], backend=model, checkpoint=path)
        assert state.ret_value == Person(name="Ada", age=41)


def test_return_values_without_annotation_come_back_as_data(model, path):
    @bl.function
    def person(s, name):
        return Person(name=name, age=41)

    person.run_batch([("Ada",)], backend=model, checkpoint=path)
    (state,) = person.run_batch([("Ada",)], backend=model, checkpoint=path)
    assert state.ret_value == {"name": "Ada", "age": 41}


def test_a_program_that_returns_its_state_gives_the_restored_one(model, path):
    @bl.function
    def program(s, text):
        s += text
        return s

    program.run_batch([("x",)], backend=model, checkpoint=path)
    (state,) = program.run_batch([("x",)], backend=model, checkpoint=path)
    assert state.ret_value is state


def test_a_typed_variable_of_a_restored_state_needs_its_type_again(model, path):
    model.reply = lambda prompt: '{"name":"Ada","age":41}'

    @bl.function
    def extract(s, text):
        s += text + bl.gen("person", schema=Person)

    extract.run_batch([("x",)], backend=model, checkpoint=path)
    (state,) = extract.run_batch([("x",)], backend=model, checkpoint=path)
    assert state.value("person", Person) == Person(name="Ada", age=41)
    with pytest.raises(bl.InvalidRequest, match=r"s\.value\('person', T\)"):
        state.value("person")


def test_a_gathered_variable_of_a_restored_state_is_read_as_before(model, path):
    model.reply = lambda prompt: "7"

    @bl.function
    def program(s, text):
        with s.copy() as copied:
            copied += text + bl.gen("number", dtype=int) + bl.gen("typed", schema=int)

    program.run_batch([("x",)], backend=model, checkpoint=path)
    (state,) = program.run_batch([("x",)], backend=model, checkpoint=path)
    assert state.value("number") == state.value("typed", list[int]) == [7]
    with pytest.raises(bl.InvalidRequest, match=r"s\.value\('typed', T\)"):
        state.value("typed")
    with pytest.raises(bl.InvalidRequest, match=r"s\.value\('typed', T\)"):
        state.value("typed", list)


def test_a_restored_state_cannot_go_on(model, path):
    echo.run_batch(items(1), backend=model, checkpoint=path)
    (state,) = echo.run_batch(items(1), backend=model, checkpoint=path)
    with pytest.raises(bl.InvalidRequest, match="can be read, not continued"):
        state += "more"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({1: "a"}, dict[int, str]),
        ({"a", "b"}, set[str]),
        (b"ab", bytes),
        (("a", 1), tuple[str, int]),
        (date(2024, 2, 29), date),
        ([Person(name="Ada", age=41)], list[Person]),
    ],
)
def test_what_its_annotation_can_read_comes_back_as_it_was(model, path, value, kind):
    def program(s):
        return value

    program.__annotations__["return"] = kind
    for _ in range(2):
        (state,) = bl.function(program).run_batch([()], backend=model, checkpoint=path)
        assert state.ret_value == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "the return value holds object"),
        ({"a": [{"b"}]}, "the return value holds set"),
        (b"ab", "the return value holds bytes"),
        ({1: "a"}, "the return value holds a dict with the key 1"),
        (date(2024, 2, 29), "the return value holds date"),
    ],
)
def test_what_would_not_come_back_fails_its_instance_alone(model, path, value, words):
    @bl.function
    def program(s, number):
        s += f"{number}" + bl.gen("a")
        return value if number == 1 else number

    items = [(i,) for i in range(3)]
    states = program.run_batch(items, backend=model, checkpoint=path, on_error="return")
    assert [state.ret_value for state in states] == [0, value, 2]
    error = states[1].error()
    assert isinstance(error, bl.CheckpointError)
    assert f"instance 1 cannot be written to {path}: {words}" in str(error)
    model.calls.clear()
    for on_error in (None, "raise"):
        with pytest.raises(bl.BatchError, match=r"1 of 3 .* number 1: CheckpointError") as caught:
            program.run_batch(items, backend=model, checkpoint=path, on_error=on_error)
        assert [state["a"] for state in caught.value.states] == [
            model.reply(f"{i}") for i in range(3)
        ]
    assert [call.text for call in model.calls] == ["1", "1"]


def test_a_variable_that_would_not_come_back_is_refused_by_name(model, path):
    @bl.function
    def program(s):
        s.set_var("seen", {1, 2})

    (state,) = program.run_batch([()], backend=model, checkpoint=path, on_error="return")
    assert "variable 'seen' holds set, which is no JSON data" in str(state.error())


def test_a_disk_that_cannot_be_written_ends_the_batch(model, path, monkeypatch):
    def write(self, index, state):
        raise OSError("no space left")

    monkeypatch.setattr(Checkpoint, "write", write)
    with pytest.raises(OSError, match="no space left"):
        echo.run_batch(items(3), backend=model, checkpoint=path, on_error="return")


def test_arguments_that_cannot_be_compared_are_refused_before_anything_runs(model, path):
    with pytest.raises(bl.CheckpointError, match=r"arguments of instance 1.*object is no JSON"):
        echo.run_batch([("x",), (object(),)], backend=model, checkpoint=path)
    assert model.calls == []


@dataclass
class Point:
    x: int
    tags: frozenset[str]


@pytest.mark.parametrize(
    "value",
    [
        {"b": 1, "a": [None, 1.5, "é"]},
        {"x", "y", "z"},
        b"bytes",
        Point(1, frozenset("abc")),
        Person(name="Ada", age=41),
        Path("/a"),
    ],
)
def test_arguments_of_many_kinds_are_the_same_the_next_time(model, path, value):
    program = bl.function(lambda s, value: None)
    program.name = "program"
    for _ in range(2):
        program.run_batch([(value,)], backend=model, checkpoint=path)
    assert len(path.read_text().splitlines()) == 2


def test_other_inputs_are_refused_by_number(model, path):
    echo.run_batch(items(3), backend=model, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(bl.CheckpointError, match="instance 1 had other arguments"):
        echo.run_batch([("0",), ("other",), ("2",)], backend=model, checkpoint=path)
    with pytest.raises(bl.CheckpointError, match="holds instance 2, this batch has 2"):
        echo.run_batch(items(2), backend=model, checkpoint=path)
    assert path.read_bytes() == before


def test_another_program_model_or_sampling_is_refused_by_name(model, path):
    echo.run_batch(items(1), backend=model, checkpoint=path)
    other = bl.function(lambda s, text: None)
    with pytest.raises(bl.CheckpointError, match="its program is 'echo', this run's is '<lambda>'"):
        other.run_batch(items(1), backend=model, checkpoint=path)
    with pytest.raises(bl.CheckpointError, match=r"its sampling is \{\}, this run's is \{'temper"):
        echo.run_batch(items(1), backend=model, checkpoint=path, temperature=0.5)
    model.info = model_info(name="another")
    with pytest.raises(bl.CheckpointError, match="its model is 'scripted', this run's is 'anoth"):
        echo.run_batch(items(1), backend=model, checkpoint=path)


@pytest.mark.parametrize("content", ["plain text", '{"a": 1}\n', "[1]\n", "x\ny\n", '{"bran'])
def test_a_file_that_is_no_checkpoint_is_left_alone(model, path, content):
    path.write_text(content)
    if content == '{"bran':
        echo.run_batch(items(1), backend=model, checkpoint=path)  # a torn first line
        return
    with pytest.raises(bl.CheckpointError, match="is no checkpoint"):
        echo.run_batch(items(1), backend=model, checkpoint=path)
    assert path.read_text() == content


def test_a_damaged_line_is_told_by_its_number(model, path):
    echo.run_batch(items(3), backend=model, checkpoint=path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2][:-9], *lines[3:], ""]))
    with pytest.raises(bl.CheckpointError, match="line 3: damaged"):
        echo.run_batch(items(3), backend=model, checkpoint=path)


def test_two_batches_do_not_share_a_file(model, path):
    states = echo.run_batch(items(2), backend=model, checkpoint=path, generator_style=True)
    next(states)
    with pytest.raises(bl.CheckpointError, match="in use by another batch"):
        echo.run_batch(items(2), backend=model, checkpoint=path)
    states.close()
    echo.run_batch(items(2), backend=model, checkpoint=path)


@given(text=st.text())
@settings(max_examples=40, deadline=None)
def test_any_text_comes_back_as_it_was(tmp_path_factory, text):
    model, path = Scripted(), tmp_path_factory.mktemp("text") / "out.jsonl"
    model.reply = lambda prompt: text
    for _ in range(2):
        (state,) = echo.run_batch([(text,)], backend=model, checkpoint=path, max_new_tokens=9999)
        assert state["a"] == text
        assert state.text() == text + text
