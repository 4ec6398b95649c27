"""Scores of choices: which tokens are scored, and on what they are conditional."""

from __future__ import annotations

from service_desk import CONTEXT, Desk, only_error

from branchline.runtime.engine_protocol import Progress, Submit
from branchline.runtime.protocol import Score, Scores, Text, TokenLogprob, Tokens


def score(*choices: str, prompt: str = "the", unconditional: bool = False) -> Score:
    return Score("s", [Text(prompt)], list(choices), unconditional=unconditional)


def scored(submit: Submit) -> Progress:
    """An engine's answer in which each token's log probability is minus its id."""
    assert submit.logprobs is not None
    assert submit.logprobs.prompt_start is not None
    ids = submit.input_ids[submit.logprobs.prompt_start :]
    entries = [TokenLogprob(-float(token_id), token_id) for token_id in ids]
    return Progress(submit.sid, [], finish="length", cached_tokens=1, prompt_logprobs=entries)


def play(desk: Desk, request: Score) -> Scores:
    assert desk.ask(request) == []
    [scores] = desk.step(*(scored(submit) for submit in desk.submits()))
    assert isinstance(scores, Scores)
    return scores


def test_each_choice_is_scored_on_its_own_tokens(desk: Desk) -> None:
    scores = play(desk, score(" island", " world"))
    encode = desk.tokenizer.encode_text
    assert [choice.token_ids for choice in scores.choices] == [encode(" island"), encode(" world")]
    for choice in scores.choices:
        assert [entry.token_id for entry in choice.logprobs] == choice.token_ids
    assert scores.prompt_tokens_kept == len(encode("the")) == scores.usage.prompt_tokens
    assert {submit.sampling.max_new_tokens for submit in desk.submits()} == {0}


def test_a_choice_that_comes_again_is_scored_again(desk: Desk) -> None:
    first, _, again = play(desk, score(" island", " world", " island")).choices
    assert first == again


def test_each_scored_token_is_told_with_its_text(desk: Desk) -> None:
    scores = play(desk, score(" island", unconditional=True))
    [choice] = scores.choices
    assert "".join(entry.text or "" for entry in choice.logprobs) == " island"
    assert choice.unconditional is not None
    assert "".join(entry.text or "" for entry in choice.unconditional) == " island"


def test_where_a_choice_merges_with_the_prompt_all_are_scored_from_there(desk: Desk) -> None:
    """ " is" + "land" is the one token " island", so " is" is scored again for the others too."""
    scores = play(desk, score("land", " green", prompt="the is"))
    encode = desk.tokenizer.encode_text
    kept = len(encode("the"))
    assert scores.prompt_tokens_kept == kept
    assert [choice.token_ids for choice in scores.choices] == [
        encode("the island")[kept:],
        encode("the is green")[kept:],
    ]


def test_where_a_choice_merges_with_all_of_the_prompt_each_is_scored_behind_it(desk: Desk) -> None:
    scores = play(desk, score("land", " green", prompt=" is"))
    encode = desk.tokenizer.encode_text
    assert scores.prompt_tokens_kept == len(encode(" is")) == 1
    assert [choice.token_ids for choice in scores.choices] == [encode("land"), encode(" green")]


def test_choices_behind_nothing_are_refused(desk: Desk) -> None:
    error = only_error(desk.ask(score("a", prompt="")))
    assert (error.code, error.message) == (
        "invalid_request",
        "the prompt has no tokens; give at least one character",
    )


def test_generated_tokens_at_the_prompt_s_end_are_never_split_again(desk: Desk) -> None:
    ids = desk.tokenizer.encode_text("the is")
    scores = play(desk, Score("s", [Tokens(ids)], ["land"]))
    assert scores.prompt_tokens_kept == len(ids)
    assert scores.choices[0].token_ids == desk.tokenizer.encode_text("land")


def test_unconditional_scores_are_of_the_same_tokens_alone(desk: Desk) -> None:
    scores = play(desk, score(" island", " world", unconditional=True))
    alone = [submit for submit in desk.submits() if submit.logprobs.prompt_start == 0]
    assert [submit.input_ids for submit in alone] == [c.token_ids for c in scores.choices]
    for choice in scores.choices:
        assert choice.unconditional is not None
        assert [entry.token_id for entry in choice.unconditional] == choice.token_ids


def test_a_choice_that_does_not_fit_the_context_is_named(desk: Desk) -> None:
    error = only_error(desk.ask(score("x", "y" * CONTEXT)))
    assert (error.code, error.pointer) == ("context_length", "/choices/1")


def test_an_empty_choice_is_refused(desk: Desk) -> None:
    assert only_error(desk.ask(score("x", ""))).pointer == "/choices/1"
