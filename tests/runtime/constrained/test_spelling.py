"""Forced text gets the tokens that the tokenizer gives the whole output, whoever chose the rest."""

from __future__ import annotations

import json

import pytest

from branchline.runtime.protocol import Choices, JsonSchema, Regex


def record(*names: str) -> JsonSchema:
    kinds = [{"type": "string"}, {"type": "integer"}, {"enum": ["yes", "yesterday", "no"]}]
    properties = {name: kinds[place % 3] for place, name in enumerate(names)}
    return JsonSchema(
        json.dumps({"type": "object", "properties": properties, "required": list(names)})
    )


CASES = [
    (record("name", "number", "note"), '{"name":"Ada Lovelace","number":12,"note":"yesterday"}'),
    (record("größe", "名前", "é", "霍格"), '{"größe":"é è","名前":7,"é":"no","霍格":"霍比特人"}'),
    (record('a"b', "line\n"), '{"a\\"b":"x","line\\n":-3}'),
    (record("😀", "😁"), '{"😀":"quick 😀 fox","😁":0}'),
    (Choices(["the quick brown fox", "the quick red fox"]), "the quick red fox"),
    (Choices(["é", "è", "ê"]), "è"),
    (Regex("AB-[0-9]{4}; total: [0-9]+\\.[0-9]{2} EUR"), "AB-1234; total: 19.99 EUR"),
]


def write(tokenizer, matcher, text: str, *, quotes: bool = False) -> tuple[list[int], int, int]:
    """The tokens of `text` when a model chooses the tokenizer's own where it has a choice, but with
    `quotes` the quote that ends a text by itself; how many were forced, and how often a choice was
    respelled."""
    data = text.encode()
    whole = tokenizer.encode_text(text)
    ids: list[int] = []
    num_forced = num_respelled = 0

    def take(tokens: list[int]) -> None:
        for token in tokens:
            assert matcher.accept(token)
        ids.extend(tokens)

    take(matcher.forced().token_ids)
    num_forced += len(ids)
    while not matcher.finished:
        done = tokenizer.bytes_of(ids)
        assert data.startswith(done)
        rest = data[len(done) :]
        if not rest:
            assert matcher.accept(tokenizer.eos_ids[0])
            break
        if quotes and rest[:2] in (b'",', b'"}'):
            chosen = tokenizer.encode_text('"')[0]
        elif ids == whole[: len(ids)]:
            chosen = whole[len(ids)]
        else:
            chosen = tokenizer.encode_text(rest.decode())[0]
        assert matcher.accept(chosen)
        forced = matcher.forced(None, 1)
        if forced.num_respelled:
            matcher.rollback(1)
            num_respelled += 1
        else:
            ids.append(chosen)
        take(forced.token_ids)
        num_forced += len(forced.token_ids) - forced.num_respelled
    assert tokenizer.bytes_of(ids) == data
    return ids, num_forced, num_respelled


@pytest.mark.parametrize(("constraint", "text"), CASES)
def test_forced_tokens_are_those_of_the_whole_text(compiler, tokenizer, constraint, text):
    matcher = compiler.compile(constraint).matcher()
    ids, _, num_respelled = write(tokenizer, matcher, text)
    assert ids == tokenizer.encode_text(text)
    assert num_respelled == 0


@pytest.mark.parametrize(("constraint", "text"), CASES[:4])
def test_a_quote_that_was_chosen_alone_is_joined_with_what_is_forced(
    compiler, tokenizer, constraint, text
):
    matcher = compiler.compile(constraint).matcher()
    ids, num_forced, num_respelled = write(tokenizer, matcher, text, quotes=True)
    assert ids == tokenizer.encode_text(text)
    assert num_respelled > 0
    assert num_forced > 0


def test_most_tokens_of_a_record_with_long_names_are_forced(compiler, tokenizer):
    constraint = record("name", "number", "note")
    _, num_forced, _ = write(tokenizer, compiler.compile(constraint).matcher(), CASES[0][1])
    assert num_forced >= 0.35 * len(tokenizer.encode_text(CASES[0][1]))


def test_a_token_that_may_be_part_of_a_longer_one_is_only_likely(compiler, tokenizer):
    whole = tokenizer.encode_text('{"number":')
    free = JsonSchema('{"type":"object","properties":{"number":{}},"required":["number"]}')
    forced = compiler.compile(free).matcher().forced()
    assert forced.token_ids == whole[: len(forced.token_ids)]
    assert forced.likely == whole[len(forced.token_ids)]
    assert not forced.ends


def test_a_word_that_has_only_begun_is_not_spelled_yet(compiler, tokenizer):
    # "yes" goes on to "yesterday", which is spelled otherwise than "yes" and what follows.
    whole = tokenizer.encode_text("yesterday")
    begun = tokenizer.encode_text("yes")
    matcher = compiler.compile(Regex("yes(terday|[a-z]{3})!")).matcher()
    forced = matcher.forced().token_ids
    assert forced == whole[: len(forced)]
    if begun != whole[: len(begun)]:
        assert len(forced) < len(begun)


@pytest.mark.parametrize(("constraint", "text"), CASES)
def test_every_prefix_of_the_output_forces_tokens_of_the_whole(
    compiler, tokenizer, constraint, text
):
    whole = tokenizer.encode_text(text)
    matcher = compiler.compile(constraint).matcher()
    for place, token in enumerate(whole):
        forced = matcher.forced().token_ids
        assert whole[place : place + len(forced)] == forced
        assert matcher.accept(token)


def test_nothing_is_forced_that_the_budget_does_not_hold(compiler, tokenizer):
    grammar = compiler.compile(Choices(["the quick brown fox jumps", "over"]))
    matcher = grammar.matcher()
    assert matcher.accept(tokenizer.encode_text("the")[0])
    everything = matcher.forced(100)
    assert everything.ends
    least = len(everything.token_ids)
    assert matcher.forced(least) == everything
    # The canonical spelling may be the shortest one; then a smaller budget holds none at all.
    for budget in range(least):
        assert not matcher.forced(budget).ends


def test_a_forced_end_says_that_nothing_follows(compiler, tokenizer):
    matcher = compiler.compile(record("number")).matcher()
    ids = tokenizer.encode_text('{"number":"x"')
    assert all(matcher.accept(token) for token in ids)
    forced = matcher.forced(None, 1)
    ids[len(ids) - forced.num_respelled :] = forced.token_ids
    assert ids == tokenizer.encode_text('{"number":"x"}')
    assert forced.ends
