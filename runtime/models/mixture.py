"""A mixture of experts in the place of a layer's MLP (arXiv:1701.06538); the families that have one
make it.

A router chooses a few experts for each token, by softmax; their outputs are summed, each by its
share. A GPU computes all experts of a layer as one operator; here, which is its reference and what
CPUs compute, each is an MLP for the tokens that chose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..kernels.base import Expert, ExpertsOp, LayerOps
from .config import ModelConfig
from .layers import product, silu_mul
from .loader import Weights, packed_or_plain


class MixtureNames(NamedTuple):
    """What a family calls the tensors of a mixture; `{}` is the expert's number."""

    router: str
    gate: str
    up: str
    down: str


class Mixture:
    """One layer's router and experts: a `FeedForward`."""

    __slots__ = ("_experts", "_normalised", "_per_token", "_router")

    def __init__(self, weights: Weights, name: str, names: MixtureNames, config: ModelConfig):
        experts = config.experts
        if experts is None:
            raise ValueError(f"{config.architecture} has no experts")
        self._per_token, self._normalised = experts.per_token, experts.normalised
        hidden, size = config.hidden_size, experts.size
        router = weights.take(f"{name}.{names.router}", (experts.count, hidden))
        self._router = packed_or_plain(router, weights.ops, "router")

        def each() -> Iterator[Expert]:
            for number in range(experts.count):
                gate, up, down = (f"{name}.{pattern.format(number)}" for pattern in names[1:])
                gate_up = weights.keep_rows([gate, up], [(size, hidden)] * 2)
                yield gate_up, weights.keep_rows([down], [(hidden, size)])

        packed = None if weights.ops is None else weights.ops.pack_experts(each())
        self._experts: ExpertsOp = ExpertList(each(), weights.ops) if packed is None else packed

    def add_to(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """residual + mixture(x), in place."""
        return self._experts.add_to(residual, x, *self.choose(x))

    def choose(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(experts, shares) of each token, [tokens, per_token]: int64 and float32."""
        if isinstance(self._router, torch.Tensor):
            scores = F.linear(x, self._router).float()
        else:
            scores = self._router(x, None, torch.float32)
        shares, expert_ids = scores.softmax(-1).topk(self._per_token, -1)
        if self._normalised:
            shares /= shares.sum(-1, keepdim=True)
        return expert_ids, shares


class ExpertList:
    """`ExpertsOp` as an MLP per expert. Sums are in the order of the experts, so that a token's
    result does not depend on those beside it."""

    def __init__(self, experts: Iterable[Expert], ops: LayerOps | None) -> None:
        self._ops = ops
        self._experts = [
            (packed_or_plain(gate_up, ops), packed_or_plain(down, ops)) for gate_up, down in experts
        ]

    def add_to(
        self,
        residual: torch.Tensor,
        x: torch.Tensor,
        expert_ids: torch.Tensor,
        shares: torch.Tensor,
    ) -> torch.Tensor:
        total = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
        for expert in torch.unique(expert_ids).tolist():
            tokens, choices = (expert_ids == expert).nonzero(as_tuple=True)
            gate_up, down = self._experts[expert]
            out = product(silu_mul(product(x[tokens], gate_up), self._ops), down)
            total.index_add_(0, tokens, out * shares[tokens, choices].unsqueeze(1))
        return residual.add_(total)
