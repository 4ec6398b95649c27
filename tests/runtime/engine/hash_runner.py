"""A model whose every answer proves that its KV was right: the next token is a hash of all before.

KV slot i of a sequence holds a hash of tokens[0..i]. "Attention" re-checks every slot that it
reads against the chain, so a stale, freed, foreign or misplaced slot is found at the very step that
reads it; a wrong but consistent chain is found because the output differs from `continuation`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine.batch import ForwardBatch

_MASK = 2**64 - 1
_SPREAD = 0x9E3779B97F4A7C15
_MIX = 0xD6E8FEB86659FD93
_START = 0x243F6A8885A308D3
EOS = 0


class SlotMismatch(AssertionError):
    """Attention read a slot that does not hold what the sequence computed."""


def extend_hash(before: int, token: int) -> int:
    value = ((before ^ ((token + 1) * _SPREAD & _MASK)) * _MIX) & _MASK
    return value ^ (value >> 32)


def _extend_hashes(before: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    value = (before ^ ((tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(_SPREAD))) * np.uint64(
        _MIX
    )
    return value ^ (value >> np.uint64(32))


def continuation(prompt: Iterable[int], num_tokens: int, vocab_size: int) -> list[int]:
    """What the model generates, computed without any engine."""
    state = _START
    for token in prompt:
        state = extend_hash(state, token)
    out = []
    for _ in range(num_tokens):
        token = state % vocab_size
        out.append(token)
        state = extend_hash(state, token)
    return out


class HashRunner:
    """Looks like a ModelRunner."""

    eos_token_ids: tuple[int, ...] = (EOS,)
    hidden_size = 0
    architecture = "HashChain"
    fingerprint = "hash-chain"
    device = CpuDevice()

    def __init__(self, num_slots: int, vocab_size: int = 61, context_length: int = 10_000) -> None:
        self.num_slots = num_slots
        self.vocab_size = vocab_size
        self.context_length = context_length
        self.num_calls = 0
        self.num_tokens_computed = 0
        self.largest_batch = 0
        self._hash = np.zeros(num_slots, np.uint64)
        self._token = np.full(num_slots, -1, np.int64)
        self._position = np.full(num_slots, -1, np.int64)

    def poison(self, slots: np.ndarray) -> None:
        """Freed slots must never be read again."""
        self._hash[slots] = np.uint64(0xDEAD)
        self._token[slots] = -1
        self._position[slots] = -1

    def read_kv(self, slots: np.ndarray) -> dict[str, torch.Tensor]:
        rows = [self._hash[slots].view(np.int64), self._token[slots], self._position[slots]]
        return {"chain": torch.from_numpy(np.stack(rows))[:, :, None]}

    def write_kv(self, slots: np.ndarray, kv: dict[str, torch.Tensor]) -> None:
        hashes, tokens, positions = kv["chain"][:, :, 0].numpy()
        self._hash[slots] = hashes.view(np.uint64)
        self._token[slots], self._position[slots] = tokens, positions

    def forward(self, batch: ForwardBatch) -> torch.Tensor:
        self.num_calls += 1
        tokens, positions = batch.token_ids.numpy(), batch.positions.numpy()
        new_slots = batch.new_slots.numpy()
        self.num_tokens_computed += len(tokens)
        self.largest_batch = max(self.largest_batch, len(batch.query_lens))
        if len(np.unique(new_slots)) != len(new_slots):
            raise SlotMismatch("two new tokens are stored in one slot")
        spans = []
        offset = 0
        for length, context in zip(batch.query_lens, batch.context_slots, strict=True):
            spans.append((slice(offset, offset + length), context.numpy()))
            offset += length
        if offset != len(tokens):
            raise SlotMismatch("the lengths of the queries do not add up to the tokens")
        for span, context in spans:
            self._store(tokens[span], positions[span], new_slots[span], context)
        for _, context in spans:
            self._attend(context)
        logits = torch.zeros(len(batch.logit_rows), self.vocab_size)
        states = self._hash[new_slots[batch.logit_rows.numpy()]]
        chosen = (states % np.uint64(self.vocab_size)).astype(np.int64)
        logits[torch.arange(len(chosen)), torch.from_numpy(chosen)] = 1.0
        return logits

    def _store(
        self, tokens: np.ndarray, positions: np.ndarray, slots: np.ndarray, context: np.ndarray
    ) -> None:
        length = len(tokens)
        start = len(context) - length
        if length < 1 or start < 0 or (context[start:] != slots).any():
            raise SlotMismatch("the context does not end with the new slots")
        if (positions != np.arange(start, len(context))).any():
            raise SlotMismatch("positions do not continue the context")
        state = int(self._hash[context[start - 1]]) if start else _START
        hashes = np.empty(length, np.uint64)
        for i, token in enumerate(tokens.tolist()):
            state = extend_hash(state, token)
            hashes[i] = state
        self._hash[slots] = hashes
        self._token[slots] = tokens
        self._position[slots] = positions

    def _attend(self, context: np.ndarray) -> None:
        if (self._position[context] != np.arange(len(context))).any():
            raise SlotMismatch("a slot holds a token of another position")
        hashes = self._hash[context]
        before = np.empty_like(hashes)
        before[0] = _START
        before[1:] = hashes[:-1]
        if (_extend_hashes(before, self._token[context]) != hashes).any():
            raise SlotMismatch("a slot holds a token of another sequence")


class HashTokenizer:
    """As much of a Tokenizer as the engine uses. Tokens are short words, so that stop strings span
    several, or begin inside of one; 0 is the end token."""

    def __init__(self, vocab_size: int = 61) -> None:
        self.vocab_size = vocab_size
        self.special_ids = frozenset({EOS})
        self.eos_ids = (EOS,)
        self.token_bytes = [b""] + [
            "".join(chr(ord("a") + (i * k) % 7) for k in range(1, 2 + i % 3)).encode()
            for i in range(1, vocab_size)
        ]

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        end = "" if skip_special_tokens else "</s>"
        return "".join(end if i == EOS else self.token_bytes[i].decode() for i in ids)
