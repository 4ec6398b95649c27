"""A model that writes a text of its own behind each prompt, in the tokenizer's own tokens."""

from __future__ import annotations

import numpy as np
import torch

from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.tokenizer import Tokenizer


class TextRunner:
    """Looks like a ModelRunner. texts: what is written behind which prompt.

    lone_quotes: a quote that ends a JSON string is a token of its own, whatever comes behind it.
    """

    architecture = "Text"
    fingerprint = "text"
    device = CpuDevice()
    hidden_size = 0
    context_length = 4_096

    def __init__(
        self,
        tokenizer: Tokenizer,
        texts: dict[tuple[int, ...], str],
        *,
        lone_quotes: bool = False,
        num_slots: int = 4_096,
    ) -> None:
        self.vocab_size = tokenizer.vocab_size
        self.eos_token_ids = tokenizer.eos_ids
        self.num_slots = num_slots
        self.num_calls = 0
        self._tokenizer = tokenizer
        self._texts = texts
        self._lone_quotes = lone_quotes
        self._tokens = np.zeros(num_slots, np.int64)

    def read_kv(self, slots: np.ndarray) -> dict[str, torch.Tensor]:
        """It keeps nothing: the next token follows from the text so far."""
        return {}

    def write_kv(self, slots: np.ndarray, kv: dict[str, torch.Tensor]) -> None:
        """As `read_kv`."""

    def forward(self, batch: ForwardBatch) -> torch.Tensor:
        self.num_calls += 1
        self._tokens[batch.new_slots.numpy()] = batch.token_ids.numpy()
        before: list[tuple[int, ...]] = []  # what stands before each new token, and itself
        for length, slots in zip(batch.query_lens, batch.context_slots, strict=True):
            context = tuple(self._tokens[slots.numpy()].tolist())
            before += [context[: len(context) - length + place + 1] for place in range(length)]
        logits = torch.zeros(len(batch.logit_rows), self.vocab_size)
        for row, place in enumerate(batch.logit_rows.tolist()):
            logits[row, self._next(before[place])] = 9.0
        return logits

    def _next(self, context: tuple[int, ...]) -> int:
        prompt = next(prompt for prompt in self._texts if context[: len(prompt)] == prompt)
        written = context[len(prompt) :]
        text = self._texts[prompt].encode()
        rest = text[len(self._tokenizer.bytes_of(written)) :]
        if not rest:
            return self.eos_token_ids[0]
        if self._lone_quotes and rest[:2] in (b'",', b'"}'):
            return self._tokenizer.encode_text('"')[0]
        whole = self._tokenizer.encode_text(text.decode())
        if written == tuple(whole[: len(written)]):
            return whole[len(written)]
        return self._continued(text, len(text) - len(rest))

    def _continued(self, text: bytes, place: int) -> int:
        """The token at a place to which other tokens led, perhaps inside a character."""
        start = place
        while 0x80 <= text[start] < 0xC0:
            start -= 1
        for token in self._tokenizer.encode_text(text[start:].decode()):
            if start >= place:
                return token
            start += len(self._tokenizer.token_bytes[token])
        raise AssertionError(f"no token of {text!r} begins at {place}")
