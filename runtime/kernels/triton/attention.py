"""Attention over KV slots on GPUs; the runner picks it on cuda.

Tables made once per step on the host (`plan.py`) say which queries meet which keys; `tiles.py`
computes them, `merge.py` puts partial results together. `torch_attention.py` is the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from ...engine.batch import ForwardBatch
from ...memory.kv_pool import LayerKV
from ..base import Attention, HeadNorm
from ..torch_attention import merge
from .merge import launch_merges
from .plan import TritonPlan
from .room import DecodeRoom, Works
from .rope import rope_store
from .tiles import launch_tiles
from .work import DeviceWork, Machine, Partials, new_partials

_FLOAT8_MAX: Final = 448.0


class TritonAttention(Attention[TritonPlan]):
    """The interface in `base.py` on `machine`; its deterministic mode, where it has one, makes a
    token's result independent of what else runs and of how its sequence was cut into steps.

    soft_cap: scores become soft_cap * tanh(score / soft_cap). Queries are float32, bfloat16 or
    float16; keys and values the same, or float8_e4m3fn.
    """

    def __init__(self, machine: Machine, soft_cap: float | None = None) -> None:
        self.machine = machine
        self.soft_cap = soft_cap
        self._partials: Partials | None = None
        # Of the step that is to be put into a fixed plan next.
        self._works: tuple[ForwardBatch, Works] | None = None

    def plan(self, batch: ForwardBatch) -> TritonPlan:
        return TritonPlan(batch, self.machine)

    def fixed_plan(
        self, batch: ForwardBatch, keys: int, windows: Sequence[int | None], *, shares: bool
    ) -> DecodeRoom:
        device = batch.positions.device
        return DecodeRoom(
            batch,
            self.machine,
            keys,
            windows,
            shares=shares,
            partials=lambda rows: self._room(rows, device),
        )

    def reads_shared(self, batch: ForwardBatch, windows: Sequence[int | None]) -> bool:
        plan = TritonPlan(batch, self.machine)
        works = {window: plan.make_decode(window) for window in windows}
        self._works = batch, works
        return any(len(work.launches) > 1 for work in works.values())

    def refill(self, plan: TritonPlan, batch: ForwardBatch) -> None:
        if not isinstance(plan, DecodeRoom):
            raise TypeError(f"a {type(plan).__name__} has no room for another step")
        known, self._works = self._works, None
        plan.load(batch, known[1] if known is not None and known[0] is batch else None)

    def store_kv(
        self, k: torch.Tensor, v: torch.Tensor, layer_kv: LayerKV, plan: TritonPlan
    ) -> None:
        for new, pool in ((k, layer_kv.k), (v, layer_kv.v)):
            if pool.dtype is torch.float8_e4m3fn:
                # Larger values would become NaN; torch copies no float8 by index, but bytes.
                new = new.clamp(-_FLOAT8_MAX, _FLOAT8_MAX).to(pool.dtype).view(torch.uint8)
                pool = pool.view(torch.uint8)
            pool.index_copy_(0, plan.batch.new_slots, new)

    def extend_attention(
        self,
        q: torch.Tensor,
        layer_kv: LayerKV,
        plan: TritonPlan,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        self._run(plan.extend(window), q, layer_kv, window, out)

    def decode_attention(
        self,
        q: torch.Tensor,
        layer_kv: LayerKV,
        plan: TritonPlan,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        self._run(plan.decode(window), q, layer_kv, window, out)

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        layer_kv: LayerKV,
        plan: TritonPlan,
        window: int | None,
    ) -> torch.Tensor:
        self.store_kv(k, v, layer_kv, plan)
        return self._attend_stored(q, layer_kv, plan, window)

    def attend_qkv(
        self,
        qkv: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        layer_kv: LayerKV,
        plan: TritonPlan,
        window: int | None,
        head_norm: HeadNorm | None = None,
    ) -> torch.Tensor:
        rope_store(qkv, cos, sin, layer_kv, plan.batch.new_slots, head_norm)
        return self._attend_stored(qkv[:, : self.machine.heads], layer_kv, plan, window)

    def merge(
        self, outputs: torch.Tensor, log_sums: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return merge(outputs, log_sums)

    def _attend_stored(
        self, q: torch.Tensor, layer_kv: LayerKV, plan: TritonPlan, window: int | None
    ) -> torch.Tensor:
        out = q.new_empty(q.shape)
        self.decode_attention(q, layer_kv, plan, window, out)
        self.extend_attention(q, layer_kv, plan, window, out)
        return out.flatten(1)

    def _run(
        self,
        work: DeviceWork | None,
        q: torch.Tensor,
        layer_kv: LayerKV,
        window: int | None,
        out: torch.Tensor,
    ) -> None:
        if work is None:
            return
        if q.stride(-1) != 1 or out.stride(-1) != 1 or out.stride(-2) != out.shape[-1]:
            raise ValueError("heads of queries, and rows of the output, must be contiguous")
        partials = work.partials or self._room(work.num_partials, q.device)
        for launch in work.launches:
            launch_tiles(launch, q, layer_kv, window, self.soft_cap, out, partials)
        if work.num_partials:
            launch_merges(work.merges, partials, out)

    def _room(self, rows: int, device: torch.device) -> Partials:
        """Room for partial results, the same for all layers and steps, because they run one after
        another. Where more is needed, what has the room before keeps it."""
        if self._partials is None or len(self._partials[0]) < rows:
            self._partials = new_partials(max(rows, 1), self.machine, device)
        return self._partials
