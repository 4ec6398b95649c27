"""What the engine keeps of an output for the next call is what the front process would append."""

from __future__ import annotations

import json

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from branchline.runtime.engine.succession import num_kept_tokens
from branchline.runtime.protocol import SamplingParams
from branchline.runtime.scheduler.stop import StopChecker
from branchline.runtime.server.output import OutputText
from branchline.runtime.tokenizer import Tokenizer

END = 2
STOPS = ["\n", "a", "\n\n", "<|im_end|>", "é", "ab"]


def small_tokenizer() -> Tokenizer:
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=275,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(["ab\n\nab é aa\n"] * 3, trainer)
    return Tokenizer(json.loads(trained.to_str()), eos_ids=(END,))


TOKENIZER = small_tokenizer()
# Pieces round the stops, and halves of characters.
IDS = sorted({i for text in ("ab\n\n é", "aa\na", "ö€") for i in TOKENIZER.encode_text(text)})


def ended(ids: list[int], sampling: SamplingParams) -> tuple[list[int], str | int | None]:
    """What is generated before a stop ends it, and that stop."""
    checker = StopChecker(sampling, 100, (END,), TOKENIZER.token_bytes, {"<|im_end|>": END})
    for count, token_id in enumerate(ids, 1):
        finish = checker.push(token_id)
        if finish is not None:
            return ids[:count], finish.matched_stop
    return ids, None


def appended(ids: list[int], matched: str | int | None, sampling: SamplingParams) -> list[int]:
    """The tokens of the output, as the front process tells them."""
    if isinstance(matched, int) and ids[-1:] == [matched]:
        ids = ids[:-1]
    text = OutputText(TOKENIZER, sampling, stream=False)
    text.push(ids[:-1], None)
    text.push(ids[-1:], None)
    output, _ = text.finish("stop", matched)
    return output.token_ids


@settings(max_examples=400, deadline=None)
@given(
    ids=st.lists(st.sampled_from([*IDS, END]), min_size=1, max_size=8),
    stop=st.lists(st.sampled_from(STOPS), max_size=2, unique=True),
    stop_regex=st.lists(st.sampled_from(["b+", "\n"]), max_size=1),
    skip=st.booleans(),
)
# Half a character before a stop that is a control token.
@example(ids=[*TOKENIZER.encode_text("ö")[:1], END], stop=["<|im_end|>"], stop_regex=[], skip=False)
def test_the_engine_keeps_the_tokens_that_the_front_process_appends(
    ids: list[int], stop: list[str], stop_regex: list[str], skip: bool
) -> None:
    sampling = SamplingParams(stop=stop, stop_regex=stop_regex, skip_special_tokens=skip)
    said, matched = ended(ids, sampling)
    num_kept = num_kept_tokens(said, matched, sampling, TOKENIZER.token_bytes)
    if num_kept is not None:
        assert said[:num_kept] == appended(said, matched, sampling)


@pytest.mark.parametrize(
    ("said", "stop", "kept"),
    [
        ("ab\n", "\n", 1),
        ("ab\n", "b\n", None),
        ("é\n", "\n", None),
    ],
)
def test_an_output_is_kept_where_its_stop_is_a_token_of_one_character(
    said: str, stop: str, kept: int | None
) -> None:
    ids = TOKENIZER.encode_text(said)
    sampling = SamplingParams(stop=[stop])
    assert num_kept_tokens(ids, stop, sampling, TOKENIZER.token_bytes) == kept
