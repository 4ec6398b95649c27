"""What the engine asks of the device that a model computes on; each kind is a file beside this one.

Nothing else in the runtime names a vendor's part of torch. A device of another make is a subclass
of `Device` and an entry in `select.py`; tests/runtime/device/ holds the tests that it must pass.
Imports torch and numpy only, so that bench.gpu runs on a machine that has no more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

from ..kernels.base import Attention, LayerOps
from ..models.errors import ModelLoadError

if TYPE_CHECKING:
    from ..sampling import RowSampler

Replay = Callable[[], torch.Tensor]
FetchAll = Callable[[], list[torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Kernels:
    """What computes a layer. description: in words, for whoever asks the engine.

    attention: made for (query heads, KV heads, head_dim, soft cap of scores or None). ops: fused
    operators, if there are any.
    kv_dtypes: to which keys and values may be rounded.
    """

    description: str
    attention: Callable[[int, int, int, float | None], Attention[Any]]
    ops: LayerOps | None = None
    kv_dtypes: frozenset[torch.dtype] = frozenset()


class Device(ABC):
    """One device. torch_device: where its tensors live.

    captures: a decode step can be captured once and replayed (`capture`).
    """

    torch_device: torch.device
    captures: bool = False

    @property
    def is_asynchronous(self) -> bool:
        """Whether work is queued, and the host goes on before it is done."""
        return False

    @property
    def compiles(self) -> bool:
        """Whether kernels are compiled at their first use, in the middle of a step."""
        return self.is_asynchronous

    def count_at(self, address: int) -> bool:
        """Have the kernels raise a number of eight bytes with every piece of work, each of some
        tenths of a second at most. Whether they do, and torch has no work of theirs."""
        return False

    @property
    def is_busy(self) -> bool:
        """Whether queued work is still being done, as far as the host can know without waiting."""
        return False

    @abstractmethod
    def default_dtype(self, num_parameters: int) -> torch.dtype:
        """The fastest type for weights and KV of a model of this size."""

    @abstractmethod
    def kv_budget(self, fraction: float, weight_bytes: int) -> int:
        """Bytes for keys and values: `fraction` of what is free beside weights that take
        `weight_bytes` and are still to come."""

    def default_kv_budget(self, weight_bytes: int) -> int:
        """`kv_budget` where nobody says which fraction."""
        return self.kv_budget(0.5, weight_bytes)

    @abstractmethod
    def kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        """The kernels for `EngineConfig`'s attention_backend and quantization. Raises
        ModelLoadError where this device has none such."""

    def deterministic_kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        """Of those, such that a sequence's results are the same bits whatever else is in the step,
        and however its tokens are divided among steps."""
        raise ModelLoadError(
            "deterministic results are for the C++ kernels of a CPU and Triton's of a GPU, not for "
            f"{self.describe()}; leave it off"
        )

    def sampler(self, max_rows: int, vocab_size: int) -> RowSampler | None:
        """What draws tokens from at most `max_rows` rows of logits without the host; None where the
        host is to do it."""
        return None

    @abstractmethod
    def put(self, arrays: Sequence[npt.NDArray[Any]]) -> list[torch.Tensor]:
        """Arrays [n] of the host, of one type, as tensors of the device: in one copy, and without
        waiting for it. The caller leaves them alone until the step that uses them is over."""

    @abstractmethod
    def fetch(self, tensor: torch.Tensor) -> Replay:
        """Begin to copy a tensor to the host; the function that is returned waits for that copy,
        and for nothing that was queued behind it, and gives the copy."""

    def fetch_all(self, compute: Callable[[], Sequence[torch.Tensor]]) -> FetchAll:
        """`fetch` of tensors that torch's operators make of what is queued."""
        reads = [self.fetch(tensor) for tensor in compute()]
        return lambda: [read() for read in reads]

    def draw(self, sampler: RowSampler, logits: torch.Tensor) -> torch.Tensor:
        """Queue the drawing of tokens from logits that may still be on their way."""
        return sampler.launch(logits)

    def pick(self, drawn: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """drawn[rows], to be fed to a model: queued behind the drawing. A token that could not be
        drawn is negative; what is computed from another in its place is dropped."""
        return drawn.index_select(0, rows).clamp(min=0)

    @abstractmethod
    def catch_up(self) -> None:
        """Before torch's operators touch what queued work does: wait where they would not come in
        their turn."""

    def capture(self, run: Replay) -> Replay:
        """Run `run` and note the work that it queues; the function that is returned does the same
        work again, on the same memory, and returns the same tensor. Only where `captures`."""
        raise NotImplementedError(f"{self.torch_device} captures nothing")

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until all queued work is done."""

    def describe(self) -> str:
        """Its name in words."""
        return str(self.torch_device)
