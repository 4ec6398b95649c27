"""What a decode step spends outside of the kernels, and what memory a model takes; for cpu.py."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from branchline.runtime import engine_protocol, protocol
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.kernels.cpu.attention import CpuAttention

ALLOWED_EXTRA_BYTES = 250_000_000
_EDGE = 4  # steps at either end that may not run ahead


class _Timed:
    """A library whose calls add to `inside_s`."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.inside_s = 0.0

    def __getattr__(self, name: str) -> Callable[..., object]:
        function = getattr(self._library, name)

        def call(*arguments: object) -> object:
            start = time.perf_counter()
            result = function(*arguments)
            self.inside_s += time.perf_counter() - start
            return result

        setattr(self, name, call)
        return call


def kernel_share(core: EngineCore, prompt: list[int], steps: int) -> tuple[float, float] | None:
    """Seconds of one decode step at batch 1 and of the kernels in it: the least of `steps`, each.
    None where torch computes."""
    attention = core.runner.attention
    if not isinstance(attention, CpuAttention):
        return None
    kernels = attention.kernels
    timed, library = _Timed(kernels.library), kernels.library
    _submit(core, prompt, steps)
    whole, inside = [], []
    kernels.library = timed
    try:
        while core.has_work:
            timed.inside_s, start = 0.0, time.perf_counter()
            core.step()
            whole.append(time.perf_counter() - start)
            inside.append(timed.inside_s)
    finally:
        kernels.library = library
    return min(whole), min(inside)


def queue_share(core: EngineCore, prompt: list[int], steps: int) -> float | None:
    """The share of the time of `steps` decode steps at batch 1 in which the thread that computes
    them has work, where they run ahead. None where torch computes."""
    attention = core.runner.attention
    queue = attention.kernels.queue if isinstance(attention, CpuAttention) else None
    if queue is None:
        return None
    _submit(core, prompt, steps + 2 * _EDGE)
    for _ in range(_EDGE):
        core.step()
    idle_s, start = queue.idle_s, time.perf_counter()
    for _ in range(steps):
        core.step()
    share = 1.0 - (queue.idle_s - idle_s) / (time.perf_counter() - start)
    while core.has_work:
        core.step()
    return share


def _submit(core: EngineCore, prompt: list[int], num_tokens: int) -> None:
    """And compute the prompt."""
    sampling = protocol.SamplingParams(max_new_tokens=num_tokens, temperature=0.0, ignore_eos=True)
    core.submit(engine_protocol.Submit(2**40, prompt, sampling))
    core.step()


def memory(model: Path) -> tuple[float, str]:
    """What a process with the model may take (weights, used KV, 250 MB) over what it took."""
    command = [sys.executable, "-m", "bench.peak_memory", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    found = json.loads(done.stdout.splitlines()[-1])
    allowed = found["weights"] + found["kv"] + ALLOWED_EXTRA_BYTES
    detail = f"{found['peak'] / 1e6:.0f} MB resident at most, weights {found['weights'] / 1e6:.0f}"
    return allowed / found["peak"], detail
