"""Draws the tokens of a step on the device: rows' inputs in fixed buffers, and the launches.

Used by the engine where logits are on a GPU. `runtime/sampling/` is the reference: the same token
at temperature 0, the same distribution otherwise, with a random stream of its own.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch
import triton

from . import sampling, scores

if TYPE_CHECKING:
    from ...sampling.logits import TokenMask
    from ...sampling.state import SamplingState

MOST_BIASES: Final = 1_024  # of one row, as the protocol allows

_BLOCK: Final = 1024
_TILE: Final = 2048


class DeviceSampler:
    """Tokens for up to `max_rows` rows of logits over `vocab_size` tokens.

    All buffers stay where they are, and which steps a row needs is decided on the device: what
    `launch` launches can be captured in a graph and replayed after every `load` of as many rows or
    fewer.

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
        self._bias_ids = buffer(max_rows * MOST_BIASES, dtype=torch.int32)
        self._biases = buffer(max_rows * MOST_BIASES)
        self._seen = buffer(max_rows, vocab_size, dtype=torch.int32)
        self._slots = _Slots(max_rows)
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
        here that its state does not know yet; none by default. A row with none counts its tokens
        as its state does; the others count on from what they drew.
        """
        rows = len(states)
        if rows > len(self.tokens):
            raise ValueError(f"{rows} rows do not fit a sampler for {len(self.tokens)}")
        ahead = [0] * rows if in_flight is None else in_flight
        packed, mask_rows = self._packed(states, [None] * rows if masks is None else masks)
        last_bias = np.cumsum([len(state.bias_ids) for state in states])

        # Rows behind the loaded ones, which a graph for more may compute, draw greedily and count
        # nothing.
        numbers = np.zeros(self._numbers.shape, np.float32)
        integers = np.zeros(self._integers.shape, np.int64)
        integers[:, [scores.SEEN.value, scores.MASK.value]] = -1
        counted: list[tuple[int, SamplingState]] = []
        for row, state in enumerate(states):
            params = state.params
            slot = self._slots.of(state) if state.penalized else -1
            if slot >= 0 and not ahead[row]:
                counted.append((slot, state))
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
                slot,
                mask_rows[row],
                last_bias[row] - len(state.bias_ids),
                last_bias[row],
            )
        if counted:
            self._count(counted)
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

        Returns int64 [rows] on the device, overwritten by the next launch: token ids, or
        NOTHING_ALLOWED or NOT_FINITE of `runtime/sampling/sample.py`. Nothing waits for the device.
        Tokens of rows with penalties are counted for the draws that follow.
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

    def _count(self, counted: list[tuple[int, SamplingState]]) -> None:
        """Fill the slots of `seen` with their states' tokens."""
        slots = np.array([slot for slot, _ in counted])
        sizes = [len(state.seen.ids) for _, state in counted]
        ids = np.concatenate([state.seen.ids for _, state in counted])
        times = np.concatenate([state.seen.generated for _, state in counted])
        places = np.repeat(slots, sizes) * self.vocab_size + ids
        self._seen.index_fill_(0, self._put(slots), 0)
        self._seen.view(-1).index_copy_(
            0, self._put(places), self._put(2 * times.astype(np.int32) + 1)
        )

    def _put(self, array: npt.NDArray[np.generic]) -> torch.Tensor:
        """On the device. Pinned memory is not reused before the copy is done: torch's allocator
        sees to that."""
        source = torch.from_numpy(array)
        if self._device.type == "cpu":
            return source
        return source.pin_memory().to(self._device, non_blocking=True)

    def _send(self, array: npt.NDArray[np.generic], buffer: torch.Tensor) -> None:
        """Into the beginning of `buffer`."""
        buffer[: len(array)].copy_(self._put(array), non_blocking=True)


class _Slots:
    """Which slot of `seen` counts which sequence's tokens; its own until its state is gone."""

    def __init__(self, number: int) -> None:
        self._free = list(range(number))
        self._of: dict[int, int] = {}

    def of(self, state: SamplingState) -> int:
        key = id(state)
        if key not in self._of:
            if not self._free:
                raise RuntimeError(
                    f"more than {len(self._of)} sequences with penalties are alive; make the "
                    "sampler for as many rows as sequences run"
                )
            self._of[key] = self._free.pop()
            weakref.finalize(state, self._release, key)
        return self._of[key]

    def _release(self, key: int) -> None:
        self._free.append(self._of.pop(key))


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
