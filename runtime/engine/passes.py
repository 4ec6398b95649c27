"""The passes of one step through the model: prompts to be embedded, and all others. Used by the
engine core."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..scheduler.scheduler import Chunk, Scheduler
from ..scheduler.sequence import Sequence
from .embedding import pool, state_positions
from .forward import Runner, compute, split_rows
from .inputs import logit_positions
from .turn import Turn


class Passes:
    """blame: told of a sequence whose chunk cannot be computed."""

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        blame: Callable[[Sequence, Exception], None],
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._blame = blame

    def embed(self, chunks: list[Chunk]) -> list[Sequence]:
        """Compute chunks of prompts that are to be embedded; those that are through."""
        chunks = [chunk for chunk in chunks if chunk.seq.embed]
        if not chunks:
            return []
        positions = [state_positions(chunk) for chunk in chunks]
        device = self._runner.device
        computed = compute(self._runner.embed, device, chunks, positions, self._blame)
        for chunk in computed.chunks:
            self._scheduler.settle(chunk)
        return pool(computed)

    def forward(self, chunks: list[Chunk]) -> tuple[list[Turn], torch.Tensor]:
        """Compute the other chunks: whose turn it is to take tokens, and the rows of logits."""
        chunks = [chunk for chunk in chunks if not chunk.seq.embed]
        if not chunks:
            return [], torch.empty(0, 0)
        positions = [logit_positions(chunk) for chunk in chunks]
        device = self._runner.device
        computed = compute(self._runner.forward, device, chunks, positions, self._blame)
        for chunk in computed.chunks:
            self._scheduler.settle(chunk)
        return split_rows(computed), computed.rows
