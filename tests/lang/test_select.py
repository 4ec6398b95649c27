"""select: the rules of the choices methods, and what programs see of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import Scripted

import branchline as bl
from branchline.lang.choices import Logprob


class Shown(str):
    """Text that is shown in other words, as an enum's member is."""

    def __str__(self):
        return f"Shown.{super().upper()}"


def tokens(*logprobs: float | None) -> list[Logprob]:
    return [(logprob, index, None) for index, logprob in enumerate(logprobs)]


def decide(method, rows, unconditional=None):
    known = [[value for value, _, _ in row if value is not None] for row in rows]
    return method(
        choices=[f"choice {i}" for i in range(len(rows))],
        normalized_prompt_logprobs=[sum(row) / len(row) for row in known],
        input_token_logprobs=rows,
        output_token_logprobs=[[] for _ in rows],
        unconditional_token_logprobs=unconditional,
    )


def test_token_length_normalized_takes_the_highest_mean_and_the_first_on_ties():
    rows = [tokens(-1.0, -3.0), tokens(-1.5), tokens(-1.0, -2.0)]
    assert decide(bl.token_length_normalized, rows).decision == "choice 1"


def test_greedy_token_selection_narrows_token_by_token():
    rows = [tokens(-0.1, -5.0), tokens(-0.1, -4.0, -9.0), tokens(-0.2, -0.1)]
    decision = decide(bl.greedy_token_selection, rows)
    assert decision.decision == "choice 1"


def test_greedy_token_selection_pads_a_short_choice_with_its_mean():
    rows = [tokens(-1.0), tokens(-1.0, -0.5)]
    decision = decide(bl.greedy_token_selection, rows)
    assert decision.meta_info["greedy_logprob_matrix"] == [[-1.0, -1.0], [-1.0, -0.5]]
    assert decision.decision == "choice 1"


def test_unconditional_likelihood_normalized_takes_the_largest_gain():
    rows = [tokens(-1.0, -1.0), tokens(-3.0, -3.0)]
    alone = [tokens(None, -2.0), tokens(None, -9.0)]
    decision = decide(bl.unconditional_likelihood_normalized, rows, alone)
    assert decision.meta_info["normalized_unconditional_prompt_logprobs"] == [0.0, 1.5]
    assert decision.decision == "choice 1"


def test_unconditional_likelihood_normalized_needs_its_logprobs():
    with pytest.raises(ValueError, match="unconditional"):
        decide(bl.unconditional_likelihood_normalized, [tokens(-1.0)])


def test_the_decision_continues_the_text(model):
    @bl.function
    def program(s):
        s += "is it " + bl.select("x", ["yes", "no"]) + "?"

    state = program.run(backend=model)
    assert state.text() == f"is it {state['x']}?"


def test_choices_may_be_any_iterable_of_texts():
    assert bl.select("x", (choice for choice in "ab")).choices == ("a", "b")
    assert bl.select("x", [Shown("a"), "b"]).choices == ("a", "b")
    with pytest.raises(ValueError, match="non-empty list"):
        bl.select("x", iter(()))


def test_meta_info_shows_the_scores(model):
    @bl.function
    def program(s):
        s += "is it " + bl.gen("x", choices=["yes", "no"])

    meta = program.run(backend=model).get_meta_info("x")
    assert meta is not None
    assert meta["input_token_logprobs"][1] == [(-1.25, 110, "n"), (-1.5, 111, "o")]
    assert len(meta["normalized_prompt_logprobs"]) == 2
    assert (meta["prompt_tokens"], meta["cached_tokens"]) == (6, 0)


def test_a_method_of_the_users_own_decides(model):
    class Last(bl.ChoicesSamplingMethod):
        def __call__(self, *, choices, **scores):
            return bl.ChoicesDecision(choices[-1], {"by": "rank"})

    @bl.function
    def program(s):
        s += bl.select("x", ["a", "b"], choices_method=Last())

    state = program.run(backend=model)
    assert state["x"] == "b"
    assert state.get_meta_info("x")["by"] == "rank"


def test_a_method_that_invents_a_choice_is_an_error(model):
    class Inventing(bl.ChoicesSamplingMethod):
        def __call__(self, *, choices, **scores):
            return bl.ChoicesDecision("c")

    @bl.function
    def program(s):
        s += bl.select("x", ["a", "b"], choices_method=Inventing())

    with pytest.raises(bl.GenerationError, match="Inventing decided for 'c'"):
        program.run(backend=model)["x"]


def test_a_method_that_raises_is_an_error_with_its_cause(model):
    class Broken(bl.ChoicesSamplingMethod):
        def __call__(self, *, choices, **scores):
            raise ZeroDivisionError

    @bl.function
    def program(s):
        s += bl.select("x", ["a", "b"], choices_method=Broken())

    error = program.run(backend=model).error()
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_unconditional_scores_are_asked_for_only_when_needed(model):
    @bl.function
    def program(s):
        s += bl.select("x", ["a"], choices_method=bl.unconditional_likelihood_normalized)
        s += bl.select("y", ["a"])

    state = program.run(backend=model)
    assert "unconditional_token_logprobs" in state.get_meta_info("x")
    assert "unconditional_token_logprobs" not in state.get_meta_info("y")


METHODS = (
    bl.token_length_normalized,
    bl.greedy_token_selection,
    bl.unconditional_likelihood_normalized,
)


@given(
    choices=st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6),
    method=st.sampled_from(METHODS),
    prompt=st.text(max_size=10),
)
def test_every_method_decides_for_one_of_the_choices(choices, method, prompt):
    @bl.function
    def program(s):
        s += prompt + bl.select("x", choices, choices_method=method)

    assert program.run(backend=Scripted())["x"] in choices
