"""Text of sequences: streams and whole outputs say the same, and tokens stand for the text."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branchline.runtime.protocol import SamplingParams, TokenLogprob
from branchline.runtime.server.output import OutputText, Piece
from branchline.runtime.tokenizer import Tokenizer


def run(
    tokenizer: Tokenizer, steps: list[list[int]], stops: list[str], *, stream: bool
) -> tuple[str, list[int], str | None, list[Piece]]:
    """Play an engine that ends at the first stop string; the output and the pieces shown."""
    text = OutputText(tokenizer, SamplingParams(stop=stops), stream=stream)
    pieces: list[Piece] = []
    so_far: list[int] = []
    matched: str | None = None
    for step in steps:
        so_far += step
        text.push(step, None)
        # On bytes, as an engine does: half a character is no match of a replacement character.
        data = tokenizer.bytes_of(so_far, True)
        found = [(data.find(stop.encode()), stop) for stop in stops if stop.encode() in data]
        if found:
            matched = min(found)[1]
            break
        if stream and (piece := text.take()) is not None:
            pieces.append(piece)
    output, rest = text.finish("stop" if matched else "length", matched)
    if rest is not None:
        pieces.append(rest)
    return output.text, output.token_ids, matched, pieces


STEPS = st.lists(st.lists(st.integers(0, 299), min_size=1, max_size=3), max_size=12)
STOPS = st.lists(
    st.sampled_from(["e", "lo", "he", " is", "\n", "ee", "é", "ö", "\ufffd"]), max_size=3
)


@given(steps=STEPS, stops=STOPS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_tokens_give_one_text_that_its_tokens_decode_to(
    tokenizer: Tokenizer, steps: list[list[int]], stops: list[str]
) -> None:
    text, token_ids, matched, _ = run(tokenizer, steps, stops, stream=False)
    whole = tokenizer.decode([token_id for step in steps for token_id in step])
    assert text == (whole.split(matched)[0] if matched else whole)
    assert tokenizer.decode(token_ids) == text


@given(steps=STEPS, stops=STOPS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_stream_joins_to_the_whole_output(
    tokenizer: Tokenizer, steps: list[list[int]], stops: list[str]
) -> None:
    text, token_ids, _, _ = run(tokenizer, steps, stops, stream=False)
    streamed, streamed_ids, _, pieces = run(tokenizer, steps, stops, stream=True)
    assert (streamed, streamed_ids) == (text, token_ids)
    assert "".join(piece.text for piece in pieces) == text
    assert [token_id for piece in pieces for token_id in piece.token_ids] == token_ids


@given(steps=STEPS, stops=STOPS, letters=st.lists(st.integers(60, 90), max_size=6))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_token_after_the_other_is_shown_as_by_the_long_way(
    tokenizer: Tokenizer, steps: list[list[int]], stops: list[str], letters: list[int]
) -> None:
    """With whole characters in a row before, between and behind, which take the short one."""
    plain = [[letter] for letter in letters]
    sampling = SamplingParams(stop=stops)
    short = OutputText(tokenizer, sampling, stream=True)
    long = OutputText(tokenizer, sampling, stream=True)
    for step in [*plain, *steps, *plain, *steps, *plain]:
        long.push(step, None)
        assert short.more(step, None) == long.take()
    for text in (short, long):
        text.push([72], None)
    assert short.finish("length", None) == long.finish("length", None)


def test_what_may_begin_a_stop_string_is_held_back_until_it_does_not(tokenizer: Tokenizer) -> None:
    text = OutputText(tokenizer, SamplingParams(stop=["world"]), stream=True)
    text.push(tokenizer.encode_text("hello wor"), None)
    first = text.take()
    text.push(tokenizer.encode_text("m"), None)
    second = text.take()
    assert first is not None
    assert second is not None
    assert (first.text, second.text) == ("hello ", "worm")


def test_a_stop_string_inside_a_token_leaves_the_token_s_beginning(tokenizer: Tokenizer) -> None:
    [hello] = tokenizer.encode_text("hello")
    text = OutputText(tokenizer, SamplingParams(stop=["lo"]), stream=False)
    text.push([hello], [TokenLogprob(-1.0, hello)])
    output, _ = text.finish("stop", "lo")
    assert output.text == "hel"
    assert tokenizer.decode(output.token_ids) == "hel"


def test_a_stop_string_before_the_least_length_stays(tokenizer: Tokenizer) -> None:
    text = OutputText(tokenizer, SamplingParams(stop=["is"], min_new_tokens=2), stream=False)
    for word in (" is", " green", " is"):
        text.push(tokenizer.encode_text(word), None)
    output, _ = text.finish("stop", "is")
    assert output.text == " is green "


def test_an_unfinished_character_is_never_shown(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_text("é")
    assert len(ids) == 2
    text = OutputText(tokenizer, SamplingParams(), stream=True)
    text.push(ids[:1], None)
    assert text.take() is None
    text.push(ids[1:], None)
    piece = text.take()
    assert piece is not None
    assert (piece.text, piece.token_ids) == ("é", ids)


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_follow_their_tokens(tokenizer: Tokenizer, stream: bool) -> None:
    ids = tokenizer.encode_text("the island is green")
    text = OutputText(tokenizer, SamplingParams(), stream=stream)
    shown: list[TokenLogprob] = []
    for token_id in ids:
        text.push([token_id], [TokenLogprob(-0.1, token_id)])
        if stream and (piece := text.take()) is not None:
            shown += piece.logprobs or []
    output, _ = text.finish("length", None)
    assert output.logprobs is not None
    assert [entry.token_id for entry in output.logprobs] == ids
    assert shown == (output.logprobs if stream else [])


@pytest.mark.parametrize("stream", [False, True])
def test_an_output_ends_where_its_stop_pattern_has_matched(
    tokenizer: Tokenizer, stream: bool
) -> None:
    text = OutputText(tokenizer, SamplingParams(stop_regex=["[0-9]+ "]), stream=stream)
    text.push(tokenizer.encode_text("costs "), None)
    shown = [text.take()] if stream else []
    text.push(tokenizer.encode_text("42 euros"), None)
    output, rest = text.finish("stop", "[0-9]+ ")
    assert output.text == "costs 42 "
    assert tokenizer.decode(output.token_ids) == "costs 42 "
    if stream:
        pieces = [piece for piece in [*shown, rest] if piece is not None]
        assert "".join(piece.text for piece in pieces) == "costs 42 "
