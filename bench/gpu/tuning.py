"""Sweeps over the shapes of tiles that the kernels choose by reasoning: which are quickest here.

What is printed is to be written into `tiles.tile_options` and `moe.tile_for`, by hand.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from branchline.runtime.device.base import Device
from branchline.runtime.kernels.triton import tiles
from branchline.runtime.kernels.triton.moe import Tile, add_expert_mlps, tile_for

from ..report import Report
from .attention import AttentionBench, Sizes
from .experts import MIXTRAL, QWEN3_30B, ExpertsBench, Shape
from .limits import Limits
from .steps import decode_batch, extend_batch, separate
from .timing import median_s

Choice = TypeVar("Choice")

_NO_LIMITS = Limits(1.0, 1.0)
_REPEATS = 10


def tune_attention(device: Device, report: Report, end_s: float) -> None:
    """Keys per block, warps and stages, for decoding and for prompts."""
    sizes = Sizes()
    kernels = device.kernels("auto", "none", sizes.dtype)
    bench = AttentionBench(device, report, _NO_LIMITS, sizes, kernels)
    decoding = decode_batch(device, separate(64, 4096))
    extending = extend_batch(device, separate(1, 8192), 8192)
    named = ("BLOCK_N", "num_warps", "num_stages")
    every = [
        dict(zip(named, values, strict=True))
        for values in itertools.product((32, 64, 128), (4, 8), (2, 3, 4, 5))
    ]
    for name, batch, slots in (("decode", decoding, 64 * 4096), ("extend", extending, 8192)):

        def run(options: dict[str, int] | None, batch=batch, slots=slots) -> float:  # type: ignore[no-untyped-def]
            with tiles_of(options):
                return bench.attention_s(batch, slots, _REPEATS)

        sweep(f"attention's tiles, {name}", report, end_s, run, every)


@contextmanager
def tiles_of(options: dict[str, int] | None) -> Iterator[None]:
    """Attention is computed in tiles of these `options`, None for the usual ones."""
    usual = tiles.tile_options
    if options is not None:
        tiles.tile_options = lambda block_m, head_dim, kv_dtype: options
    try:
        yield
    finally:
        tiles.tile_options = usual


def tune_experts(device: Device, report: Report, end_s: float) -> None:
    """Rows, columns, warps and stages, for few tokens and for many."""
    bench = ExpertsBench(device, report, _NO_LIMITS, repeats=_REPEATS)
    for shape, tokens in itertools.product((QWEN3_30B, MIXTRAL), (16, 4096)):
        usual = tile_for(tokens * shape.per_token, shape.count)
        rows = (16, 32) if usual.rows == 16 else (usual.rows, 128)
        every = itertools.starmap(Tile, itertools.product(rows, (32, 64, 128), (4, 8), (2, 3, 4)))
        name = f"experts' tiles, {shape.name}, {tokens} tokens"
        sweep(name, report, end_s, timed_experts(bench, shape, tokens), every)


def timed_experts(bench: ExpertsBench, shape: Shape, tokens: int) -> Callable[[Tile | None], float]:
    """Seconds of a layer's experts by a tile."""
    experts = bench.experts(shape, "none")
    residual, x, ids, shares = bench.inputs(shape, tokens)
    mlps = partial(add_expert_mlps, residual, x, experts.gate_up, experts.down, ids, shares)
    return lambda tile: median_s(bench.device, lambda: mlps(tile=tile), bench.repeats)


def sweep(
    name: str,
    report: Report,
    end_s: float,
    run: Callable[[Choice | None], float],
    choices: Iterable[Choice],
) -> None:
    """How much quicker the best choice is than the usual one, None. Choices that do not fit the
    device are left out, and all that are left when time is up."""
    usual_s = run(None)
    best_s, best, tried = usual_s, "the usual one", 0
    for choice in choices:
        if time.perf_counter() > end_s:
            break
        try:
            seconds = run(choice)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # too much shared memory, or too many registers
            continue
        tried += 1
        if seconds < best_s:
            best_s, best = seconds, str(choice)
    report.add(
        name,
        usual_s / best_s,
        "x as they are",
        detail=f"best of {tried}: {best}, {1e6 * best_s:.0f} us",
    )
