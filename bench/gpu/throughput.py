"""The engine on many requests at once against `transformers` continuous batching, same weights.

Needs msgspec, which a machine with nothing but torch lacks: bench/gpu/__main__.py then says so.
"""

from __future__ import annotations

import gc
import itertools
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from branchline.runtime import engine_protocol, protocol
from branchline.runtime.device.base import Device
from branchline.runtime.device.cuda import CudaDevice
from branchline.runtime.engine import garbage
from branchline.runtime.engine.config import EngineConfig, KvDtype
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.models.config import ModelConfig

from ..report import Report
from .timing import Mark

Requests = list[tuple[list[int], int]]


class WatchedCuda(CudaDevice):
    """Notes where in the queue each replay begins and ends."""

    def __init__(self, torch_device: torch.device) -> None:
        super().__init__(torch_device)
        self.spans: list[tuple[Mark, Mark]] = []

    def capture(self, run: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        replay = super().capture(run)

        def watched() -> torch.Tensor:
            begin = Mark(self)
            result = replay()
            self.spans.append((begin, Mark(self)))
            return result

        return watched


class Numbers:
    """A tokenizer for requests that are token ids: as much of one as the engine asks for."""

    special_ids: frozenset[int] = frozenset()
    eos_ids: tuple[int, ...] = ()

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.token_bytes = [b"x"] * vocab_size

    def decode(self, ids: Any, skip_special_tokens: bool = True) -> str:
        return "x" * len(list(ids))


class NoGrammars:
    """A compiler for requests without constraints."""

    def compile(self, constraint: object, max_new_tokens: int) -> object:
        raise RuntimeError("these requests have no constraints")


def make_requests(config: ModelConfig, count: int, shortest: int, longest: int) -> Requests:
    rng = random.Random(0)
    return [
        (
            [rng.randrange(100, config.vocab_size - 100) for _ in range(length)],
            rng.randint(shortest, longest),
        )
        for length in (rng.randint(shortest, longest) for _ in range(count))
    ]


def offline(
    device: Device,
    config: ModelConfig,
    report: Report,
    requests: Requests,
    *,
    goal: float | None,
    least_s: float | None = None,
    peer_s: float | None = None,
) -> None:
    """Output tokens per second of all requests together, and against transformers'. least_s: what
    they take at least. peer_s: when to give transformers up; None to leave it out."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = write_model(config, folder)
        total = sum(wanted for _, wanted in requests)
        bound = "" if least_s is None else f"; the memory allows {least_s:.1f} s"
        ours_s, gaps, waits = _ours(device, config, folder, requests, "auto")
        report.add(
            f"offline, {len(requests)} requests",
            total / ours_s,
            "output tokens/s",
            goal=goal,
            detail=f"{total:,} tokens in {ours_s:.1f} s{bound}",
        )
        if torch.float8_e4m3fn in device.kernels("auto", "none", torch.bfloat16).kv_dtypes:
            small_s = _ours(device, config, folder, requests, "float8")[0]
            report.add(
                f"offline, {len(requests)} requests, float8 keys and values",
                total / small_s,
                "output tokens/s",
                detail=f"{small_s:.1f} s",
            )
        if waits is not None:
            report.add(
                "synchronising calls per step",
                waits,
                "",
                detail="that torch warns of, over 20 steps of steady decoding; wanted are none",
            )
        if gaps:
            gap = statistics.median(gaps)
            report.add(
                "engine, gap between replays",
                150e-6 / max(gap, 1e-7),
                "x allowed",
                goal=1.0,
                detail=f"{1e6 * gap:.0f} us, sampling and copies in it; allowed are 150",
            )
        if peer_s is not None:
            _free_memory()
            seconds, ended = _transformers(model, device, requests, peer_s)
            report.add(
                "offline against transformers",
                seconds / ours_s,
                "x continuous batching" if ended else "x continuous batching at least",
                goal=5.0,
                detail=f"{total:,} tokens in {'' if ended else 'more than '}{seconds:.1f} s",
            )


def _free_memory() -> None:
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()


def write_model(config: ModelConfig, folder: Path) -> Any:
    """A checkpoint in `folder` that both load; returned as transformers' own model, on the CPU."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    shape = Qwen3Config(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.context_length,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope.theta},
        tie_word_embeddings=config.tie_word_embeddings,
        rms_norm_eps=config.rms_norm_eps,
        bos_token_id=None,
        eos_token_id=config.eos_token_ids[0],
        dtype=torch.bfloat16,
    )
    torch.manual_seed(1234)
    model: Any = Qwen3ForCausalLM(shape).to(torch.bfloat16)
    model.save_pretrained(folder)
    return model


def _ours(
    device: Device, config: ModelConfig, folder: Path, requests: Requests, kv_dtype: KvDtype
) -> tuple[float, list[float], float | None]:
    """Seconds for all requests, the gaps between the replays of full steps, and `_waits`."""
    _free_memory()  # an engine before this one is held by its cycles
    if isinstance(device, CudaDevice):
        device = WatchedCuda(device.torch_device)
    settings = EngineConfig(
        model=str(folder),
        dtype="bfloat16",
        kv_dtype=kv_dtype,
        max_running=256,
        chunk_tokens=8192,
        kv_memory_fraction=0.8,
        kv_slots=None if device.is_asynchronous else 20_000,
        speculation="off",
    )
    runner = ModelRunner(settings, device)
    core = EngineCore(
        settings,
        runner,
        Numbers(config.vocab_size),  # type: ignore[arg-type]
        NoGrammars(),  # type: ignore[arg-type]
    )
    warm_up = [(prompt[:64], 40) for prompt, _ in requests]
    answer(core, warm_up, first=10**6)
    waits = _waits(core, warm_up) if isinstance(device, CudaDevice) else None
    core.flush_cache()
    if isinstance(device, WatchedCuda):
        device.spans.clear()
    garbage.begin()  # as the engine's process does
    device.synchronize()
    start = time.perf_counter()
    answer(core, requests, first=1)
    device.synchronize()
    seconds = time.perf_counter() - start
    garbage.end()
    spans = getattr(device, "spans", [])
    busy = spans[: len(spans) // 4]  # while all requests run
    gaps = [b[0].since(a[1]) for a, b in itertools.pairwise(busy)]
    return seconds, gaps, waits


def _waits(core: EngineCore, requests: Requests) -> float:
    """How often a step of steady decoding makes the host wait, by torch's own warnings."""
    submit(core, requests, first=2 * 10**6)
    for _ in range(10):
        core.step()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(20):
                core.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    while core.has_work:
        core.step()
    return len(told) / 20


def submit(core: EngineCore, requests: Requests, first: int) -> None:
    for sid, (prompt, wanted) in enumerate(requests, first):
        sampling = protocol.SamplingParams(max_new_tokens=wanted, temperature=0.0, ignore_eos=True)
        core.submit(engine_protocol.Submit(sid, prompt, sampling))


def answer(core: EngineCore, requests: Requests, first: int) -> None:
    """All requests at once, to their ends."""
    submit(core, requests, first)
    made = 0
    while core.has_work:
        events = core.step()
        garbage.collect_if_needed()
        if events.failed:
            raise RuntimeError(f"a request failed: {events.failed[0].message}")
        made += sum(len(progress.token_ids) for progress in events.progress)
    if made != sum(wanted for _, wanted in requests):
        raise RuntimeError(f"{made} tokens were generated, not as many as asked for")


def _transformers(
    model: Any, device: Device, requests: Requests, most_s: float
) -> tuple[float, bool]:
    """Seconds of the same requests there, and whether they ended within `most_s`."""
    from transformers import GenerationConfig

    model = model.to(device.torch_device).eval()
    model.set_attn_implementation("paged|sdpa")
    settings = GenerationConfig(
        max_new_tokens=max(wanted for _, wanted in requests),
        do_sample=False,
        eos_token_id=-1,
        pad_token_id=0,
    )
    # Its thread knows no inference mode of this one, and may not write to tensors made in it.
    with (
        torch.no_grad(),
        model.continuous_batching_context_manager(generation_config=settings) as manager,
    ):
        warm_up = [(prompt[:64], 8) for prompt, _ in requests]
        if not _serve(manager, warm_up, time.perf_counter() + most_s):
            raise RuntimeError(f"continuous batching did not even warm up in {most_s:.0f} s")
        start = time.perf_counter()
        ended = _serve(manager, requests, start + most_s)
        seconds = time.perf_counter() - start
        if not ended:
            manager.stop(hard_stop=True, timeout=10.0)
        return seconds, ended


def _serve(manager: Any, requests: Requests, end: float) -> bool:
    """Whether all requests were answered, to their lengths, by the time `end`."""
    for prompt, wanted in requests:
        manager.add_request(prompt, max_new_tokens=wanted)
    made = finished = 0
    while finished < len(requests):
        if time.perf_counter() > end:
            return False
        result = manager.get_result(timeout=1)
        if result is not None and result.is_finished():
            if result.error:
                raise RuntimeError(f"continuous batching failed a request: {result.error}")
            finished += 1
            made += len(result.generated_tokens)
        elif result is None and not manager.is_running():
            raise RuntimeError("continuous batching ended before its requests")
    if made != sum(wanted for _, wanted in requests):
        raise RuntimeError(f"continuous batching gave {made} tokens, not as many as asked for")
    return True
