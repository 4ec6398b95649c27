"""Random tokens of six kinds of tokenizers, decoded piece by piece (R18): the pieces make the whole
text, half a character is never shown, and nothing costs more than its length."""

from __future__ import annotations

import random
import re
import time

import pytest
from tokenizer_specs import SPECS

from branchline.runtime.protocol import SamplingParams, Text
from branchline.runtime.server.output import OutputText
from branchline.runtime.tokenizer import StreamDecoder, Tokenizer

SEQUENCES = pytest.mark.parametrize(
    "number",
    [
        400,
        pytest.param(170_000, marks=[pytest.mark.nightly, pytest.mark.timeout(7_200)]),
    ],
)
FAMILY = "👩\u200d👩\u200d👧\u200d👦"
TEXTS = [
    "naïve 霍格沃茨",
    FAMILY,
    "🏳️\u200d🌈é",
    "e\u0301\u0301\u0301",
    "\ufffd" * 7,
    "한국어",
    "a\0b",
]
# Not "\ufffd": bytes that are no text look like it and are not matched.
STOPS = ["e", "lo", "é", "霍", "👩", " b", "\n"]


@pytest.fixture(scope="module", params=SPECS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer(SPECS[request.param], eos_ids=(1,))


def random_ids(rng: random.Random, tokenizer: Tokenizer, texts: list[list[int]]) -> list[int]:
    """Tokens of any kind, and such as make characters of many bytes, whole and cut."""
    ids: list[int] = []
    for _ in range(rng.randrange(1, 6)):
        match rng.randrange(4):
            case 0:
                ids += [rng.randrange(tokenizer.vocab_size) for _ in range(rng.randrange(1, 9))]
            case 1:
                ids += rng.choice(texts)
            case 2:
                cut = rng.choice(texts)
                ids += cut[rng.randrange(len(cut)) :]
            case 3:
                cut = rng.choice(texts)
                ids += cut[: rng.randrange(1, len(cut) + 1)]
    return ids


def steps_of(rng: random.Random, ids: list[int]) -> list[list[int]]:
    steps = []
    while ids:
        size = rng.choice([1, 1, 1, 2, 5])
        steps.append(ids[:size])
        ids = ids[size:]
    return steps


@SEQUENCES
def test_pieces_make_the_whole_and_never_end_inside_a_character(
    tokenizer: Tokenizer, number: int
) -> None:
    rng = random.Random(18)
    texts = [tokenizer.encode([Text(text)]) for text in TEXTS]
    for _ in range(number):
        ids = random_ids(rng, tokenizer, texts)
        skip = rng.random() < 0.5
        decoder = StreamDecoder(tokenizer, skip)
        data, text = b"", ""
        for step in steps_of(rng, ids):
            data += tokenizer.bytes_of(step, skip)
            text += decoder.push(step)
            # All that is certain, and nothing that is not: what the bytes so far say, less the
            # beginning of a character at their end, of which there are three bytes at most.
            certain = data.decode("utf-8", "replace")
            assert certain.startswith(text), ids
            assert len(certain) - len(text) <= 3, ids
        assert text + decoder.finish() == data.decode("utf-8", "replace"), ids


@SEQUENCES
def test_a_stop_string_that_is_cut_over_pieces_is_never_shown_in_part(
    tokenizer: Tokenizer, number: int
) -> None:
    rng = random.Random(81)
    texts = [tokenizer.encode([Text(text)]) for text in TEXTS]
    for _ in range(number // 2):
        steps = steps_of(rng, random_ids(rng, tokenizer, texts))
        stop = rng.choice(STOPS)
        output = OutputText(tokenizer, SamplingParams(stop=[stop]), stream=True)
        data, shown, matched = b"", "", False
        for step in steps:
            output.push(step, None)
            data += tokenizer.bytes_of(step, True)
            matched = stop.encode() in data
            if matched:
                break
            piece = output.take()
            shown += piece.text if piece is not None else ""
        done, rest = output.finish("stop", stop if matched else None)
        shown += rest.text if rest is not None else ""
        whole = data.decode("utf-8", "replace")
        assert done.text == shown, steps
        assert shown == (
            data.partition(stop.encode())[0].decode("utf-8", "replace") if matched else whole
        )


def test_a_prompt_that_ends_inside_a_character_shows_nothing_of_itself(
    tokenizer: Tokenizer,
) -> None:
    secret = "do not tell 霍"
    prompt = tokenizer.encode([Text(secret)])
    said = tokenizer.encode([Text("格沃茨 hello")])
    output = OutputText(tokenizer, SamplingParams(), stream=True)
    shown = ""
    # What the model says begins with the last bytes of the prompt's last character.
    for token_id in [*prompt[-1:], *said]:
        output.push([token_id], None)
        piece = output.take()
        shown += piece.text if piece is not None else ""
    done, rest = output.finish("length", None)
    shown += rest.text if rest is not None else ""
    assert shown == done.text
    assert shown.endswith("格沃茨 hello")
    assert not re.search("secret|do not|tell", shown)


def test_half_characters_that_are_shown_would_be_seen(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: every piece is decoded by itself."""

    def push(self: StreamDecoder, ids: list[int]) -> str:
        return tokenizer.bytes_of(ids, self._skip).decode("utf-8", "replace")

    monkeypatch.setattr(StreamDecoder, "push", push)
    for test in (
        test_pieces_make_the_whole_and_never_end_inside_a_character,
        test_a_stop_string_that_is_cut_over_pieces_is_never_shown_in_part,
    ):
        with pytest.raises(AssertionError):
            test(tokenizer, 400)


@pytest.mark.parametrize("data", [b"\xff", b"\xf0", b"\xe9", b"\xc3", b"\xc0", b"\x80"])
def test_bytes_that_are_no_text_are_not_held_until_the_end(
    tokenizer: Tokenizer, data: bytes
) -> None:
    """Whatever waits is looked at again with every token: a long run would cost its square."""
    token_id = next(i for i, known in enumerate(tokenizer.token_bytes) if known == data)
    output = OutputText(tokenizer, SamplingParams(), stream=True)
    num_shown = 0
    for number in range(1, 200):
        output.push([token_id], None)
        piece = output.take()
        num_shown += len(piece.token_ids) if piece is not None else 0
        assert number - num_shown <= 3


def cost_s(tokenizer: Tokenizer, ids: list[int]) -> float:
    """Processor time of streaming these tokens, the best of a few runs."""
    best = float("inf")
    for _ in range(5):
        output = OutputText(tokenizer, SamplingParams(stop=["zzz"]), stream=True)
        begun_s = time.thread_time()
        for token_id in ids:
            output.push([token_id], None)
            output.take()
        output.finish("length", None)
        best = min(best, time.thread_time() - begun_s)
    return best


@pytest.mark.nightly
def test_replacement_characters_cost_no_more_than_letters(tokenizer: Tokenizer) -> None:
    """10,000 tokens that are no text beside 10,000 that are: elsewhere they cost their square."""
    [*_, letter] = tokenizer.encode_text("aa")
    byte = next(i for i, data in enumerate(tokenizer.token_bytes) if data == b"\xff")
    ratio = cost_s(tokenizer, [byte] * 10_000) / cost_s(tokenizer, [letter] * 10_000)
    longer = cost_s(tokenizer, [byte] * 10_000) / cost_s(tokenizer, [byte] * 5_000)
    print(f"{ratio:.2f} of letters, {longer:.2f} for twice as many")
    assert ratio <= 2
    assert longer <= 3
