"""Muon for the matrices, AdamW for the rest.

Muon: https://kellerjordan.github.io/posts/muon/. Matrices of one shape are orthogonalised in one
batched product, which on a CPU is several times faster than one by one.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices. matrices: [count, rows, columns], rows <= columns."""
    a, b, c = NEWTON_SCHULZ
    x: Tensor = matrices.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon:
    """Momentum, orthogonalised, for two-dimensional weights."""

    def __init__(self, weights: dict[str, nn.Parameter], momentum: float = 0.95) -> None:
        self.momentum = momentum
        self.weights = weights
        self.buffers = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.groups: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name, weight in weights.items():
            rows, columns = weight.shape
            self.groups[(min(rows, columns), max(rows, columns))].append(name)

    @torch.no_grad()
    def step(self, rate: float, decay: float) -> None:
        """One update; `rate` is the learning rate, `decay` the decoupled weight decay."""
        for names in self.groups.values():
            updates = []
            for name in names:
                grad, buffer = self.weights[name].grad, self.buffers[name]
                assert grad is not None
                buffer.lerp_(grad, 1 - self.momentum)
                update = grad.lerp(buffer, self.momentum)
                updates.append(update.mT if update.shape[0] > update.shape[1] else update)
            for name, update in zip(names, orthogonalise(torch.stack(updates)), strict=True):
                weight = self.weights[name]
                rows, columns = weight.shape
                update = update.mT if rows > columns else update
                weight.mul_(1 - rate * decay)
                weight.add_(update, alpha=-rate * max(1.0, rows / columns) ** 0.5)


class Optimizer:
    """Both optimizers behind one step, with tensors that can be saved and loaded."""

    def __init__(self, network: nn.Module, matrix_rate: float, other_rate: float) -> None:
        named = dict(network.named_parameters())
        matrices = {n: p for n, p in named.items() if p.ndim == 2 and "embed" not in n}
        self.others = {n: p for n, p in named.items() if n not in matrices}
        self.muon = Muon(matrices)
        self.matrix_rate, self.other_rate = matrix_rate, other_rate
        self.adam = torch.optim.AdamW(
            list(self.others.values()),
            lr=other_rate,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=True,
        )

    def step(self, factor: float) -> None:
        """Update with both rates times `factor`, then clear the gradients."""
        self.muon.step(self.matrix_rate * factor, decay=0.1)
        for group in self.adam.param_groups:
            group["lr"] = self.other_rate * factor
        self.adam.step()
        for weight in (*self.muon.weights.values(), *self.others.values()):
            weight.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Everything needed to go on later, by name."""
        saved = {f"muon.{name}": buffer for name, buffer in self.muon.buffers.items()}
        for name, weight in self.others.items():
            for key, value in self.adam.state[weight].items():
                saved[f"adam.{key}.{name}"] = value
        return {name: tensor.contiguous() for name, tensor in saved.items()}

    def load(self, saved: dict[str, Tensor]) -> None:
        """Take up what `tensors` gave."""
        for name, buffer in self.muon.buffers.items():
            buffer.copy_(saved[f"muon.{name}"])
        for name, weight in self.others.items():
            keys = ("step", "exp_avg", "exp_avg_sq")
            self.adam.state[weight] = {key: saved[f"adam.{key}.{name}"] for key in keys}
