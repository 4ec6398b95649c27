"""Readers that take a sip now and then, beside readers that keep up. Used by __main__.py."""

from __future__ import annotations

import asyncio

from branchline.lang.launch import RuntimeProcess
from branchline.lang.loop import shared_loop

from ..report import Report, interleaved
from .clients import ask, completion, quantile

GOAL = 1.2
READERS = 48
SLOW = 16


def measure(report: Report, process: RuntimeProcess, *, num_tokens: int, rounds: int) -> None:
    """The same streams twice: with SLOW of them read slowly, and with all of them read at once."""
    url = str(process.http_url)

    async def gaps(slow: bool) -> list[float]:
        # Events of 2 KB, so that a few of them fill the buffers on the way.
        heavy = completion("the winter", num_tokens, logprobs=20)
        others = [asyncio.create_task(ask(url, heavy, slow=slow)) for _ in range(SLOW)]
        readers = [ask(url, completion("the harbour", num_tokens)) for _ in range(READERS)]
        heard = await asyncio.gather(*readers)
        if not all(each.whole for each in heard):
            raise RuntimeError("a reader that kept up lost its stream")
        if slow and all(other.done() for other in others):
            raise RuntimeError("no reader was slow")
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return [gap for each in heard for gap in each.gaps_s()]

    def p99_ms(slow: bool) -> float:
        return quantile(shared_loop().run(gaps(slow)), 0.99) * 1000

    times, samples = interleaved(
        {"alike": lambda: p99_ms(slow=False), "slow": lambda: p99_ms(slow=True)}, rounds
    )
    report.add(
        f"p99 between tokens of {READERS} streams beside {SLOW} slow readers",
        times["slow"] / times["alike"],
        "x",
        goal=GOAL,
        at_most=True,
        detail=f"{times['slow']:.1f} against {times['alike']:.1f} ms beside readers that keep up; "
        + ", ".join(
            f"{slow:.0f}/{alike:.0f}"
            for slow, alike in zip(samples["slow"], samples["alike"], strict=True)
        ),
    )
