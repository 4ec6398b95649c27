"""What a program appends to its state, and what it reads from it."""

from __future__ import annotations

import threading

import pytest

import branchline as bl
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import Text, Tokens


def run(model, body, **kwargs):
    def program(s):
        return body(s)

    return bl.function(program).run(backend=model, **kwargs)


def test_generated_output_stays_tokens_and_texts_are_merged(model):
    def body(s):
        s += "a"
        s += "b" + bl.gen("x", max_tokens=2)
        s += "c" + bl.gen("y", max_tokens=1)

    run(model, body).sync()
    x = model.reply("ab")[:2]
    assert model.calls[1].prompt == [Text("ab"), Tokens([ord(c) for c in x]), Text("c")]


def test_template_text_is_markup_and_content_is_not(model):
    def body(s):
        s += bl.user("<|end|>") + bl.assistant(bl.gen("x"))

    run(model, body).sync()
    assert model.calls[0].prompt == [
        Text("<|user|>", markup=True),
        Text("<|end|>"),
        Text("<|end|>\n<|assistant|>", markup=True),
    ]


def test_text_appended_in_parts_is_one_text(model):
    def body(s):
        s += "a" + bl.gen("x", max_tokens=3) + "z"
        assert "x" not in s or s["x"]

    assert run(model, body).text() == f"a{model.reply('a')[:3]}z"


def test_text_waits_for_nobody(model):
    """What takes no call is done by who appends it, however busy the event loop is."""
    go_on = threading.Event()
    waited = []
    shared_loop().call(lambda: waited.append(go_on.wait(10)))

    def body(s):
        s += bl.system("a")
        with s.user(), s.var_scope("said"):
            s += "b"

    state = run(model, body, timeout=60)
    try:
        assert state.messages() == [
            {"role": "system", "content": "a"},
            {"role": "user", "content": "b"},
        ]
        assert state["said"] == "b"
        assert not waited
    finally:
        go_on.set()


def test_an_expression_object_may_be_appended_twice(model):
    call = bl.gen("x", max_tokens=1)

    def body(s):
        s += "a" + call + "b" + call

    first = model.reply("a")[:1]
    assert run(model, body)["x"] == model.reply(f"a{first}b")[:1]


def test_a_name_that_nothing_declares_is_a_key_error_with_the_known_names(model):
    def body(s):
        s += bl.gen("answer")
        s += bl.select("kind", ["a", "b"])

    state = run(model, body)
    with pytest.raises(KeyError, match=r"'anwser' is no variable .* known: 'answer', 'kind'"):
        state["anwser"]


def test_a_variable_in_flight_is_not_in_the_state_yet(model):
    model.hold = lambda prompt: True

    def body(s):
        s += bl.gen("x")
        return "x" in s

    state = run(model, body)
    assert state.ret_value is False
    model.release()
    state.sync()
    assert "x" in state


def test_a_variable_can_be_set_by_hand(model):
    def body(s):
        s["x"] = 5
        s.set_var("y", [1])
        s += bl.gen("z")

    state = run(model, body)
    assert (state["x"], state.get_var("y"), state.get_meta_info("x")) == (5, [1], None)


@pytest.mark.parametrize("wait", [True, False])
def test_meta_info_of_a_call_stays_where_its_variable_is_written_by_hand(model, wait):
    def body(s):
        s += bl.gen("x", max_tokens=3)
        s["x"] = s["x"].upper() if wait else "X"
        s["x"] += "!"

    state = run(model, body)
    assert state["x"].endswith("!")
    assert state.get_meta_info("x")["completion_tokens"] == 3
    executor = state.stream_executor
    assert executor.meta_info["x"] == executor.get_meta_info("x") == state.get_meta_info("x")
    assert state.fork(1)[0].get_meta_info("x") == state.get_meta_info("x")


def test_meta_info_of_an_unknown_name_is_none(model):
    assert run(model, lambda s: None).get_meta_info("nothing") is None


def test_meta_info_names_counts_and_the_reason_of_the_end(model):
    model.reply = lambda prompt: "12.34"

    def body(s):
        s += "abcd" + bl.gen("cut", max_tokens=2) + bl.gen("stopped", stop=".")

    state = run(model, body)
    assert state.get_meta_info("cut") == {
        "id": "call-1",
        "finish_reason": {"type": "length", "length": 2},
        "prompt_tokens": 4,
        "completion_tokens": 2,
        "cached_tokens": 2,
    }
    meta = state.get_meta_info("stopped")
    assert meta is not None
    assert meta["finish_reason"] == {"type": "stop", "matched": "."}


def test_meta_info_carries_log_probabilities_when_asked(model):
    model.reply = lambda prompt: "ab"

    def body(s):
        s += bl.gen("x", return_logprob=True, top_logprobs_num=2, return_text_in_logprobs=True)

    meta = run(model, body).get_meta_info("x")
    assert meta is not None
    assert meta["output_token_logprobs"] == [(-1.5, 97, "a"), (0.0, 98, "b")]
    assert meta["output_top_logprobs"][0] == [(-1.5, 97, "a"), (-0.75, 122, "z")]


def test_no_tokens_with_log_probabilities_shows_what_would_come_next(model):
    model.reply = lambda prompt: "ab"

    def body(s):
        s += "p" + bl.gen("x", max_tokens=0, return_logprob=True, top_logprobs_num=2)

    state = run(model, body)
    meta = state.get_meta_info("x")
    assert meta is not None
    assert [token for _, token, _ in meta["output_top_logprobs"][0]] == [97, 122]
    assert (state["x"], state.text(), meta["completion_tokens"]) == ("", "p", 0)


@pytest.mark.parametrize("wrong", [5, ["a"], object()])
def test_appending_what_is_no_text_is_refused_at_once(model, wrong):
    def body(s):
        s += wrong

    with pytest.raises(TypeError, match="cannot append"):
        run(model, body)


def test_appending_none_is_refused_with_the_usual_words(model):
    def body(s):
        s += None

    with pytest.raises(ValueError, match="Tried to append None to state"):
        run(model, body)


def test_a_var_scope_is_the_text_inside(model):
    def body(s):
        s += "out "
        with s.var_scope("inner"):
            s += "in " + bl.gen(max_tokens=1)
        s += " out"

    state = run(model, body)
    assert state["inner"] == "in " + model.reply("out in ")[:1]


def test_roles_become_messages(model):
    def body(s):
        s += bl.system("be brief")
        with s.user():
            s += " hello"
        s.assistant(bl.gen("x", max_tokens=2))

    state = run(model, body)
    prompt = "<|system|>be brief<|end|>\n<|user|> hello<|end|>\n<|assistant|>"
    answer = model.reply(prompt)[:2]
    assert state.messages() == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": answer},
    ]
    assert state.text() == prompt + answer + "<|end|>\n"


def test_begin_and_end_make_a_turn_too(model):
    def body(s):
        s += bl.user_begin() + "a" + bl.user_end() + bl.assistant_begin()
        s += "b" + bl.assistant_end() + bl.system_begin() + "c" + bl.system_end()

    assert [m["content"] for m in run(model, body).messages()] == ["a", "b", "c"]


def test_empty_turns_are_legal(model):
    def body(s):
        s += bl.user() + bl.assistant()

    assert run(model, body).text() == "<|user|><|end|>\n<|assistant|><|end|>\n"


def test_a_role_inside_a_role_is_an_error_that_names_its_line(model):
    def body(s):
        s += bl.user(bl.assistant("x"))

    state = run(model, body)
    error = state.error()
    assert isinstance(error, bl.InvalidRequest)
    assert "Nested roles are not allowed" in str(error)
    assert error.source is not None
    assert "test_state.py" in error.source


def test_a_role_that_the_template_lacks_is_an_error(model):
    model.chat_template = bl.ChatTemplate("plain", None, {"user": ("U:", "\n")})

    def body(s):
        s += bl.system("x")

    with pytest.raises(bl.InvalidRequest, match=r"no role 'system'; it has: user"):
        run(model, body).text()


def test_the_default_system_prompt_of_the_model_comes_first(model):
    model.chat_template = bl.get_chat_template("qwen")

    def body(s):
        s += bl.user("hi")

    state = run(model, body)
    assert state.messages()[0] == {"role": "system", "content": "You are a helpful assistant."}
    assert state.text().startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")


def test_repr_shows_the_text(model):
    def body(s):
        s += "shown"

    assert repr(run(model, body)) == "ProgramState(shown)"


def test_half_a_surrogate_pair_is_spelled_out_where_it_is_shown(model):
    def body(s):
        s += "\ud83d"

    state = run(model, body)
    assert repr(state) == r"ProgramState(\ud83d)"
    assert r"<pre>\ud83d</pre>" in state._repr_html_()
    assert state.text() == "\ud83d"


def test_a_turn_and_a_scope_end_when_their_block_raises(model):
    def body(s):
        try:
            with s.user(), s.var_scope("said"):
                s += "half"
                raise LookupError
        except LookupError:
            s += bl.user("again")

    state = run(model, body)
    assert [message["content"] for message in state.messages()] == ["half", "again"]
    assert state["said"] == "half"


def test_usages_wait_for_the_calls(model):
    def body(s):
        s += "ab" + bl.gen("x", max_tokens=3)

    assert [usage.completion_tokens for usage in run(model, body).usages()] == [3]


def test_the_executor_shows_what_is_there_without_waiting(model):
    model.hold = lambda prompt: "later" in prompt

    def body(s):
        s += bl.user("now" + bl.gen("x", max_tokens=1)) + bl.assistant_begin()
        s["x"]
        s += "later" + bl.gen("y")
        model.started.acquire()
        model.started.acquire()
        return s.stream_executor.cur_role, list(s.stream_executor.messages_)

    state = run(model, body)
    x = model.reply("<|user|>now")[:1]
    assert state.ret_value == ("assistant", [{"role": "user", "content": f"now{x}"}])
    executor = state.stream_executor
    assert (executor.variables, list(executor.meta_info)) == ({"x": x}, ["x"])
    assert executor.text_.endswith("<|assistant|>later")
    model.release()


def test_the_end_of_a_with_block_cancels_what_still_runs(model):
    @bl.function
    def program(s):
        s += "a" + bl.gen("first") + "." + bl.gen("second")

    model.hold = lambda prompt: "." in prompt
    with program.run(backend=model, stream=True) as state:
        assert state["first"] == model.reply("a")
        model.started.acquire()
        model.started.acquire()
    assert isinstance(state.error(), bl.Cancelled)
    assert state["first"] == model.reply("a")
    with pytest.raises(bl.Cancelled):
        state["second"]


def test_a_with_block_leaves_what_is_finished_as_it_is(model):
    with run(model, lambda s: s.__iadd__("a" + bl.gen("x"))) as state:
        state.sync()
    assert state.error() is None
