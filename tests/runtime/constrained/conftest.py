"""Small real tokenizers, trained on the spot, and what the grammar tests do with masks."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from branchline.runtime.constrained.base import Grammar, Matcher
from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.tokenizer import Tokenizer

CORPUS = [
    '{"name":"Ada Lovelace","number":"AB-1234","date":"2024-02-29","total":"19.99"}',
    '{"items":[{"name":"paper","quantity":3},{"name":"ink","quantity":12}],"note":null}',
    "yes no yesterday true false the quick brown fox jumps over the lazy dog, é è ü 霍格沃茨",
    '"},{"',
    '":"',
] * 8


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Byte-level BPE of 600 tokens: two end tokens, a special one and one that is not."""
    model = tokenizers.Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|end|>", "<|im_end|>", "<|im_start|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(CORPUS, trainer)
    model.add_tokens([tokenizers.AddedToken("<tool_call>", special=False)])
    return Tokenizer(json.loads(model.to_str()), eos_ids=(0, 1))


@pytest.fixture(scope="session")
def compiler(tokenizer: Tokenizer) -> GrammarCompiler:
    """For a vocabulary padded with 40 ids that no token has."""
    return GrammarCompiler(tokenizer, tokenizer.vocab_size + 40)


def mask_of(matcher: Matcher, vocab_size: int, remaining: int | None = None) -> set[int]:
    """The ids that a matcher allows."""
    row = np.full(-(-vocab_size // 32), 0x55555555, dtype=np.int32)
    matcher.fill_mask(row, remaining)
    return set(np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist())


@pytest.fixture(scope="session")
def allowed(tokenizer: Tokenizer) -> Callable[..., set[int]]:
    def ids(matcher: Matcher, remaining: int | None = None) -> set[int]:
        return mask_of(matcher, tokenizer.vocab_size + 40, remaining)

    return ids


@pytest.fixture(scope="session")
def accepts(tokenizer: Tokenizer) -> Callable[[Grammar, str], bool]:
    """Whether a grammar takes a whole text, spelled byte by byte."""
    by_bytes = {data: index for index, data in enumerate(tokenizer.token_bytes) if len(data) == 1}

    def check(grammar: Grammar, text: str) -> bool:
        matcher = grammar.matcher()
        taken = all(matcher.accept(by_bytes[bytes([byte])]) for byte in text.encode())
        return taken and matcher.accept(tokenizer.eos_ids[0])

    return check


@pytest.fixture(scope="session")
def generate(tokenizer: Tokenizer) -> Callable[..., str]:
    """Tokens drawn at random under the masks until the grammar or the budget ends it."""

    def draw(grammar: Grammar, budget: int, seed: int) -> str:
        rng = np.random.default_rng(seed)
        matcher = grammar.matcher()
        ids: list[int] = []
        for used in range(budget):
            choices = sorted(mask_of(matcher, tokenizer.vocab_size + 40, budget - used))
            token = int(rng.choice(choices))
            assert matcher.accept(token)
            if token in tokenizer.eos_ids:
                break
            ids.append(token)
            if matcher.finished:
                break
        return tokenizer.bytes_of(ids).decode()

    return draw


@pytest.fixture
def takes_its_end_once(tokenizer):
    """Checks a matcher of `a` or `ab`: the end is taken once, and taken back."""

    def check(matcher):
        (letter,) = tokenizer.encode_text("a")
        end = tokenizer.eos_ids[0]
        assert not matcher.accept(end)
        assert matcher.accept(letter)
        assert matcher.accept(end)
        assert matcher.finished
        assert not matcher.accept(letter)
        matcher.rollback(1)
        assert not matcher.finished
        assert matcher.accept(end)

    return check
