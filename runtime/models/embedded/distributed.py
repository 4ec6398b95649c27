"""Several training processes as one: on a shared CPU two single-threaded processes that meet once
a step are faster than one process whose threads meet in every operation.

Start with: torchrun --nproc-per-node 2 -m branchline.runtime.models.embedded.train --threads 1 ...
"""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn


class Workers:
    """This process and its peers; alone when not started by torchrun."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.count > 1:
            dist.init_process_group("gloo")

    @property
    def leads(self) -> bool:
        """True in the one process that writes files and reports."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.count > 1:
            dist.barrier()

    def average(self, network: nn.Module, numbers: list[float]) -> list[float]:
        """Average the gradients in place; return the numbers averaged as well."""
        if self.count == 1:
            return numbers
        grads = [weight.grad for weight in network.parameters() if weight.grad is not None]
        told = torch.tensor(numbers, device=grads[0].device)
        flat = torch.cat([grad.flatten() for grad in grads] + [told])
        dist.all_reduce(flat)
        flat /= self.count
        start = 0
        for grad in grads:
            grad.copy_(flat[start : start + grad.numel()].view_as(grad))
            start += grad.numel()
        return flat[start:].tolist()
