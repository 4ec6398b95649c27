"""Throughput of 256 HTTP clients against the engine in this process, on a model whose steps take
their time. Used by __main__.py."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from branchline.engine import InProcessConnection
from branchline.lang.launch import RuntimeProcess
from branchline.lang.loop import shared_loop
from branchline.runtime.protocol import Generate, SamplingParams, Text

from ..processes import cpu_seconds
from ..random_models import write_model
from ..report import Report, interleaved
from .clients import completion
from .readers import take_all

CLIENTS = 256
GOAL = 0.95
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
        used: dict[str, list[float]] = {"front": [], "clients": []}

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
            start_s = time.perf_counter()
            shared_loop().run(within())
            return CLIENTS * num_tokens / (time.perf_counter() - start_s)

        def over_http(stream: bool) -> float:
            bodies = [completion(_prompt(), num_tokens, stream=stream) for _ in range(CLIENTS)]
            before = cpu_seconds({"front": process.pid})
            start_s = time.perf_counter()
            seconds = take_all(url, bodies, _STREAM_END if stream else b"}") - start_s
            if stream:
                after = cpu_seconds({"front": process.pid})
                used["front"].append((after["front"] - before["front"]) / seconds)
                used["clients"].append((after["client"] - before["client"]) / seconds)
            return CLIENTS * num_tokens / seconds

        try:
            rates, _ = interleaved(
                {
                    "in process": in_process,
                    "HTTP, streamed": lambda: over_http(stream=True),
                    "HTTP, whole": lambda: over_http(stream=False),
                },
                rounds,
            )
        finally:
            inside.close()
    own = rates["in process"]
    for way, goal in (("HTTP, streamed", GOAL), ("HTTP, whole", None)):
        report.add(
            f"tokens/s of {CLIENTS} clients over the engine in process, {size}, {way}",
            rates[way] / own,
            "x",
            goal=goal,
            detail=f"{rates[way]:,.0f} against {own:,.0f} tokens/s, steps of "
            f"{1000 * CLIENTS / own:,.0f} ms; on the same cores"
            + "".join(f", {who} {max(used[who]):.3f} of one" for who in used),
        )


def _prompt() -> str:
    return f"{next(_NUMBERS)} ships have left the harbour this morning, and the next one"
