"""The decorator, `run` and its arguments."""

from __future__ import annotations

import contextvars
import gc

import pytest

import branchline as bl
from branchline.lang import calls


def test_the_decorator_works_with_and_without_parentheses(model):
    @bl.function
    def plain(s):
        s += "a"

    @bl.function()
    def called(s):
        s += "b"

    assert plain.run(backend=model).text() + called(backend=model).text() == "ab"


def test_a_lambda_is_a_program(model):
    assert bl.function(lambda s, x: s["y"] if x is None else x).run(3, backend=model).ret_value == 3


def test_the_first_parameter_must_be_s():
    with pytest.raises(TypeError, match="must be named s"):
        bl.function(lambda state: None)


def test_generators_are_refused():
    def generator(s):
        yield

    async def async_generator(s):
        yield

    for func in (generator, async_generator):
        with pytest.raises(TypeError, match="without yield"):
            bl.function(func)


def test_arguments_are_known_by_name_position_and_default(model):
    @bl.function
    def program(s, a, b, c=3):
        return (a, b, c)

    assert program.arg_names == ["a", "b", "c"]
    assert program.arg_defaults == {"c": 3}
    assert program.run(1, b=2, backend=model).ret_value == (1, 2, 3)
    assert program(1, 2, 4, backend=model).ret_value == (1, 2, 4)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2), {}, "too many positional"),
        ((1,), {"b": 2}, "has no argument b; it has: a"),
        ((1,), {"max_tokens": 2}, r"it has: a; did you mean max_new_tokens\?"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(model, args, kwargs, words):
    ran = []

    @bl.function
    def program(s, a):
        ran.append(a)

    with pytest.raises(TypeError, match=words):
        program.run(*args, **kwargs, backend=model)
    assert ran == []


def test_binding_an_unknown_name_is_refused():
    with pytest.raises(TypeError, match="has no argument b"):
        bl.function(lambda s, a: None).bind(b=1)


def test_without_a_backend_the_error_says_what_to_do():
    with pytest.raises(ValueError, match="Please specify a backend"):
        bl.function(lambda s: None).run()


def test_what_is_no_backend_is_refused():
    with pytest.raises(TypeError, match="'http://localhost' is not a backend"):
        bl.function(lambda s: None).run(backend="http://localhost")


def test_the_default_backend_serves_programs_and_calls_without_one(model):
    class Holder:
        endpoint = model

    assert (bl.flush_cache(), bl.get_server_info()) == (False, None)
    bl.set_default_backend(Holder())
    try:
        assert bl.function(lambda s: s.text()).run().ret_value == ""
        assert bl.flush_cache() is True
        info = bl.get_server_info()
    finally:
        bl.set_default_backend(None)
    assert model.flushes == 1
    assert info is not None
    assert (info["model_name"], info["running"]) == ("scripted", 0.0)


def test_run_returns_while_its_calls_are_still_running(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    state = program.run(backend=model)
    assert "a" not in state
    model.release()
    assert state["a"] == model.reply("x")


def test_run_gives_defaults_that_calls_override(model):
    @bl.function
    def program(s):
        s += bl.gen("a") + bl.gen("b", temperature=0.0, stop=["B"])

    program.run(backend=model, temperature=0.5, max_new_tokens=7, stop="A", seed=3).sync()
    first, second = (call.sampling for call in model.calls)
    assert (first.temperature, first.max_new_tokens, first.stop, first.seed) == (0.5, 7, ["A"], 3)
    assert (second.temperature, second.max_new_tokens, second.stop) == (0.0, 7, ["B"])


def test_wrong_defaults_are_refused_at_once(model):
    with pytest.raises(ValueError, match=r"run\(\): top_p=2"):
        bl.function(lambda s: None).run(backend=model, top_p=2)


def test_without_a_thread_every_call_is_done_before_the_body_goes_on(model):
    seen = []

    @bl.function
    def program(s):
        s += "x" + bl.gen("a")
        seen.append("a" in s)

    program.run(backend=model, use_thread=False)
    assert seen == [True]


def test_without_a_thread_a_failing_call_is_raised_by_run(model):
    model.fail = lambda prompt: bl.Overloaded("full")

    @bl.function
    def program(s):
        s += bl.gen("a")

    with pytest.raises(bl.Overloaded):
        program.run(backend=model, use_thread=False)


def test_a_program_may_call_another_and_read_its_variables(model):
    @bl.function
    def inner(s, text):
        s += text + bl.gen("v", max_tokens=2)

    @bl.function
    def outer(s):
        result = inner("q", backend=model)
        s += "got " + result["v"]

    state = outer.run(backend=model)
    assert state.text() == "got " + model.reply("q")[:2]
    assert len(state.usages()) == 1


def test_a_state_goes_on_after_its_run(model):
    state = bl.function(lambda s: None).run(backend=model)
    state += "more" + bl.gen("a")
    assert state["a"] == model.reply("more")


def test_a_positional_argument_overrides_a_bound_one(model):
    bound = bl.function(lambda s, a, b=2: (a, b)).bind(a="bound")
    assert bound.run("given", backend=model).ret_value == ("given", 2)


def test_context_variables_of_the_caller_hold_in_every_body(model):
    variable = contextvars.ContextVar("variable", default="unset")
    program = bl.function(lambda s: variable.get())
    variable.set("set")
    streaming = program.run(backend=model, stream=True)
    streaming.sync()
    (batched,) = program.run_batch([{}], backend=model)
    assert [program.run(backend=model).ret_value, streaming.ret_value, batched.ret_value] == [
        "set"
    ] * 3


def test_what_calls_ask_for_is_found_once_for_runs_that_ask_alike(model, monkeypatch):
    num_found = 0
    find = calls.parameters

    def counted(*args):
        nonlocal num_found
        num_found += 1
        return find(*args)

    monkeypatch.setattr(calls, "parameters", counted)

    @bl.function
    def program(s):
        s += "x" + bl.gen("a", max_tokens=4) + bl.gen("b", max_tokens=5)

    for options, expected in (({}, 2), ({}, 2), ({"temperature": 0.5}, 4), ({}, 6)):
        program.run(backend=model, **options).sync()
        assert num_found == expected
    assert [call.sampling.temperature for call in model.calls[4:6]] == [0.5, 0.5]


def test_what_calls_ask_for_is_kept_no_longer_than_they_are(model):
    @bl.function
    def program(s):
        s += "x" + bl.gen("a", schema=int)

    for _ in range(3):
        program.run(backend=model).sync()
    gc.collect()
    assert program._known_asked is not None
    assert len(program._known_asked[-1]) == 0
