"""The weights of a layer's experts on a GPU, and its MLPs over them; `ops.py` makes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from ..base import Expert
from .moe import add_expert_mlps
from .packing import Quantized, Storage, quantize


class TritonExperts:
    """`ExpertsOp`: the experts' weights one behind the other. storage: None for as they are."""

    def __init__(self, experts: Iterable[Expert], storage: Storage | None, group: int) -> None:
        gate_ups, downs = [], []
        for gate_up, down in experts:
            gate_ups.append(_stored(gate_up, storage, group))
            downs.append(_stored(down, storage, group))
        self.gate_up, self.down = _stacked(gate_ups), _stacked(downs)

    def add_to(
        self,
        residual: torch.Tensor,
        x: torch.Tensor,
        expert_ids: torch.Tensor,
        shares: torch.Tensor,
    ) -> torch.Tensor:
        return add_expert_mlps(residual, x, self.gate_up, self.down, expert_ids, shares)


def _stored(weight: torch.Tensor, storage: Storage | None, group: int) -> Quantized:
    if storage is not None:
        return quantize(weight, storage, group)
    outputs, inputs = weight.shape
    return Quantized("plain", outputs, inputs, 0, weight, weight.new_empty(0, 0), 1)


def _stacked(experts: list[Quantized]) -> Quantized:
    """The same weight of all experts, [experts, ...] each."""
    codes = torch.stack([expert.codes for expert in experts])
    # Neighbouring outputs' scales of one group are read together.
    scales = torch.stack([expert.scales.t() for expert in experts]).transpose(1, 2)
    return replace(experts[0], codes=codes, scales=scales)
