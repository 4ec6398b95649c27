"""What the host does for each step of a GPU, with nothing computed: `python -m bench.gpu --host`.

Scheduling, taking tokens, the plans of attention and the inputs of captured steps and of sampling
are the engine's own. The device is played: its tensors are the host's, a replay gives logits of
zeros, and its sampler draws always the same token. What is left out is what a GPU's driver takes
for copies and launches.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping

import torch

from branchline.runtime.device.cpu import CpuDevice
from branchline.runtime.engine import garbage
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.graphs import DecodeGraphs
from branchline.runtime.kernels.triton.attention import TritonAttention
from branchline.runtime.kernels.triton.sampler import DeviceSampler
from branchline.runtime.kernels.triton.work import machine_for
from branchline.runtime.memory.allocator import SlotIds
from branchline.runtime.models.config import ModelConfig

from ..report import Report
from .throughput import NoGrammars, Numbers, Requests, submit

_PROCESSORS = 132  # of an H200


class PlayedSampler(DeviceSampler):
    """Loads what rows need, and draws token 7."""

    def launch(self, logits: torch.Tensor) -> torch.Tensor:
        return self.tokens[: len(logits)].fill_(7)


class PlayedDevice(CpuDevice):
    """A queue that is always empty."""

    captures = True
    is_asynchronous = True

    def __init__(self, logits: torch.Tensor) -> None:
        self._logits = logits

    def sampler(self, max_rows: int, vocab_size: int) -> PlayedSampler:
        return PlayedSampler(max_rows, vocab_size, self.torch_device)

    def capture(self, run: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        return lambda: self._logits


class PlayedRunner:
    """A model of `config` that computes nothing."""

    architecture = "played"
    fingerprint = "played"
    eos_token_ids: tuple[int, ...] = ()

    def __init__(self, config: ModelConfig, num_slots: int) -> None:
        self.execution: dict[str, str] = {}
        self.num_slots = num_slots
        self.vocab_size = config.vocab_size
        self.hidden_size = config.hidden_size
        self.context_length = config.context_length
        self._logits = torch.zeros(1, config.vocab_size).expand(1024, -1)
        self.device = PlayedDevice(self._logits)
        heads = (config.num_heads, config.num_kv_heads, config.head_dim)
        self.attention = TritonAttention(machine_for(_PROCESSORS, *heads))
        self.graphs = DecodeGraphs(
            self.device,
            self.attention,
            lambda *_: self._logits,
            config.layer_windows,
            num_slots,
            config.vocab_size,
        )

    def forward(self, batch: ForwardBatch) -> torch.Tensor:
        logits = self.graphs.forward(batch)
        if logits is not None:
            return logits
        self.attention.plan(batch)
        return self._logits[: len(batch.logit_rows)]

    embed = forward

    def read_kv(self, slots: SlotIds) -> Mapping[str, torch.Tensor]:
        return {}

    def write_kv(self, slots: SlotIds, kv: Mapping[str, torch.Tensor]) -> None:
        pass


def host_steps(config: ModelConfig, requests: Requests, report: Report) -> None:
    """The host's time of a step while all of `requests` run, and of all of them to their ends."""
    most = sum(len(prompt) + wanted for prompt, wanted in requests)
    settings = EngineConfig(
        "played", max_running=len(requests), chunk_tokens=8192, speculation="off", kv_slots=most
    )
    core = EngineCore(
        settings,
        PlayedRunner(config, most),
        Numbers(config.vocab_size),  # type: ignore[arg-type]
        NoGrammars(),  # type: ignore[arg-type]
    )
    submit(core, requests, first=1)
    garbage.begin()  # as the engine's process does
    full: list[float] = []
    marks = [time.process_time()]
    steps = 0
    while core.has_work:
        ahead = core.stats()["steps_ahead"]
        core.step()
        garbage.collect_if_needed()
        steps += 1
        marks.append(time.process_time())
        if len(core.sequences) == len(requests) and core.stats()["steps_ahead"] > ahead:
            full.append(marks[-1] - marks[-2])
    garbage.end()
    median = statistics.median(full)
    total = sum(b - a for a, b in itertools.pairwise(marks))
    tokens = sum(wanted for _, wanted in requests)
    report.add(
        f"host's step, {len(requests)} sequences",
        1e3 * median,
        "ms",
        detail=f"of processor time, median of {len(full)}",
    )
    report.add(
        "host alone, output",
        tokens / total,
        "tokens/s",
        detail=f"{tokens:,} tokens, {steps:,} steps, {total:.1f} s of processor time",
    )
