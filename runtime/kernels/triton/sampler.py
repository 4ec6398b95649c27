"""Draws the tokens of a step on the device: rows' inputs in fixed buffers, and the launches.

Used by the engine where logits are on a GPU. `runtime/sampling/` is the reference: the same token
at temperature 0, the same distribution otherwise, with a random stream of its own.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

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
        # Integers and numbers of all rows, which travel together.
        self._rows = buffer(max_rows * (width + width // 2), dtype=torch.int64)
        self._integers, self._numbers = self._columns(self._rows)
        self._masks = buffer(max_rows, self._words, dtype=torch.int32)
        self._bias_ids = buffer(max_rows * MOST_BIASES, dtype=torch.int32)
        self._biases = buffer(max_rows * MOST_BIASES)
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
        ahead: Sequence[int] | None = None,
    ) -> None:
        """Copy what the rows' next tokens depend on to the device, without waiting for it.

        masks, ahead: as in `sampling.sample`.
        """
        rows = len(states)
        if rows > len(self.tokens):
            raise ValueError(f"{rows} rows do not fit a sampler for {len(self.tokens)}")
        packed, mask_rows = self._packed(states, [None] * rows if masks is None else masks)
        slots = self._counters.slots(states)
        last_bias = np.cumsum([len(state.bias_ids) for state in states])

        # Rows behind the loaded ones, which a graph for more may compute, draw greedily.
        staged = _staged(self._device, *self._rows.shape, dtype=torch.int64).zero_()
        integers, numbers = (columns.numpy() for columns in self._columns(staged))
        integers[:, [scores.SEEN.value, scores.MASK.value]] = -1
        if rows:
            numbers[:rows, :6] = [state.numbers for state in states]
            columns = integers[:rows].T
            columns[scores.SEED.value] = [state.noise_seed for state in states]
            columns[scores.POSITION.value] = [state.num_new_tokens for state in states]
            if ahead is not None:
                columns[scores.POSITION.value] += np.array(ahead, np.int64)
            columns[scores.TOP_K.value] = [state.top_k for state in states]
            columns[scores.SEEN.value] = slots
            columns[scores.MASK.value] = mask_rows
            columns[scores.FIRST_BIAS.value, 1:] = last_bias[:-1]
            columns[scores.LAST_BIAS.value] = last_bias
        self._rows.copy_(staged, non_blocking=True)
        if packed:
            words = _staged(self._device, len(packed), self._words, dtype=torch.int32)
            np.stack([mask[: self._words] for mask in packed], out=words.numpy())
            self._masks[: len(packed)].copy_(words, non_blocking=True)
        if rows and last_bias[-1]:
            ids = np.concatenate([state.bias_ids for state in states])
            biases = np.concatenate([state.bias for state in states])
            self._bias_ids[: len(ids)].copy_(_put(self._device, ids), non_blocking=True)
            self._biases[: len(ids)].copy_(_put(self._device, biases), non_blocking=True)

    def launch(self, logits: torch.Tensor) -> torch.Tensor:
        """Draw a token for each row of `logits: [rows, vocab]`, for the rows last loaded.

        Returns int64 [rows] on the device, overwritten by the next launch: token ids, or
        NOTHING_ALLOWED or NOT_FINITE of `runtime/sampling/sample.py`. Nothing waits for the device.
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
                packed.append(mask)
            mask_rows.append(row_of[id(mask)])
        return packed, mask_rows

    def _columns(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The integers and the numbers in `rows`, each [max_rows, WIDTH]."""
        width = scores.WIDTH.value
        end = len(self.tokens) * width
        return rows[:end].view(-1, width), rows[end:].view(torch.float32).view(-1, width)


class _Counters:
    """Which slot of `seen: [slots, vocab]` (`scores.py`) counts which sequence's tokens. A sequence
    that comes again brings only the tokens that joined it since."""

    def __init__(self, seen: torch.Tensor) -> None:
        self._seen = seen
        self._free = list(range(len(seen)))
        # By id, the longest unused first: the slot, and how many generated tokens it counts.
        self._of: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def slots(self, states: Sequence[SamplingState]) -> list[int]:
        """The slot of each state, which counts its tokens; -1 of those without penalties."""
        new = [state for state in states if state.penalized and id(state) not in self._of]
        known = [state for state in states if state.penalized and id(state) in self._of]
        self._add(known)
        for state in new:
            # The rows of a step are fewer than the slots: what is taken is none of theirs.
            slot = self._free.pop() if self._free else self._of.popitem(last=False)[1][0]
            self._of[id(state)] = (slot, len(state.seen.added))
            weakref.finalize(state, self._release, id(state))
        self._fill(new)
        return [self._of[id(state)][0] if state.penalized else -1 for state in states]

    def _add(self, states: list[SamplingState]) -> None:
        places: list[int] = []
        for state in states:
            slot, counted = self._of[id(state)]
            first = slot * self._seen.shape[1]
            places += [first + token for token in state.seen.added[counted:]]
            self._of[id(state)] = (slot, len(state.seen.added))
            self._of.move_to_end(id(state))
        if places:
            indices = _put(self._seen.device, np.array(places))
            twos = torch.full_like(indices, 2, dtype=torch.int32)
            self._seen.view(-1).index_add_(0, indices, twos)

    def _fill(self, states: list[SamplingState]) -> None:
        if not states:
            return
        slots = np.array([self._of[id(state)][0] for state in states])
        sizes = [len(state.seen.ids) for state in states]
        ids = np.concatenate([state.seen.ids for state in states])
        times = np.concatenate([state.seen.generated for state in states])
        places = np.repeat(slots, sizes) * self._seen.shape[1] + ids
        self._seen.index_fill_(0, _put(self._seen.device, slots), 0)
        times = 2 * times.astype(np.int32) + 1
        self._seen.view(-1).index_copy_(
            0, _put(self._seen.device, places), _put(self._seen.device, times)
        )

    def _release(self, key: int) -> None:
        known = self._of.pop(key, None)
        if known is not None:
            self._free.append(known[0])


def _staged(device: torch.device, *shape: int, dtype: torch.dtype) -> torch.Tensor:
    """Memory of the host to copy from without waiting. Torch's allocator hands it out again only
    when the copy is done."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type != "cpu")


def _put(device: torch.device, array: npt.NDArray[Any]) -> torch.Tensor:
    """On the device, without waiting."""
    source = torch.from_numpy(array)
    staged = _staged(device, *source.shape, dtype=source.dtype).copy_(source)
    return staged.to(device, non_blocking=True)


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
