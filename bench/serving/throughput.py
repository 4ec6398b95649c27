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
from .clients import ask, completion

CLIENTS = 256
GOAL = 0.95
# A step of the model at this many streams takes far more than the 5 ms that are asked for.
_SLOTS = 65_536
_NUMBERS = itertools.count()


def measure(report: Report, folder: Path, *, num_tokens: int, rounds: int) -> None:
    """Model S of random_models.py; each prompt is new, so that nobody lives on the cache."""
    model = str(write_model("S", folder))
    settings: dict[str, Any] = {"max_running": CLIENTS, "kv_slots": _SLOTS, "speculation": "off"}
    with RuntimeProcess(model, http="127.0.0.1:0", engine_hang_s=60, **settings) as process:
        url = str(process.http_url)
        inside = InProcessConnection(model, **settings)
        shares: list[float] = []

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

        async def over_http(stream: bool) -> None:
            bodies = [completion(_prompt(), num_tokens, stream=stream) for _ in range(CLIENTS)]
            for heard in await asyncio.gather(*(ask(url, body) for body in bodies)):
                if heard.status != 200 or (stream and not heard.whole):
                    raise RuntimeError(f"a request failed: status {heard.status}, {heard.lost}")

        def rate(stream: bool | None) -> float:
            used = cpu_seconds({"front": process.pid})
            start_s = time.perf_counter()
            shared_loop().run(within() if stream is None else over_http(stream))
            seconds = time.perf_counter() - start_s
            if stream:
                now = cpu_seconds({"front": process.pid})
                shares.append(sum(now[name] - used[name] for name in now) / seconds)
            return CLIENTS * num_tokens / seconds

        try:
            rates, _ = interleaved(
                {
                    "in process": lambda: rate(None),
                    "HTTP, streamed": lambda: rate(True),
                    "HTTP, whole": lambda: rate(False),
                },
                rounds,
            )
        finally:
            inside.close()
    own = rates["in process"]
    for way, goal in (("HTTP, streamed", GOAL), ("HTTP, whole", None)):
        report.add(
            f"tokens/s of {CLIENTS} clients over the engine in process, {way}",
            rates[way] / own,
            "x",
            goal=goal,
            detail=f"{rates[way]:,.0f} against {own:,.0f} tokens/s, steps of "
            f"{1000 * CLIENTS / own:,.0f} ms; front and clients on the same cores"
            + (f": {max(shares):.2f} of a core" if way.endswith("streamed") else ""),
        )


def _prompt() -> str:
    return f"{next(_NUMBERS)} ships have left the harbour this morning, and the next one"
