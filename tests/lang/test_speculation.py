"""Speculation over APIs: one call for several gens, with the text of a call per gen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scripted import CHATML, Scripted, model_info

import branchline as bl

FORM = "Name: Ann\nBirthday: May 4\nJob: pilot\n"


def completion_model(reply: Callable[[str], str]) -> Scripted:
    model = Scripted(reply=reply)
    model.is_chat_model = False
    return model


def continues(text: str) -> Callable[[str], str]:
    """A model that wants to write just this text."""
    return lambda prompt: next(
        text[len(text) - count :]
        for count in range(len(text) + 1)
        if prompt.endswith(text[: len(text) - count])
    )


def form(s: bl.ProgramState) -> None:
    s += "Name:" + bl.gen("name", stop="\n")
    s += "\nBirthday:" + bl.gen("birthday", stop="\n")
    s += "\nJob:" + bl.gen("job", stop="\n") + "\n"


def test_one_call_serves_all_gens_of_a_form() -> None:
    model = completion_model(continues(FORM))
    state = bl.function(form, num_api_spec_tokens=64)(backend=model)
    assert (state["name"], state["birthday"], state["job"]) == (" Ann", " May 4", " pilot")
    assert state.text() == FORM
    assert len(model.calls) == 1
    assert (model.calls[0].sampling.stop, model.calls[0].sampling.max_new_tokens) == ([], 128)


def test_the_text_is_that_of_a_call_per_gen() -> None:
    plain = bl.function(form)(backend=completion_model(continues(FORM)))
    ahead = bl.function(form, num_api_spec_tokens=64)(backend=completion_model(continues(FORM)))
    assert plain.text() == ahead.text()


def test_a_model_that_leaves_the_format_is_asked_again() -> None:
    texts = {"Name:": " Ann\nAge: 3\nJob: x\n", "Birthday:": " May 4\nJob: pilot\n"}
    model = completion_model(lambda prompt: texts[prompt.split("\n")[-1]])
    state = bl.function(form, num_api_spec_tokens=64)(backend=model)
    assert state.text() == FORM
    assert len(model.calls) == 2


def test_an_output_without_its_stop_gets_a_call_of_its_own() -> None:
    model = completion_model(lambda prompt: "x" * 500)
    state = bl.function(form, num_api_spec_tokens=64)(max_new_tokens=5, backend=model)
    assert state["name"] == "xxxxx"


def test_a_runtime_gets_a_call_per_gen(model: Scripted) -> None:
    bl.function(form, num_api_spec_tokens=64)(backend=model).sync()
    assert len(model.calls) == 3


def test_branches_write_ahead_on_their_own() -> None:
    model = completion_model(continues(FORM))

    @bl.function(num_api_spec_tokens=64)
    def program(s: bl.ProgramState) -> None:
        s += "Fill in.\n"
        forks = s.fork(2)
        for fork in forks:
            form(fork)
        forks.join()

    state = program(backend=model)
    assert state["job"] == [" pilot", " pilot"]
    assert sum(call.sampling.max_new_tokens > 0 for call in model.calls) == 2


def chat_model(*turns: str) -> Scripted:
    """A chat model that writes these turns, one after the other, whatever it is asked."""
    left = iter(turns)
    model = Scripted(reply=lambda prompt: next(left), info=model_info(role_markup=CHATML))
    model.is_chat_model = True
    return model


@bl.function(num_api_spec_tokens=64)
def character(s: bl.ProgramState) -> None:
    s += bl.user("Make up a character.")
    with s.assistant():
        form(s)


def test_a_chat_turn_of_several_gens_is_one_call() -> None:
    model = chat_model(FORM)
    state = character(backend=model)
    assert state["job"] == " pilot"
    assert state.messages()[-1]["content"] == FORM
    # The turn is asked for from its beginning: a chat model writes whole turns.
    assert model.calls[0].text.endswith("<|assistant|>")


def test_a_variable_can_be_read_in_the_middle_of_the_turn() -> None:
    @bl.function(num_api_spec_tokens=64)
    def program(s: bl.ProgramState) -> None:
        s += bl.user("?")
        with s.assistant():
            s += "Name:" + bl.gen("name", stop="\n")
            seen.append(s["name"])
            s += "\nBirthday:" + bl.gen("birthday", stop="\n")

    seen: list[str] = []
    program(backend=chat_model(FORM)).sync()
    assert seen == [" Ann"]


def test_a_chat_model_has_three_tries_to_follow_the_format() -> None:
    state = character(backend=chat_model("Sure! Here is one.", "Hm.", FORM))
    assert state["birthday"] == " May 4"


def test_a_chat_model_that_never_follows_is_told() -> None:
    with pytest.raises(bl.GenerationError, match="should begin with 'Name:'") as caught:
        character(backend=chat_model("a", "b", "c"))["name"]
    assert caught.value.variable == "name"


def test_the_last_gen_of_a_chat_turn_may_be_cut_by_its_limit() -> None:
    @bl.function(num_api_spec_tokens=20)
    def program(s: bl.ProgramState) -> None:
        s += bl.user("?")
        s += bl.assistant("Name:" + bl.gen("name", stop="\n") + "\nStory:" + bl.gen("story"))

    model = chat_model("Name: Ann\nStory: once upon a time")
    state = program(backend=model, max_new_tokens=20)
    assert (state["name"], state["story"]) == (" Ann", " onc")
    assert len(model.calls) == 1
