"""A second device that really is another one for torch: its tensors are "second:0", what mixes them
with the host's fails as on a GPU, and every time the host waits for it is counted.

It computes with the CPU's operators on data that only this file reaches. It captures as GPUs do:
the operators that ran are noted with the memory that they worked on, and a replay runs these again
on that memory. Nothing of Python's runs again, so a number of the host's that found its way into a
captured step stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils import backend_registration

from branchline.runtime.device.accelerator import Accelerator
from branchline.runtime.device.base import Kernels, Replay
from branchline.runtime.device.cpu import TORCH_KERNELS
from branchline.runtime.sampling import SamplingState, sample

NAME = "second"
HOST = torch.device("cpu")
aten = torch.ops.aten
# What tells the host something that only the device knows.
_READS = (aten._local_scalar_dense.default, aten.equal.default)
# Their results' sizes depend on what tensors hold: the host waits inside of them.
_WAITS = (aten.nonzero.default, aten.masked_select.default, aten._unique2.default)

_MAKE_ROOM = (
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.empty_strided.default,
    aten.new_empty.default,
)


class Machine:
    """waits: the operators for which the host waited. tape: of the capture under way."""

    waits: list[str]
    tape: list[tuple[Any, Any, Any, Any]] | None = None


Machine.waits = []


class SecondTensor(torch.Tensor):
    """A tensor of the second device; `inside` is the memory that it stands for."""

    inside: torch.Tensor

    @staticmethod
    def __new__(cls, inside: torch.Tensor) -> SecondTensor:
        made: SecondTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inside.shape,
            strides=inside.stride(),
            storage_offset=inside.storage_offset(),
            dtype=inside.dtype,
            device=torch.device(NAME, 0),
        )
        made.inside = inside
        return made

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(op, *args, **(kwargs or {}))


def run(op: Any, *args: Any, **kwargs: Any) -> Any:
    """One operator on the second device, or between it and the host."""
    # In inference mode torch hands over operators that are made of others.
    parts = op.decompose(*args, **kwargs)
    if parts is not NotImplemented:
        return parts
    if op in (aten.copy_.default, aten._copy_from.default):
        src, dst = args[:2] if op is aten._copy_from.default else (args[1], args[0])
        waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        return copy(src, dst, waits)
    if op is aten._to_copy.default and kwargs.get("device", HOST).type == "cpu":
        if "device" in kwargs:
            wait(op)
            return op(args[0].inside, **kwargs).clone()
    elif op in _READS:
        wait(op)
        return op(*inside(args), **kwargs)
    elif op in _WAITS:
        wait(op)
    refuse_mixing(op, args, kwargs)
    if "device" in kwargs:
        kwargs["device"] = HOST
    args, kwargs = inside(args), inside(kwargs)
    result = op(*args, **kwargs)
    if Machine.tape is not None:
        Machine.tape.append((op, args, kwargs, result))
    return pytree.tree_map_only(torch.Tensor, SecondTensor, result)


def copy(src: torch.Tensor, dst: torch.Tensor, waits: bool) -> torch.Tensor:
    if isinstance(src, SecondTensor) != isinstance(dst, SecondTensor) and Machine.tape is not None:
        raise RuntimeError("a copy between host and device cannot be captured")
    if not isinstance(dst, SecondTensor) and waits:
        wait("copy to the host")
    inside(dst).copy_(inside(src))
    if Machine.tape is not None:
        Machine.tape.append((aten.copy_.default, (inside(dst), inside(src)), {}, inside(dst)))
    return dst


def wait(what: Any) -> None:
    if Machine.tape is not None:
        raise RuntimeError(f"{what} makes the host wait, which cannot be captured")
    Machine.waits.append(str(what))


def inside(tree: Any) -> Any:
    return pytree.tree_map_only(SecondTensor, lambda tensor: tensor.inside, tree)


def refuse_mixing(op: Any, args: Any, kwargs: Any) -> None:
    for leaf in pytree.tree_leaves((args, kwargs)):
        if isinstance(leaf, torch.Tensor) and not isinstance(leaf, SecondTensor) and leaf.dim():
            raise RuntimeError(f"{op}: expected all tensors on the same device, one is on the host")


def replay(tape: list[tuple[Any, Any, Any, Any]]) -> None:
    for op, args, kwargs, before in tape:
        if op in _MAKE_ROOM:
            continue  # what is written there follows
        after = op(*args, **kwargs)
        used = {t.untyped_storage().data_ptr() for t in tensors((args, kwargs))}
        for old, new in zip(tensors(before), tensors(after), strict=True):
            if old.untyped_storage().data_ptr() not in used:
                old.copy_(new)


def tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class _Hook(backend_registration._DummyPrivateUse1Hook):
    def is_available(self) -> bool:
        return False  # "auto" keeps to the CPU in all other tests of this process


class _Module(backend_registration._DummyBackendModule):
    def is_available(self) -> bool:
        return False


backend_registration._setup_privateuseone_for_python_backend(
    NAME, hook=_Hook(), backend_module=_Module()
)
_fallback = torch.library.Library("_", "IMPL")
_fallback.fallback(run, "PrivateUse1")
_copies = torch.library.Library("aten", "IMPL")
_copies.impl("_copy_from", lambda *args: run(aten._copy_from.default, *args), "PrivateUse1")


class SecondSampler:
    """Draws with the reference, on data that the host does not see."""

    def __init__(self) -> None:
        self._inputs: tuple[Any, ...] = ()

    def load(
        self,
        states: Sequence[SamplingState],
        masks: Sequence[Any] | None = None,
        ahead: Sequence[int] | None = None,
        /,
    ) -> None:
        self._inputs = states, masks, ahead

    def launch(self, logits: torch.Tensor, /) -> torch.Tensor:
        sampled = sample(inside(logits), *self._inputs)
        codes = [
            token if row not in sampled.failures else -1
            for row, token in enumerate(sampled.token_ids)
        ]
        return SecondTensor(torch.tensor(codes))


class SecondDevice(Accelerator):
    """events: "fetch" when a copy to the host begins, "wait" when the host waits for it, "replay"
    when captured work is queued again. draws: whether it draws tokens itself."""

    captures = True
    pins = False

    def __init__(self, kernels: Kernels = TORCH_KERNELS, *, draws: bool = True) -> None:
        super().__init__(torch.device(NAME, 0))
        self.events: list[str] = []
        self.num_captures = 0
        self._kernels = kernels
        self._draws = draws

    def free_bytes(self) -> int:
        return 2_000_000

    def default_dtype(self, num_parameters: int) -> torch.dtype:
        return torch.float32

    def kernels(self, backend: str, quantization: str, dtype: torch.dtype) -> Kernels:
        return self._kernels

    def sampler(self, max_rows: int, vocab_size: int) -> SecondSampler | None:
        return SecondSampler() if self._draws else None

    def fetch(self, tensor: torch.Tensor) -> Replay:
        self.events.append("fetch")
        return super().fetch(tensor)

    def mark(self) -> Callable[[], None]:
        is_over = False

        def wait_for_it() -> None:
            nonlocal is_over
            if not is_over:
                self.events.append("wait")
            is_over = True

        return wait_for_it

    def synchronize(self) -> None:
        """What it is told to do, it has done."""

    def capture(self, run: Replay) -> Replay:
        self.num_captures += 1
        Machine.tape = []
        try:
            result = run()
            tape = Machine.tape
        finally:
            Machine.tape = None

        def again() -> torch.Tensor:
            self.events.append("replay")
            replay(tape)
            return result

        return again
