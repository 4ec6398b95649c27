"""Deadlines of calls, runs and batches: who waits is told, and the runtime is freed."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest

import branchline as bl


@bl.function
def ask(s, text):
    s += text + bl.gen("a")
    return s["a"]


def test_a_call_over_its_time_fails_by_name_and_is_stopped(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s):
        s += "x" + bl.gen("a", timeout=0.5)

    error = program.run(backend=model).error()
    assert isinstance(error, bl.TimeoutExceeded)
    assert (error.variable, error.op) == ("a", "Gen('a')")
    assert "no result within 0.5 s" in str(error)
    assert model.cancelled == ["x"]


def test_a_call_in_time_is_not_touched_by_its_timeout(model):
    @bl.function
    def program(s):
        s += "x" + bl.gen("a", timeout=60)

    assert program.run(backend=model)["a"] == model.reply("x")


def test_a_run_over_its_time_fails_where_it_is_and_names_the_place(model):
    model.hold = lambda prompt: True
    with pytest.raises(bl.TimeoutExceeded, match=r"did not finish in 0\.5 s") as caught:
        ask.run("x", backend=model, timeout=0.5)
    assert (caught.value.program, caught.value.variable) == ("ask", "a")
    while model.running:
        model.get_server_info()
    assert model.cancelled == ["x"]


def test_the_timeline_tells_why_a_call_was_cancelled(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    state = program.run(backend=model, timeout=0.5)
    assert isinstance(state.error(), bl.TimeoutExceeded)
    while model.running:
        model.get_server_info()
    assert [row.error for row in state.timeline().rows] == ["TimeoutExceeded"]


def test_the_deadline_of_a_run_holds_for_its_branches(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s):
        group = s.fork(2)
        group += lambda i: f"child {i}" + bl.gen("v")
        group.join()

    with pytest.raises(bl.TimeoutExceeded):
        program.run(backend=model, timeout=0.5)
    while model.running:
        model.get_server_info()
    assert sorted(model.cancelled) == ["child 0", "child 1"]


def test_the_deadline_of_arun_interrupts_an_async_body(model):
    @bl.function
    async def program(s):
        await asyncio.Event().wait()

    with pytest.raises(bl.TimeoutExceeded):
        program.run(backend=model, timeout=0.5)


def test_each_instance_of_a_batch_has_its_own_time(model):
    model.hold = lambda prompt: prompt == "1"
    states = ask.run_batch([("0",), ("1",), ("2",)], backend=model, timeout=2)
    assert [type(state.error()) for state in states] == [
        type(None),
        bl.TimeoutExceeded,
        type(None),
    ]
    assert states[2]["a"] == model.reply("2")


def test_a_finished_state_goes_on_after_its_deadline(model):
    state = ask.run("x", backend=model, timeout=0.5)
    time.sleep(0.6)  # the deadline itself is what must pass
    state += "more" + bl.gen("b")
    assert state["b"] == model.reply("x" + state["a"] + "more")


def test_a_run_that_is_over_before_its_deadline_is_set_has_none(model):
    state = bl.function(lambda s: None).run(backend=model, timeout=0.5)
    time.sleep(0.6)  # the deadline itself is what must pass
    state += "more" + bl.gen("b")
    assert state["b"] == model.reply("more")


def test_a_deadline_does_not_keep_a_finished_state_alive(model):
    reference = weakref.ref(ask.run("x", backend=model, timeout=3600).stream_executor)
    model.get_server_info()  # the loop has left what it did for the state
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("timeout", [0, -1, "1", True, float("nan")])
def test_what_is_no_time_is_refused(model, timeout):
    with pytest.raises(ValueError, match="timeout="):
        bl.gen("a", timeout=timeout)
    with pytest.raises(ValueError, match="timeout="):
        ask.run("x", backend=model, timeout=timeout)
    assert model.calls == []
