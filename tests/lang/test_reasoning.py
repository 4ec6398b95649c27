"""Splitting thinking from answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import branchline as bl
from branchline.runtime.reasoning import detected_format, reasoning_format, reasoning_tags


@pytest.mark.parametrize(
    ("model_type", "output", "thinking", "answer"),
    [
        ("qwen3", "<think>hm</think>42", "hm", "42"),
        ("qwen3", "\n<think>\nhm\n</think>\n\n42", "hm", "42"),
        ("qwen3", "42", "", "42"),
        ("qwen3", "hm</think>42", "hm", "42"),
        ("qwen3", "<think>cut", "cut", ""),
        ("deepseek-r1", "hm</think>42", "hm", "42"),
        ("deepseek-r1", "cut", "cut", ""),
        ("kimi", "◁think▷hm◁/think▷42", "hm", "42"),
        ("Qwen3", "<think></think>42", "", "42"),
        ("kimi_k2", "<think>hm</think>42", "hm", "42"),
        ("minimax", "hm</think>42", "hm", "42"),
        ("step3p5", "cut", "cut", ""),
        ("mistral", "[THINK]hm[/THINK]42", "hm", "42"),
        ("mistral", "42", "", "42"),
        (
            "gpt-oss",
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>42",
            "hm",
            "42",
        ),
        ("gpt-oss", "analysishmassistantfinal42", "hm", "42"),
        ("gpt-oss", "analysiscut", "cut", ""),
        ("gpt-oss", "42", "", "42"),
    ],
)
def test_an_output_is_thinking_and_answer(model_type, output, thinking, answer):
    assert reasoning_format(model_type).split(output) == (thinking, answer)


@given(
    thinking=st.text(" a<th/ink>\n", max_size=12),
    answer=st.text(" b<\n", max_size=8),
    cut=st.integers(0, 40),
    size=st.integers(1, 7),
    model_type=st.sampled_from(["qwen3", "deepseek-r1", "kimi", "mistral", "gpt-oss"]),
    begun=st.booleans(),
    bare=st.booleans(),
)
def test_pieces_join_to_beginnings_of_the_whole(
    thinking, answer, cut, size, model_type, begun, bare
):
    form = reasoning_format(model_type)
    tags = form.without_marks() if bare else form
    whole = ((tags.begin if begun else "") + thinking + tags.end + answer)[: cut + 10]
    splitter = form.splitter()
    parts = [splitter.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
    expected = form.split(whole)
    assert expected[0].startswith("".join(part[0] for part in parts))
    assert expected[1].startswith("".join(part[1] for part in parts))


@given(
    output=st.text(" a<th/ink>\n", max_size=30),
    thinking=st.text(" a<th/ink>\n", max_size=12),
    mode=st.sampled_from(["as it is", "tagged", "inside"]),
    size=st.integers(1, 7),
)
def test_pieces_and_the_end_join_to_the_whole(output, thinking, mode, size):
    form = detected_format(("<think>", "</think>"), "<think>\n" if mode == "inside" else "")
    if mode != "as it is":
        output = ("<think>" if mode == "tagged" else "") + thinking + "</think>" + output
    splitter = form.splitter()
    parts = [splitter.feed(output[at : at + size]) for at in range(0, len(output), size)]
    parts.append(splitter.finish())
    joined = "".join(part[0] for part in parts), "".join(part[1] for part in parts)
    assert joined == form.split(output)


def test_an_answer_without_thinking_is_told_at_once():
    splitter = detected_format(("<think>", "</think>"), "").splitter()
    assert splitter.feed("Well,") == ("", "Well,")
    assert splitter.feed(" </think>") == ("", " </think>")


def test_a_template_tells_the_tags_it_knows():
    assert reasoning_tags("{{ content.split('</think>')[-1] }}") == ("<think>", "</think>")
    assert reasoning_tags("{{ content }}") is None


def test_thinking_and_answer_are_streamed_as_they_come(model):
    model.reply = lambda prompt: "<think>first this, then that</think>\n\nso it is"

    @bl.function
    def program(s):
        s += bl.separate_reasoning(bl.gen("a"), model_type="qwen3") + "."

    state = program.run(stream=True, backend=model)
    thinking = list(state.text_iter("a_reasoning_content"))
    answer = list(state.text_iter("a"))
    assert len(thinking) > 3
    assert len(answer) > 2
    assert "".join(thinking) == state["a_reasoning_content"] == "first this, then that"
    assert "".join(answer) == state["a"] == "so it is"
    assert "".join(state.text_iter()) == "so it is."


@pytest.mark.parametrize("stream", [False, True])
def test_each_of_several_outputs_has_its_thinking(model, stream):
    model.reply = lambda prompt: "<think>hm</think>42"

    @bl.function
    def program(s):
        s += "x" + bl.separate_reasoning(bl.gen("a", n=2), model_type="qwen3")

    state = program.run(backend=model, stream=stream)
    assert state["a"] == ["42", "421"]
    assert state["a_reasoning_content"] == ["hm", "hm"]
    assert "".join(state.text_iter("a_reasoning_content")) == "hm"
