"""Calls that had not started, or whose runtime died, are tried again; nothing else is."""

from __future__ import annotations

import pytest
from scripted import model_info

import branchline as bl


@bl.function
def ask(s):
    s += "x" + bl.gen("a")


class Failing:
    """Errors to raise, one per call; then none."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def __call__(self, prompt):
        return self.errors.pop(0) if self.errors else None


def full():
    return bl.Overloaded("full", retry_after_s=0.01)


def gone():
    return bl.RuntimeUnavailable("the runtime is gone")


def starting():
    return bl.RuntimeUnavailable("starting again", retry_after_s=0.01)


@bl.function
def choose(s):
    s += "x" + bl.select("a", ["yes", "no"])


@pytest.mark.parametrize("program", [ask, choose])
def test_a_program_is_not_told_of_a_full_runtime_that_has_room_again(model, program):
    model.fail = Failing(full(), full(), full())
    assert program.run(backend=model).error() is None
    assert len(model.calls) == 4


def test_a_runtime_that_stays_full_is_told_in_the_end(model):
    model.fail = lambda prompt: full()
    error = ask.run(backend=model, retry=bl.Retry(overloaded_s=1.0)).error()
    assert isinstance(error, bl.Overloaded)
    assert (error.variable, error.retry_after_s) == ("a", 0.01)
    assert len(model.calls) > 1


def test_a_refusal_that_names_no_time_is_final(model):
    model.fail = Failing(bl.Overloaded("full"))
    assert isinstance(ask.run(backend=model).error(), bl.Overloaded)
    assert len(model.calls) == 1


def test_a_call_that_its_runtime_lost_is_replayed_with_the_same_prompt(model):
    model.fail = Failing(gone())
    state = ask.run(backend=model)
    assert state["a"] == model.reply("x")
    assert [call.prompt for call in model.calls] == [model.calls[0].prompt] * 2


def test_a_runtime_that_promises_to_come_back_is_waited_for(model):
    answers = Failing(starting(), starting())
    model.fail = Failing(starting())
    server_info = model.server_info

    async def asked():
        if (error := answers(None)) is not None:
            raise error
        return await server_info()

    model.server_info = asked
    assert ask.run(backend=model)["a"] == model.reply("x")
    assert answers.errors == []


def test_a_runtime_that_is_gone_for_good_is_told_at_once(model):
    async def nobody():
        raise gone()

    model.server_info = nobody
    model.fail = lambda prompt: gone()
    error = ask.run(backend=model).error()
    assert isinstance(error, bl.RuntimeUnavailable)
    assert error.source is not None
    assert len(model.calls) == 1


def test_a_call_is_replayed_once_and_no_more(model):
    model.fail = lambda prompt: gone()
    assert isinstance(ask.run(backend=model).error(), bl.RuntimeUnavailable)
    assert len(model.calls) == 2


def test_a_call_that_has_shown_some_text_is_not_replayed(model):
    model.reply = lambda prompt: "abcdefgh"
    stream = model._stream

    async def break_off(rid, outputs, on_chunk):
        def take(chunk):
            on_chunk(chunk)
            raise gone()

        await stream(rid, outputs, take)

    model._stream = break_off
    state = ask.run(backend=model, stream=True)
    pieces = []
    with pytest.raises(bl.RuntimeUnavailable):
        pieces.extend(iter(state.text_iter("a")))
    assert len(model.calls) == 1


def test_a_runtime_that_comes_back_with_another_model_gets_no_tokens_of_the_old_one(model):
    def fail(prompt):
        model.info = model_info(name="other")
        return gone()

    model.fail = fail
    error = ask.run(backend=model).error()
    assert isinstance(error, bl.RuntimeUnavailable)
    assert "another model ('other', before 'scripted')" in str(error)
    assert len(model.calls) == 1


@pytest.mark.parametrize("error", [full(), gone(), starting()])
def test_the_off_switch_raises_every_error_at_once(model, error):
    model.fail = Failing(error)
    assert isinstance(ask.run(backend=model, retry=bl.Retry.off()).error(), type(error))
    assert len(model.calls) == 1


@pytest.mark.parametrize("error", [bl.InternalError("x"), bl.GrammarError("x"), bl.Cancelled("x")])
def test_other_errors_are_final(model, error):
    model.fail = Failing(error)
    assert isinstance(ask.run(backend=model).error(), type(error))
    assert len(model.calls) == 1


def test_branches_retry_as_their_state_does(model):
    model.fail = lambda prompt: gone() if prompt == "child" else None

    @bl.function
    def program(s):
        group = s.fork(1)
        group += "child" + bl.gen("v")
        return group[0].error()

    off = program.run(backend=model, retry=bl.Retry.off())
    assert isinstance(off.ret_value, bl.RuntimeUnavailable)
    assert len(model.calls) == 1


def test_a_timeout_ends_the_waiting_too(model):
    model.fail = lambda prompt: bl.Overloaded("full", retry_after_s=30.0)

    @bl.function
    def program(s):
        s += "x" + bl.gen("a", timeout=0.05)

    assert isinstance(program.run(backend=model).error(), bl.TimeoutExceeded)


@pytest.mark.parametrize("field", ["overloaded_s", "replays", "restart_s"])
def test_what_is_no_number_is_refused(field):
    for value in (-1, float("inf"), "1", None):
        with pytest.raises(ValueError, match=field):
            bl.Retry(**{field: value})


def test_what_is_no_retry_is_refused(model):
    with pytest.raises(TypeError, match=r"expected bl\.Retry"):
        ask.run(backend=model, retry=False)
