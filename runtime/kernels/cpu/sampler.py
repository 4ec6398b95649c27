"""Draws the tokens of a step from the host's own memory, in C++ (src/sampling.h).

Used by the engine on a CPU; `runtime/sampling/` is the reference: the same tokens at temperature 0,
the same distribution from the same random numbers otherwise.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from ...sampling.logits import TokenMask
from ...sampling.sample import changed
from ...sampling.state import SamplingState
from .library import CpuKernels
from .queue import CpuQueue
from .signatures import array_type


class _Draw(ctypes.Structure):
    """As in src/kernels.h."""

    _fields_ = (
        ("logits", ctypes.c_void_p),
        ("mask", ctypes.c_void_p),
        ("drawn", ctypes.c_double),
        ("temperature", ctypes.c_float),
        ("top_p", ctypes.c_float),
        ("min_p", ctypes.c_float),
        ("top_k", ctypes.c_int32),
    )


class CpuSampler:
    """`RowSampler` for any number of rows."""

    def __init__(self, kernels: CpuKernels) -> None:
        self._kernels = kernels
        self._states: Sequence[SamplingState] = ()
        self._masks: Sequence[TokenMask | None] = ()
        self._ahead: Sequence[int] = ()

    def load(
        self,
        states: Sequence[SamplingState],
        masks: Sequence[TokenMask | None] | None = None,
        ahead: Sequence[int] | None = None,
    ) -> None:
        self._states = states
        self._masks = [None] * len(states) if masks is None else masks
        self._ahead = [0] * len(states) if ahead is None else ahead

    def launch(self, logits: torch.Tensor) -> torch.Tensor:
        rows, vocab = logits.shape
        if logits.dtype is not torch.float32 or logits.stride(1) != 1 or len(self._states) != rows:
            raise ValueError(
                f"logits {logits.dtype} {tuple(logits.shape)} for {len(self._states)} rows; they "
                "must be float32 and their rows contiguous"
            )
        draws, _kept = self._described(logits)
        tokens = torch.empty(rows, dtype=torch.int64)
        self._kernels.draw(draws, vocab, tokens)
        return tokens

    def queue(self, logits: torch.Tensor, queue: CpuQueue) -> torch.Tensor:
        """`launch` behind what is queued, of which the logits may be; at once, when they are there,
        where penalties or biases are to be added to them."""
        if not all(state.plain for state in self._states):
            queue.drain()
            return self.launch(logits)
        draws, _ = self._described(logits)
        level = self._kernels.level_address
        return queue.draw(level, draws, logits.shape[1], logits, self._masks)

    def _described(self, logits: torch.Tensor) -> tuple[ctypes.Array[_Draw], list[torch.Tensor]]:
        """The draws, and tensors that they point to."""
        rows = logits.shape[0]
        draws = array_type(_Draw, rows)()
        first, row_bytes = logits.data_ptr(), 4 * logits.stride(0)
        kept: list[torch.Tensor] = []
        for row, (state, mask) in enumerate(zip(self._states, self._masks, strict=True)):
            draw = draws[row]
            draw.logits = first + row * row_bytes
            if not state.plain:
                own = changed(logits[row : row + 1], [state], [mask])
                kept.append(own)
                draw.logits = own.data_ptr()
            elif mask is not None:
                draw.mask = mask.ctypes.data
            if state.greedy:
                continue
            draw.drawn = state.number(self._ahead[row])
            draw.temperature, draw.top_p, draw.min_p = state.numbers[:3]
            draw.top_k = state.top_k
        return draws, kept
