"""Whole decode steps of a model of a published shape against what reading its weights and its KV
takes at least."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

import torch

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.memory.kv_pool import KVPool
from branchline.runtime.models.config import ModelConfig

from ..report import Report
from .limits import Limits
from .shapes import Built
from .steps import Slots, decode_batch, separate
from .timing import Mark


@dataclass(frozen=True)
class Steps:
    """`steps` decode steps of `count` sequences that begin with `context` tokens."""

    count: int
    context: int
    steps: int
    goal: float | None

    @property
    def slots(self) -> int:
        return self.count * (self.context + self.steps)


def that_fit(wanted: Steps, config: ModelConfig, dtype: torch.dtype, num_bytes: int) -> Steps:
    """As many of the sequences as there is memory for, without a goal where that is not all."""
    shape = (config.num_layers, config.num_kv_heads, config.head_dim)
    most = num_bytes // (KVPool.bytes_per_slot(*shape, dtype) * (wanted.context + wanted.steps))
    if most >= wanted.count:
        return wanted
    if not most:
        raise RuntimeError(f"{num_bytes} bytes hold no sequence of {wanted.context} tokens")
    return replace(wanted, count=most if most < 16 else most // 16 * 16, goal=None)


def decode_steps(built: Built, limits: Limits, report: Report, name: str, sizes: Steps) -> None:
    """Each step's inputs go from the host to the device, the tokens from one step to the next stay
    there, and the host reads them one step late, as in the engine's loop."""
    count, context, steps, goal = sizes.count, sizes.context, sizes.steps, sizes.goal
    slots = separate(count, context + steps)
    times, gaps = _run(built, slots, context, steps)
    median = statistics.median(times)
    replays = 0 if built.graphs is None else built.graphs.num_replays
    how = f"{replays} steps replayed so far"
    keys = count * (context + steps // 2)
    bound = (built.weight_bytes + keys * built.kv_bytes_per_token) / limits.bytes_per_s
    report.add(
        f"{name} step, {count} x {context}",
        bound / median,
        "of bandwidth bound",
        goal=goal,
        detail=f"{1e3 * median:.2f} ms, {count / median:,.0f} tokens/s; {built.kernels}, {how}",
    )
    if gaps:
        gap = statistics.median(gaps)
        report.add(
            f"{name}, gap between replays, {count}",
            150e-6 / max(gap, 1e-7),
            "x allowed",
            goal=1.0 if count >= 256 else None,
            detail=f"{1e6 * gap:.0f} us; allowed are 150",
        )


@torch.inference_mode()
def _run(
    built: Built, slots: list[Slots], context: int, steps: int
) -> tuple[list[float], list[float]]:
    """Seconds from the end of each step to that of the next, and of these between the end of one
    step's kernels and the beginning of the next's; the first steps, which compile, left out."""
    device = built.device
    tokens: torch.Tensor | None = None
    before = None
    begins, ends = [], []
    for step in range(steps):
        batch = decode_batch(device, [own[: context + step + 1] for own in slots])
        if tokens is not None:
            batch = replace(batch, token_ids=tokens)
        begins.append(Mark(device))
        tokens = _forward(built, batch).argmax(-1)
        ends.append(Mark(device))
        fetched = device.fetch(tokens)
        if before is not None:
            ids = before()
            if int(ids.min()) < 0 or len(ids) != len(slots):
                raise RuntimeError("a step gave no token")
        before = fetched
    device.synchronize()
    warm = min(5, steps // 2)
    times = [b.since(a) for a, b in zip(ends[warm:], ends[warm + 1 :], strict=False)]
    gaps = [b.since(a) for a, b in zip(ends[warm:], begins[warm + 1 :], strict=False)]
    return times, gaps if device.is_asynchronous else []


def _forward(built: Built, batch: ForwardBatch) -> torch.Tensor:
    logits = None if built.graphs is None else built.graphs.forward(batch)
    if logits is None:
        logits = built.model.forward(batch, built.pool, built.attention)
    return logits
