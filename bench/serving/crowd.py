"""A thousand streams at a time: each whole and its own, and memory that does not grow. Used by
__main__.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from branchline.lang.launch import RuntimeProcess
from branchline.lang.loop import shared_loop

from ..processes import resident_bytes, runtime_processes
from ..report import Report
from .clients import ask, completion

STREAMS = 1_000
GROWTH = 1.02
_TOKENS = 64
_PROMPTS = 48
_THINGS = ("river", "stone", "lamp", "garden", "letter", "winter", "table", "green")

# (seconds since the start, MiB) of a process.
Curve = list[tuple[float, float]]


def measure(report: Report, *, settle_s: float, seconds: float) -> dict[str, Curve]:
    """For settle_s and then for `seconds` on the embedded model: memory by process."""
    # What the model goes on to write after each of these differs from all the others.
    prompts = [f"The {_THINGS[index % 8]} of {index}" for index in range(_PROMPTS)]
    with RuntimeProcess(
        "embedded", http="127.0.0.1:0", max_running=256, engine_hang_s=60
    ) as process:
        url = str(process.http_url)
        runtime = runtime_processes()

        async def text_of(prompt: str) -> str | None:
            heard = await ask(url, completion(prompt, _TOKENS))
            return heard.text() if heard.whole else None

        loop = shared_loop()
        alone = [loop.run(text_of(prompt)) for prompt in prompts]
        if None in alone or len(set(alone)) < _PROMPTS:
            raise RuntimeError("the prompts do not lead to different texts")
        curves: dict[str, Curve] = {"front": [], "engine": []}

        def sample(at_s: float) -> None:
            sizes = resident_bytes(runtime)
            for name, curve in curves.items():
                curve.append((at_s, sizes[name] / 2**20))

        texts = loop.run(_crowd(lambda index: text_of(prompts[index]), settle_s + seconds, sample))
    lost = sum(text is None for _, text in texts)
    mixed = sum(text is not None and text != alone[index] for index, text in texts)
    detail = f"{len(texts):,} streams of {_TOKENS} tokens, {STREAMS:,} at a time"
    report.add("streams lost", lost, "", goal=0, at_most=True, detail=detail)
    report.add("streams with another text than alone", mixed, "", goal=0, at_most=True)
    for name, curve in curves.items():
        early = max(mib for at_s, mib in curve if at_s <= settle_s)
        late = max(mib for _, mib in curve[-5:])
        report.add(
            f"memory of the {name} at the end, over its most in the first {settle_s:.0f} s",
            late / early,
            "x",
            goal=GROWTH,
            at_most=True,
            detail=f"{late:.1f} over {early:.1f} MiB, {seconds:.0f} s later",
        )
    return curves


async def _crowd(
    text_of: Callable[[int], Awaitable[str | None]],
    seconds: float,
    sample: Callable[[float], None],
) -> list[tuple[int, str | None]]:
    """Keep STREAMS under way until the time is up; (prompt, text) of each."""
    start_s = time.perf_counter()
    texts: list[tuple[int, str | None]] = []

    async def client(number: int) -> None:
        index = number % _PROMPTS
        while time.perf_counter() < start_s + seconds:
            texts.append((index, await text_of(index)))
            index = (index + 7) % _PROMPTS

    async def watch() -> None:
        while True:
            sample(time.perf_counter() - start_s)
            await asyncio.sleep(1.0)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(client(number) for number in range(STREAMS)))
    watcher.cancel()
    return texts
