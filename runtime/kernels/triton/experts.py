"""The weights of a layer's experts on a GPU, and its MLPs over them; `ops.py` makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch

from ..base import Expert
from ..float8 import Float8Weight
from .moe import Tile, add_expert_mlps
from .packing import Quantized


class TritonExperts:
    """`ExpertsOp`: the experts' weights one behind the other.

    store: a weight as it is to be kept. tile: for all numbers of tokens, where it must not depend
    on them.
    """

    def __init__(
        self,
        experts: Iterable[Expert],
        store: Callable[[torch.Tensor | Float8Weight], Quantized],
        tile: Tile | None = None,
    ) -> None:
        stored = [(store(gate_up), store(down)) for gate_up, down in experts]
        self.gate_up, self.down = map(_stacked, zip(*stored, strict=True))
        self.tile = tile

    def add_to(
        self,
        residual: torch.Tensor,
        x: torch.Tensor,
        expert_ids: torch.Tensor,
        shares: torch.Tensor,
    ) -> torch.Tensor:
        weights = (self.gate_up, self.down)
        return add_expert_mlps(residual, x, *weights, expert_ids, shares, tile=self.tile)


def _stacked(experts: Sequence[Quantized]) -> Quantized:
    """The same weight of all experts, [experts, ...] each."""
    codes = torch.stack([expert.codes for expert in experts])
    # Neighbouring outputs' scales of one group are read together.
    scales = torch.stack([expert.scales.t() for expert in experts]).transpose(1, 2)
    return replace(experts[0], codes=codes, scales=scales)
