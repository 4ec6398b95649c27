"""Draws the tokens of a step on the device: rows' inputs in fixed buffers, and the launches.

Used by the engine where logits are on a GPU. `runtime/sampling/` is the reference: the same token
at temperature 0, the same distribution otherwise, with a random stream of its own.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
import triton

from ...protocol import MAX_LOGIT_BIAS
from ...sampling.logits import TokenMask
from ...sampling.state import SamplingState
from . import sampling, scores

NOTHING_ALLOWED: Final[int] = sampling.NOTHING_ALLOWED.value
NOT_FINITE: Final[int] = sampling.NOT_FINITE.value

_BLOCK: Final = 1024
_TILE: Final = 2048


class DeviceSampler:
    """Tokens for up to `max_rows` rows of logits over `vocab_size` tokens.

    All buffers stay where they are, and which steps a row needs is decided on the device: what
    `launch` launches can be captured in a graph and replayed after every `load`.

    block: tokens of the vocabulary per program, a power of two from 32 on.
    """

    def __init__(
        self, max_rows: int, vocab_size: int, device: torch.device, *, block: int = _BLOCK
    ) -> None:
        self.vocab_size = vocab_size
        self.block = block
        self._chunks = triton.cdiv(vocab_size, block)
        self._words = triton.cdiv(vocab_size, 32)
        self._device = device
        width = scores.WIDTH.value

        def buffer(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.tokens = buffer(max_rows, dtype=torch.int64)
        self._numbers = buffer(max_rows, width)
        self._integers = buffer(max_rows, width, dtype=torch.int64)
        self._masks = buffer(max_rows, self._words, dtype=torch.int32)
        self._bias_ids = buffer(max_rows * MAX_LOGIT_BIAS, dtype=torch.int32)
        self._biases = buffer(max_rows * MAX_LOGIT_BIAS)
        self._seen = buffer(max_rows, vocab_size, dtype=torch.int32)
        self._counters = _Counters(self._seen)
        # Between the kernels: of each chunk, of each row, and the candidates.
        self._of_chunks = [buffer(max_rows, self._chunks) for _ in range(3)]
        self._best_ids = buffer(max_rows, self._chunks, dtype=torch.int32)
        self._of_rows = [buffer(max_rows) for _ in range(3)]
        self._counts = buffer(max_rows, dtype=torch.int32)
        self._candidates = buffer(max_rows, vocab_size, dtype=torch.int32)
        self._keys = buffer(max_rows, vocab_size, dtype=torch.int32)

    def load(
        self,
        states: Sequence[SamplingState],
        masks: Sequence[TokenMask | None] | None = None,
        in_flight: Sequence[int] | None = None,
    ) -> None:
        """Copy what the rows' next tokens depend on to the device, without waiting for it.

        masks: packed as in `sampling.sample`. in_flight: for each row how many tokens were drawn
        here that its state does not know yet; none by default.
        """
        rows = len(states)
        if rows > len(self.tokens):
            raise ValueError(f"{rows} rows do not fit a sampler for {len(self.tokens)}")
        ahead = [0] * rows if in_flight is None else in_flight
        packed, mask_rows = self._packed(states, [None] * rows if masks is None else masks)
        last_bias = np.cumsum([len(state.bias_ids) for state in states])

        numbers = np.zeros((rows, self._numbers.shape[1]), np.float32)
        integers = np.zeros((rows, self._integers.shape[1]), np.int64)
        for row, state in enumerate(states):
            params = state.params
            numbers[row, :6] = (
                0.0 if state.greedy else params.temperature,
                params.top_p,
                params.min_p,
                params.repetition_penalty,
                params.frequency_penalty,
                params.presence_penalty,
            )
            integers[row, :7] = (
                state.noise_seed,
                state.num_new_tokens + ahead[row],
                params.top_k if 0 < params.top_k < self.vocab_size else 0,
                self._counters.slot(state, ahead[row]) if state.penalized else -1,
                mask_rows[row],
                last_bias[row] - len(state.bias_ids),
                last_bias[row],
            )
        self._send(numbers, self._numbers)
        self._send(integers, self._integers)
        if len(packed):
            self._send(np.stack(packed), self._masks)
        if rows and last_bias[-1]:
            ids = np.concatenate([state.bias_ids for state in states])
            self._send(ids.astype(np.int32), self._bias_ids)
            self._send(np.concatenate([state.bias for state in states]), self._biases)

    def launch(self, logits: torch.Tensor) -> torch.Tensor:
        """Draw a token for each row of `logits: [rows, vocab]`, for the rows last loaded.

        Returns int64 [rows] on the device, overwritten by the next launch: token ids,
        NOTHING_ALLOWED or NOT_FINITE. Nothing waits for the device. Tokens of rows with penalties
        are counted for the draws that follow.
        """
        rows, vocab = logits.shape
        if vocab != self.vocab_size or rows > len(self.tokens) or logits.stride(1) != 1:
            raise ValueError(
                f"logits must be rows of {self.vocab_size}, at most {len(self.tokens)} of them, not"
                f" {tuple(logits.shape)} with strides {logits.stride()}"
            )
        if not rows:
            return self.tokens[:0]
        inputs = (self._numbers, self._integers)
        edits = (*inputs, self._seen, self._masks, self._bias_ids, self._biases)
        scored = (logits, logits.stride(0), *edits)
        highest, totals, best = self._of_chunks
        tops, sums, floors = self._of_rows
        grid = (rows, self._chunks)
        sampling.draw_kernel[grid](
            *scored, highest, totals, best, self._best_ids, vocab, self._chunks, BLOCK=self.block
        )
        sampling.settle_kernel[(rows,)](
            *inputs,
            highest,
            totals,
            best,
            self._best_ids,
            self.tokens,
            tops,
            sums,
            floors,
            self._counts,
            vocab,
            self._chunks,
            CHUNKS=triton.next_power_of_2(self._chunks),
        )
        found = (self._candidates, self._keys)
        sampling.gather_kernel[grid](
            *scored,
            highest,
            tops,
            floors,
            self._counts,
            *found,
            vocab,
            self._chunks,
            BLOCK=self.block,
        )
        sampling.choose_kernel[(rows,)](
            *inputs, sums, floors, self._counts, *found, self.tokens, vocab, TILE=_TILE, num_warps=8
        )
        sampling.count_kernel[(rows,)](self.tokens, self._integers, self._seen, vocab, num_warps=1)
        return self.tokens[:rows]

    def forget(self, state: SamplingState) -> None:
        """Count the state's tokens anew at its next load: for when a token that was drawn here
        was not the one that joined the sequence."""
        self._counters.forget(state)

    def _packed(
        self, states: Sequence[SamplingState], masks: Sequence[TokenMask | None]
    ) -> tuple[list[TokenMask], list[int]]:
        """The distinct masks of the rows, and which of them each row has, -1 for none."""
        packed: list[TokenMask] = []
        row_of: dict[int, int] = {}
        mask_rows = []
        for state, mask in zip(states, masks, strict=True):
            if state.ends_forbidden:
                mask = _without_ends(mask, state.end_ids, self.vocab_size)
            if mask is None:
                mask_rows.append(-1)
                continue
            if id(mask) not in row_of:
                row_of[id(mask)] = len(packed)
                packed.append(mask[: self._words])
            mask_rows.append(row_of[id(mask)])
        return packed, mask_rows

    def _send(self, array: npt.NDArray[np.generic], buffer: torch.Tensor) -> None:
        """Into the beginning of `buffer`. Pinned memory is not reused before the copy is done:
        torch's allocator sees to that."""
        source = torch.from_numpy(array)
        if self._device.type != "cpu":
            source = source.pin_memory(self._device)
        buffer[: len(source)].copy_(source, non_blocking=True)


class _Counters:
    """Which slot of `seen: [slots, vocab]` counts which sequence's tokens."""

    def __init__(self, seen: torch.Tensor) -> None:
        self._seen = seen
        self._free = list(range(len(seen)))
        # Slot, and how many generated tokens it counts once all launches have run.
        self._known: dict[int, tuple[int, int]] = {}

    def slot(self, state: SamplingState, in_flight: int) -> int:
        """The state's slot, filled from the state when it does not count the same tokens, and
        counted on for the draw that follows."""
        tokens = state.num_new_tokens + in_flight
        slot, counted = self._known.get(id(state), (-1, -1))
        if slot < 0:
            slot = self._free.pop()
            weakref.finalize(state, self._release, id(state))
        if counted != tokens:
            if in_flight:
                raise RuntimeError(
                    f"a sequence of {tokens} tokens, {in_flight} of them drawn and not yet known, "
                    f"counts {counted}; take its tokens before drawing the next"
                )
            self._fill(slot, state)
        self._known[id(state)] = (slot, tokens + 1)
        return slot

    def forget(self, state: SamplingState) -> None:
        known = self._known.get(id(state))
        if known is not None:
            self._known[id(state)] = (known[0], -1)

    def _fill(self, slot: int, state: SamplingState) -> None:
        ids = torch.from_numpy(state.seen.ids.copy())
        times = torch.from_numpy(2 * state.seen.generated.astype(np.int32) + 1)
        row = self._seen[slot]
        row.zero_()
        row[ids.to(row.device)] = times.to(row.device)

    def _release(self, key: int) -> None:
        self._free.append(self._known.pop(key)[0])


def _without_ends(
    mask: TokenMask | None, end_ids: npt.NDArray[np.int64], vocab_size: int
) -> TokenMask:
    """The mask less the end tokens; itself if that allows nothing."""
    words = -(-vocab_size // 32)
    whole = np.full(words, -1, np.int32) if mask is None else mask[:words]
    kept = whole.copy()
    bits = (np.uint32(1) << (end_ids % 32).astype(np.uint32)).view(np.int32)
    np.bitwise_and.at(kept, end_ids // 32, ~bits)
    allowed = np.unpackbits(kept.view(np.uint8), bitorder="little", count=vocab_size)
    return kept if allowed.any() else whole
