"""What a matcher does besides masks: taking back, copying, forcing."""

from __future__ import annotations

import json

import pytest

from branchline.runtime.protocol import Choices, JsonSchema, Regex

PERSON = JsonSchema(
    json.dumps(
        {
            "type": "object",
            "properties": {"name": {"type": "string"}, "number": {"type": "integer"}},
            "required": ["name", "number"],
        }
    )
)


def test_a_matcher_tells_how_far_the_output_is_from_complete(compiler, tokenizer):
    matcher = compiler.compile(Choices(["a", "abc"])).matcher()
    assert (matcher.min_tokens_to_accept, matcher.is_accepting) == (1, False)
    assert matcher.accept(tokenizer.encode_text("a")[0])
    assert (matcher.min_tokens_to_accept, matcher.is_accepting) == (0, True)


def test_rollback_returns_to_the_same_masks(compiler, tokenizer, allowed):
    matcher = compiler.compile(PERSON).matcher()
    seen = []
    ids = tokenizer.encode_text('{"name":"Ada","number":12}')
    for token in ids:
        seen.append(allowed(matcher))
        assert matcher.accept(token)
    assert matcher.finished
    for count in range(len(ids), 0, -1):
        matcher.rollback(1)
        assert not matcher.finished
        assert allowed(matcher) == seen[count - 1]


def test_rollback_goes_back_over_an_end_token(compiler, tokenizer, allowed):
    matcher = compiler.compile(Regex("a+")).matcher()
    matcher.accept(tokenizer.encode_text("a")[0])
    before = allowed(matcher)
    assert matcher.accept(tokenizer.eos_ids[0])
    assert matcher.finished
    matcher.rollback(1)
    assert not matcher.finished
    assert allowed(matcher) == before


def test_rollback_beyond_the_start_is_an_error(compiler):
    with pytest.raises(ValueError, match="cannot take back 1 of 0"):
        compiler.compile(PERSON).matcher().rollback(1)


def test_a_fork_goes_its_own_way(compiler, tokenizer, allowed):
    matcher = compiler.compile(Choices(["ax", "bx"])).matcher()
    before = allowed(matcher)
    fork = matcher.fork()
    assert fork.accept(tokenizer.encode_text("b")[0])
    assert allowed(matcher) == before
    assert matcher.accept(tokenizer.encode_text("a")[0])
    assert not matcher.finished


def test_keys_of_an_object_are_forced_in_the_tokenizers_own_spelling(compiler, tokenizer):
    matcher = compiler.compile(PERSON).matcher()
    forced = matcher.forced().token_ids
    whole = tokenizer.encode_text('{"name":"')
    # The last token stays open: it could be part of a longer one.
    assert forced == whole[: len(forced)]
    assert len(forced) >= len(whole) - 1 > 0
    assert all(matcher.accept(token) for token in forced)


def test_forced_tokens_are_the_next_tokens_of_the_canonical_spelling(compiler, tokenizer):
    ids = tokenizer.encode_text('{"name":"Ada Lovelace","number":12}')
    matcher = compiler.compile(PERSON).matcher()
    num_forced = 0
    for position, token in enumerate(ids):
        forced = matcher.forced().token_ids
        assert ids[position : position + len(forced)] == forced
        num_forced += len(forced)
        assert matcher.accept(token)
    assert num_forced > 0


def test_nothing_is_forced_where_the_output_may_end(compiler):
    assert compiler.compile(Choices(["", "certain"])).matcher().forced().token_ids == []


def test_choices_that_share_the_first_byte_of_a_character_force_no_half_of_it(compiler, tokenizer):
    for choices in (["é", "è"], ["霍格沃茨", "霍比特人"]):
        matcher = compiler.compile(Choices(choices)).matcher()
        tokenizer.bytes_of(matcher.forced().token_ids).decode()


def test_the_end_of_a_forced_output_is_forced_too(compiler, tokenizer):
    matcher = compiler.compile(Choices(["the quick brown fox"])).matcher()
    assert matcher.forced().token_ids == tokenizer.encode_text("the quick brown fox")
