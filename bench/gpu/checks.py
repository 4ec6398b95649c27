"""Every kernel of the GPU path against its definition in float64: `--check` runs this alone.

On a GPU the kernels run as they will be timed; without one Triton's interpreter runs them, on less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from branchline.runtime.device.base import Device, Kernels
from branchline.runtime.device.cpu import TORCH_KERNELS
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.kernels.base import Attention
from branchline.runtime.memory.kv_pool import KVPool, LayerKV

from .shapes import TINY, build
from .steps import Slots, decode_batch, extend_batch, separate, shared


@dataclass(frozen=True)
class Checked:
    """error: ||ours - expected|| / ||expected||, at most `allowed`. problem: what was raised."""

    name: str
    error: float
    allowed: float
    seconds: float
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem and self.error <= self.allowed


Check = tuple[str, float, Callable[[], float]]


def run_checks(device: Device, kernels: Kernels, small: bool) -> Iterator[Checked]:
    """kernels: those to check, `Device.kernels`. small: sizes for the interpreter."""
    for name, allowed, check in _Checks(device, kernels, small).all():
        start = time.perf_counter()
        try:
            with torch.inference_mode():
                error, problem = check(), ""
        except Exception as raised:  # the others are still worth knowing
            error, problem = float("inf"), f"{type(raised).__name__}: {raised}"
        yield Checked(name, error, allowed, time.perf_counter() - start, problem)


class _Checks:
    def __init__(self, device: Device, kernels: Kernels, small: bool) -> None:
        self.device, self.kernels, self.small = device, kernels, small
        self.where = device.torch_device
        # In the interpreter float32, which it computes as NumPy does; on a GPU what will be timed.
        self.dtype = torch.float32 if small else torch.bfloat16
        self.allowed = 1e-4 if small else 1e-2

    def all(self) -> list[Check]:
        checks: list[Check] = []
        shapes = [(4, 2, 16)] if self.small else [(32, 8, 128), (16, 8, 64), (8, 1, 256)]
        n = 1 if self.small else 16
        for heads in shapes:
            named = "x".join(map(str, heads))
            cases: list[tuple[str, list[Slots], int, int | None]] = [
                ("decode", separate(3, 70 * n), 1, None),
                ("decode, window", separate(3, 70 * n), 1, 33 * n),
                ("tree decode", shared(6 * n, 90 * n, 9), 1, None),
                ("extend", separate(2, 60 * n), 25 * n, None),
                ("extend, window", separate(2, 60 * n), 25 * n, 20 * n),
            ]
            for case, slots, new, window in cases:
                checks.append(
                    (
                        f"{case}, heads {named}",
                        self.allowed,
                        lambda heads=heads, slots=slots, new=new, window=window: self.attention(  # type: ignore[misc]
                            heads, slots, new, window
                        ),
                    )
                )
        checks += [
            ("attention, fixed plan refilled", self.allowed, self.fixed_plan),
            ("attention, soft cap", self.allowed, self.soft_cap),
            ("RMSNorm", self.allowed, self.norm),
            ("SiLU-mul", self.allowed, lambda: self.gate("silu")),
            ("GELU-mul", self.allowed, lambda: self.gate("gelu")),
            ("experts", self.allowed, self.experts),
            ("deterministic attention and products, bits that differ", 0.0, self.deterministic),
            ("model, whole step", 5 * self.allowed, self.model),
        ]
        if torch.float8_e4m3fn in self.kernels.kv_dtypes:
            checks.append(("attention, float8 keys and values", 5 * self.allowed, self.float8))
        if self.device.captures:
            checks.append(("model, captured steps", 5 * self.allowed, self.captured))
        # Of the same weight before rounding; int4 keeps 15 steps of each group's range.
        for name, allowed in (("int8", 0.02), ("int4", 0.15), ("fp8", 0.05)):
            checks.append((f"{name} linear", allowed, lambda name=name: self.linear(name)))  # type: ignore[misc]
        return checks

    def attention(
        self, heads: tuple[int, int, int], slots: list[Slots], new: int, window: int | None
    ) -> float:
        attention: Attention[Any] = self.kernels.attention(*heads, None)
        if new == 1:
            batch = decode_batch(self.device, slots)
        else:
            batch = extend_batch(self.device, slots, new)
        pool, q, k, v = self._filled(heads, slots, len(batch.token_ids))
        stored = _stored(pool, k, v, batch)
        out = attention.attend(q, k, v, pool, attention.plan(batch), window)
        return _error(out, expected_attention(q, stored, batch, window))

    def fixed_plan(self) -> float:
        """A plan for six sequences that held others is refilled with four."""
        heads = (4, 2, 16) if self.small else (32, 8, 128)
        attention: Attention[Any] = self.kernels.attention(*heads, None)
        before, slots = separate(6, 40), separate(4, 64, first=7)
        static = decode_batch(self.device, before)
        plan = attention.fixed_plan(static, 128, (None,), shares=False)
        if plan is None:
            raise RuntimeError("these kernels have no fixed plans, so no step can be captured")
        attention.refill(plan, static)
        pool, q, k, v = self._filled(heads, slots, 6)
        batch = decode_batch(self.device, slots)
        static.positions[:4] = batch.positions
        static.new_slots[:4] = batch.new_slots
        static.new_slots[4:] = int(max(own.max() for own in slots)) + 1
        attention.refill(plan, batch)
        stored = _stored(pool, k[:4], v[:4], batch)
        out = attention.attend(q, k, v, pool, plan, None)[:4]
        return _error(out, expected_attention(q[:4], stored, batch, None))

    def soft_cap(self) -> float:
        heads = (4, 2, 16) if self.small else (16, 8, 256)
        attention: Attention[Any] = self.kernels.attention(*heads, 2.0)
        slots = separate(3, 90)
        batch = decode_batch(self.device, slots)
        pool, q, k, v = self._filled(heads, slots, 3)
        stored = _stored(pool, k, v, batch)
        out = attention.attend(q, k, v, pool, attention.plan(batch), None)
        return _error(out, expected_attention(q, stored, batch, None, soft_cap=2.0))

    def float8(self) -> float:
        heads = (32, 8, 128)
        attention: Attention[Any] = self.kernels.attention(*heads, None)
        slots = separate(5, 300)
        batch = decode_batch(self.device, slots)
        pool, q, k, v = self._filled(heads, slots, 5)
        rounded = LayerKV(pool.heads.to(torch.float8_e4m3fn))
        out = attention.attend(q, k, v, rounded, attention.plan(batch), None)
        # What was stored is rounded, too: the check is of reading it.
        return _error(out, expected_attention(q, LayerKV(rounded.heads.to(q.dtype)), batch, None))

    def deterministic(self) -> float:
        """How many numbers are others when a sequence, or a row, is computed beside others."""
        if self.small:
            from branchline.runtime.kernels.triton.attention import TritonAttention
            from branchline.runtime.kernels.triton.ops import TritonOps
            from branchline.runtime.kernels.triton.work import machine_for

            attention: Any = TritonAttention(machine_for(8, 4, 2, 16, deterministic=True))
            ops: Any = TritonOps(deterministic=True)
        else:
            kernels = self.device.deterministic_kernels("auto", "none", self.dtype)
            attention, ops = kernels.attention(4, 2, 16, None), kernels.ops
        slots = separate(3, 70)
        pool, q, k, v = self._filled((4, 2, 16), slots, 3)
        together, alone = decode_batch(self.device, slots), decode_batch(self.device, slots[:1])
        several = attention.attend(q, k, v, pool, attention.plan(together), None)
        one = attention.attend(q[:1], k[:1], v[:1], pool, attention.plan(alone), None)
        product, x = ops.pack_linear(self._randn(130, 256)), self._randn(70, 256)
        differ = (several[:1] != one).sum() + (product(x)[:2] != product(x[:2])).sum()
        return float(differ)

    def experts(self) -> float:
        if self.kernels.ops is None:
            raise RuntimeError("these kernels have no fused operators")
        weights = [(self._randn(2 * 40, 64) / 8, self._randn(64, 40) / 6) for _ in range(5)]
        experts = self.kernels.ops.pack_experts(weights)
        if experts is None:
            raise RuntimeError("these kernels compute every expert by itself")
        x, shares = self._randn(20, 64), self._randn(20, 5).float().softmax(-1)
        shares, ids = shares.topk(2, -1)
        ours = experts.add_to(torch.zeros_like(x), x, ids, shares)
        expected = torch.zeros(x.shape, dtype=torch.float64, device=self.where)
        for number, (gate_up, down) in enumerate(weights):
            share = torch.where(ids == number, shares, 0).sum(1, keepdim=True).double()
            gate, up = (x.double() @ gate_up.double().mT).chunk(2, -1)
            expected += share * ((F.silu(gate) * up) @ down.double().mT)
        return _error(ours, expected)

    def norm(self) -> float:
        if self.kernels.ops is None:
            raise RuntimeError("these kernels have no fused operators")
        x, weight = self._randn(5, 300), self._randn(300)
        ours = self.kernels.ops.rms_norm(x, weight, 1e-5)
        wide = x.double()
        root = (wide.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return _error(ours, wide / root * weight.double())

    def gate(self, kind: str) -> float:
        if self.kernels.ops is None:
            raise RuntimeError("these kernels have no fused operators")
        x = self._randn(5, 600)
        gate, up = x.double().chunk(2, -1)
        if kind == "silu":
            return _error(self.kernels.ops.silu_mul(x), F.silu(gate) * up)
        return _error(self.kernels.ops.gelu_mul(x), F.gelu(gate, approximate="tanh") * up)

    def linear(self, name: str) -> float:
        ops: Any = self.device.kernels("auto", name, self.dtype).ops if not self.small else None
        if ops is None:
            from branchline.runtime.kernels.triton.ops import TritonOps

            ops = TritonOps(name)
        x, weight = self._randn(3, 256), self._randn(130, 256)
        return _error(ops.pack_linear(weight)(x), x.double() @ weight.double().mT)

    def model(self) -> float:
        """A prompt, then a token, by these kernels and by torch's."""
        return self._model_error(captured=False)

    def captured(self) -> float:
        return self._model_error(captured=True)

    def _model_error(self, captured: bool) -> float:
        ours = build(TINY, self.device, self.dtype, num_slots=200, kernels=self.kernels)
        plain = build(TINY, self.device, self.dtype, num_slots=200, kernels=TORCH_KERNELS)
        slots = separate(3, 30)
        batches = [extend_batch(self.device, [own[:20] for own in slots], 20)]
        batches += [
            decode_batch(self.device, [own[:length] for own in slots]) for length in (21, 22)
        ]
        worst = 0.0
        for step, batch in enumerate(batches):
            expected = plain.model.forward(batch, plain.pool, plain.attention)
            if captured and step:
                if ours.graphs is None or (found := ours.graphs.forward(batch)) is None:
                    raise RuntimeError("a decode step could not be captured")
            else:
                found = ours.model.forward(batch, ours.pool, ours.attention)
            worst = max(worst, _error(found, expected.double()))
        return worst

    def _randn(self, *shape: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(sum(shape))
        made = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return made.to(self.where, self.dtype)

    def _filled(
        self, heads: tuple[int, int, int], slots: list[Slots], tokens: int
    ) -> tuple[LayerKV, torch.Tensor, torch.Tensor, torch.Tensor]:
        count, kv_heads, head_dim = heads
        num_slots = int(max(own.max() for own in slots)) + 2
        pool = KVPool(1, num_slots, kv_heads, head_dim, self.dtype, self.where).layers[0]
        pool.heads.copy_(self._randn(2 * kv_heads, num_slots, head_dim))
        q = self._randn(tokens, count, head_dim)
        k, v = (self._randn(tokens + i, kv_heads, head_dim)[i:] for i in (1, 2))
        return pool, q, k, v


def _stored(layer_kv: LayerKV, k: torch.Tensor, v: torch.Tensor, batch: ForwardBatch) -> LayerKV:
    """A copy of a layer with the step's keys and values in their slots."""
    copy = LayerKV(layer_kv.heads.clone())
    copy.k[batch.new_slots], copy.v[batch.new_slots] = k, v
    return copy


def expected_attention(
    q: torch.Tensor,
    layer_kv: LayerKV,
    batch: ForwardBatch,
    window: int | None,
    soft_cap: float | None = None,
) -> torch.Tensor:
    """[tokens, heads * head_dim] in float64 from what is stored, sequence by sequence."""
    outs, row = [], 0
    for new, slots in zip(batch.query_lens, batch.context_slots, strict=True):
        k, v = (x[slots].double() for x in (layer_kv.k, layer_kv.v))
        length = len(slots)
        queries = torch.arange(length - new, length, device=slots.device).unsqueeze(1)
        keys = torch.arange(length, device=slots.device)
        allowed = keys <= queries
        if window is not None:
            allowed &= keys > queries - window
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        scores = torch.einsum("thd,khd->thk", q[row : row + new].double(), k) * q.shape[2] ** -0.5
        if soft_cap is not None:
            scores = soft_cap * (scores / soft_cap).tanh()
        weights = scores.masked_fill(~allowed.unsqueeze(1), -torch.inf).softmax(-1)
        outs.append(torch.einsum("thk,khd->thd", weights, v))
        row += new
    return torch.cat(outs).flatten(1)


def _error(ours: torch.Tensor, expected: torch.Tensor) -> float:
    difference = (ours.double() - expected).norm() / expected.norm()
    return float(np.nan_to_num(difference.item(), nan=float("inf")))
