"""What goes wrong reaches whoever waits for it, with its place, and nothing hangs."""

from __future__ import annotations

import itertools
import sys
import threading

import pytest

import branchline as bl
from branchline.lang.loop import shared_loop


def test_an_error_names_program_variable_op_and_line(model):
    model.fail = lambda prompt: bl.GrammarError("too big", pointer="/items")

    @bl.function
    def extract(s):
        s += "text"
        s += bl.gen("record", json_schema={"type": "object"})

    error = extract.run(backend=model).error()
    assert isinstance(error, bl.GrammarError)
    assert (error.program, error.variable, error.op) == ("extract", "record", "Gen('record')")
    assert error.source == f"{__file__}:{extract.func.__code__.co_firstlineno + 3}"
    assert (error.pointer, error.code) == ("/items", "grammar")


def test_what_is_no_generation_error_becomes_the_cause_of_one(model):
    model.fail = lambda prompt: ZeroDivisionError("in the backend")

    @bl.function
    def program(s):
        s += bl.gen("a")

    with pytest.raises(bl.GenerationError, match="ZeroDivisionError: in the backend") as caught:
        program.run(backend=model)["a"]
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_of_a_context_manager_names_the_line_that_uses_it(model):
    @bl.function
    def program(s):
        first, second = s.var_scope("a"), s.var_scope("b")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)

    error = program.run(backend=model).error()
    assert error.source == f"{__file__}:{program.func.__code__.co_firstlineno + 5}"


class Own(bl.GenerationError):
    def __init__(self, message, *, place):
        super().__init__(message)
        self.place = place


def test_an_error_of_the_users_may_be_made_of_anything(model):
    model.fail = lambda prompt: Own("no", place=7)

    @bl.function
    def program(s):
        s += bl.gen("a")

    error = program.run(backend=model).error()
    assert (type(error), error.variable, error.place) == (Own, "a", 7)


def test_finished_results_stay_readable_after_a_later_failure(model):
    model.fail = lambda prompt: bl.Overloaded("full") if "b" in prompt else None
    model.reply = lambda prompt: "z"

    @bl.function
    def program(s):
        s += "a" + bl.gen("x") + "b" + bl.gen("y") + "c" + bl.gen("w")

    state = program.run(backend=model)
    assert isinstance(state.error(), bl.Overloaded)
    assert state["x"] == "z"
    for name in ("y", "w"):
        with pytest.raises(bl.Overloaded, match=r"Gen\('y'\)"):
            state[name]


def test_an_exception_of_the_body_comes_out_of_run(model):
    @bl.function
    def program(s):
        raise LookupError("in the body")

    with pytest.raises(LookupError):
        program.run(backend=model)


def test_a_body_that_raises_cancels_its_calls_and_its_branches(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s):
        group = s.fork(2)
        group += lambda i: f"child {i}" + bl.gen("v")
        s += "parent" + bl.gen("w")
        for _ in range(3):
            model.started.acquire()
        raise LookupError

    with pytest.raises(LookupError):
        program.run(backend=model)
    while model.running:
        model.get_server_info()
    assert sorted(model.cancelled) == ["child 0", "child 1", "parent"]


def test_a_body_that_raises_cancels_the_programs_that_it_called(model):
    model.hold = lambda prompt: True

    @bl.function
    def inner(s):
        s += "inner" + bl.gen("v")

    @bl.function
    def outer(s):
        inner.run(backend=model)
        model.started.acquire()
        raise LookupError

    with pytest.raises(LookupError):
        outer.run(backend=model)
    while model.running:
        model.get_server_info()
    assert model.cancelled == ["inner"]


def test_cancelling_a_state_wakes_its_readers_and_stops_the_call(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    state = program.run(backend=model)
    model.started.acquire()
    errors: list[BaseException] = []

    def read():
        try:
            state["a"]
        except bl.Cancelled as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    state.cancel()
    reader.join()
    assert len(errors) == 1
    while model.running:
        model.get_server_info()
    assert model.cancelled == ["x"]


def test_a_call_that_is_cancelled_before_it_is_on_its_way_is_not_made(model):
    go_on = threading.Event()
    shared_loop().call(go_on.wait, 30)

    @bl.function
    def program(s):
        s += "x" + bl.gen("a", max_tokens=1)
        s.cancel()

    state = program.run(backend=model)
    go_on.set()
    assert isinstance(state.error(), bl.Cancelled)
    state.stream_executor.monitor.wait_for(lambda: not state.stream_executor._active)
    assert model.calls == []


def test_a_cancelled_state_names_what_it_was_doing(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s):
        s += "x" + bl.gen("a")
        s += bl.gen("b")

    state = program.run(backend=model)
    model.started.acquire()
    state.cancel()
    for name in ("a", "b"):
        with pytest.raises(bl.Cancelled, match=r"variable 'a', Gen\('a'\), .*\.py:\d+") as caught:
            state[name]
        assert (caught.value.program, caught.value.variable) == ("program", "a")


def test_a_state_that_is_cancelled_between_its_calls_names_its_program(model):
    @bl.function
    def program(s):
        s.cancel()
        s += "x" + bl.gen("a")

    error = program.run(backend=model).error()
    assert isinstance(error, bl.Cancelled)
    assert error.program == "program"
    assert "the program 'program' was cancelled" in str(error)


def test_cancelling_a_finished_state_changes_nothing(model):
    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    state = program.run(backend=model)
    state.sync()
    state.cancel()
    assert (state["a"], state.error()) == (model.reply("x"), None)


def test_a_feature_that_the_backend_lacks_is_refused_before_the_call(model):
    @bl.function
    def program(s):
        s += bl.gen("a", stop_regex="x+")

    model.capabilities = bl.Capabilities(stop_regex=False)
    error = program.run(backend=model).error()
    assert isinstance(error, bl.InvalidRequest)
    assert "does not offer stop regex" in str(error)
    assert model.calls == []


def test_too_many_stop_strings_are_refused_with_their_number(model):
    @bl.function
    def program(s):
        s += bl.gen("a", stop=[str(i) for i in range(33)])

    with pytest.raises(ValueError, match="length <= 32"):
        program.run(backend=model)


def test_a_failure_inside_a_var_scope_reaches_the_readers_of_the_scope(model):
    model.fail = lambda prompt: bl.Overloaded("full")

    @bl.function
    def program(s):
        with s.var_scope("scope"):
            s += "x" + bl.gen("a")

    with pytest.raises(bl.Overloaded):
        program.run(backend=model)["scope"]


def test_stop_strings_of_call_and_template_together_may_be_too_many(model):
    model.chat_template = bl.get_chat_template("chatml")

    @bl.function
    def program(s):
        s += "x" + bl.gen("a", stop=[str(i) for i in range(32)])

    error = program.run(backend=model).error()
    assert isinstance(error, bl.InvalidRequest)
    assert "33 stop strings" in str(error)


def test_one_error_object_raised_for_two_calls_names_each_place(model):
    full = bl.Overloaded("full", retry_after_s=2.0)
    model.fail = lambda prompt: full

    @bl.function
    def program(s, name):
        s += "x" + bl.gen(name)

    errors = [program.run(name, backend=model, retry=bl.Retry.off()).error() for name in ("a", "b")]
    assert [error.variable for error in errors] == ["a", "b"]
    assert [error.retry_after_s for error in errors] == [2.0, 2.0]
    assert str(full) == "full"


def test_ctrl_c_at_any_moment_leaves_no_lock_behind(model):
    """It comes behind any call of the interpreter, in the middle of a `with` or an append."""

    @bl.function
    def program(s):
        with s.user(), s.var_scope("said"):
            s += "x"
        s += bl.gen("a", max_tokens=1)
        s["a"]

    def interrupted(number: int) -> None:
        events = itertools.count()

        def interrupt(frame: object, event: str, argument: object) -> None:
            if event in ("call", "c_return") and next(events) == number:
                sys.setprofile(None)
                raise KeyboardInterrupt

        sys.setprofile(interrupt)
        try:
            program.run(backend=model)
        except KeyboardInterrupt:
            pass
        else:
            sys.setprofile(None)
            through.append(number)
        program.run(backend=model)

    through: list[int] = []
    for number in itertools.count():
        thread = threading.Thread(target=interrupted, args=(number,), daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), number
        if len(through) > 3:
            break
