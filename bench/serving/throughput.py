"""Throughput of 256 HTTP clients against the engine in this process, on a model whose steps take
their time. Used by __main__.py."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

from branchline.engine import InProcessConnection
from branchline.lang.launch import RuntimeProcess
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import Generate, SamplingParams, Text

from ..processes import cpu_seconds, runtime_processes
from ..random_models import write_model
from ..report import Report, interleaved
from .clients import completion
from .readers import take_all

CLIENTS = 256
GOAL = 0.95
IN_PROCESS, STREAMED, WHOLE = WAYS = ("in process", "HTTP, streamed", "HTTP, whole")
# A step of the model at this many streams takes far more than the 5 ms that are asked for.
_SLOTS = 65_536
_NUMBERS = itertools.count()
_STREAM_END = b"data: [DONE]\n\n\r\n0\r\n\r\n"


def measure(report: Report, folder: Path, size: str, *, num_tokens: int, rounds: int) -> None:
    """A model of random_models.py; each prompt is new, so that nobody lives on the cache."""
    model = str(write_model(size, folder))
    settings: dict[str, Any] = {"max_running": CLIENTS, "kv_slots": _SLOTS, "speculation": "off"}
    with RuntimeProcess(model, http="127.0.0.1:0", engine_hang_s=60, **settings) as process:
        url = str(process.http_url)
        inside = InProcessConnection(model, **settings)
        runtime = runtime_processes()
        # CPU per token in ms, by way and by who took it.
        used: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}

        def noted(way: str, before: dict[str, float]) -> None:
            after = cpu_seconds(runtime)
            per_token = 1000 / (CLIENTS * num_tokens)
            used[way].append({who: per_token * (after[who] - before[who]) for who in after})

        async def within() -> None:
            async def one() -> None:
                sampling = SamplingParams(
                    max_new_tokens=num_tokens, temperature=0.0, ignore_eos=True
                )
                rid = inside.new_rid()
                await inside.complete(
                    Generate(rid=rid, prompt=[Text(_prompt())], sampling=sampling)
                )

            await asyncio.gather(*(one() for _ in range(CLIENTS)))

        def in_process() -> float:
            before = cpu_seconds(runtime)
            start_s = time.perf_counter()
            shared_loop().run(within())
            seconds = time.perf_counter() - start_s
            noted(IN_PROCESS, before)
            return CLIENTS * num_tokens / seconds

        def over_http(stream: bool) -> float:
            bodies = [completion(_prompt(), num_tokens, stream=stream) for _ in range(CLIENTS)]
            before = cpu_seconds(runtime)
            start_s = time.perf_counter()
            seconds = take_all(url, bodies, _STREAM_END if stream else b"}") - start_s
            noted(STREAMED if stream else WHOLE, before)
            return CLIENTS * num_tokens / seconds

        try:
            rates, _ = interleaved(
                {
                    IN_PROCESS: in_process,
                    STREAMED: lambda: over_http(stream=True),
                    WHOLE: lambda: over_http(stream=False),
                },
                rounds,
            )
        finally:
            inside.close()
    own = rates[IN_PROCESS]
    own_ms = statistics.median(each["client"] for each in used[IN_PROCESS])
    for way, goal in ((STREAMED, GOAL), (WHOLE, None)):
        report.add(
            f"tokens/s of {CLIENTS} clients over the engine in process, {size}, {way}",
            rates[way] / own,
            "x",
            goal=goal,
            detail=f"{rates[way]:,.0f} against {own:,.0f} tokens/s, steps of "
            f"{1000 * CLIENTS / own:,.0f} ms; on the same cores",
        )
        middle = {who: statistics.median(each[who] for each in used[way]) for who in used[way][0]}
        report.add(
            f"CPU of a token in process over that of a token of {CLIENTS} clients, {size}, {way}",
            own_ms / sum(middle.values()),
            "x",
            detail=f"{own_ms:.3f} ms against "
            + ", ".join(f"{who} {ms:.3f}" for who, ms in middle.items()),
        )


def _prompt() -> str:
    return f"{next(_NUMBERS)} ships have left the harbour this morning, and the next one"
