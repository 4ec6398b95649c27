"""More requests than the engine can serve: how many are answered well, and how the others are
refused. Used by __main__.py."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any

from branchline.lang.launch import RuntimeProcess
from branchline.lang.loop import shared_loop

from ..processes import cpu_seconds, runtime_processes
from ..report import Report
from .clients import Heard, ask, completion, quantile

GOAL = 0.95
REFUSED_MS = 20.0
RUNNING = 64
# The highest is the overload that the goal is about; the others draw the curve whose peak it is
# held against.
LOADS = (0.75, 1.0, 1.5, 2.0, 4.0)
QUICK_LOADS = (1.0, 2.0, 4.0)
# Long enough that a refusal, which costs the front a thousandth of a second or two, is cheap.
_TOKENS = 256
# A level lasts for at least so many times the time that one answer takes; its first third, while
# the engine and the waiting room fill, is not counted.
_ANSWERS_LONG = 6
_WARM = 1 / 3


@dataclass(frozen=True, slots=True)
class Level:
    """One load. All times in seconds, rates per second."""

    load: float
    sent: int
    good: int
    late: int
    refused: int
    lost: int
    goodput: float
    refused_s: list[float]
    # Of one core, while the load was on: who takes from the engine.
    cores: dict[str, float]


def measure(report: Report, *, seconds: float, loads: tuple[float, ...] = LOADS) -> list[Level]:
    """Poisson arrivals at multiples of what can be served. Good is whole, with its first token in
    twice the time that a whole answer takes when the engine is just full. The peak is the most that
    any of the loads got. Clients who ask again at once get more: they are in step, so that their
    prompts are computed together, and all other steps only decode, which is the engine's best."""
    with RuntimeProcess(
        "embedded",
        http="127.0.0.1:0",
        max_running=RUNNING,
        max_waiting=RUNNING,
        speculation="off",
        engine_hang_s=60,
    ) as process:
        url = str(process.http_url)
        loop = shared_loop()
        runtime = runtime_processes()
        capacity, whole_s = loop.run(_closed(url, seconds))
        seconds = max(seconds, _ANSWERS_LONG * whole_s)
        capacity, whole_s = loop.run(_closed(url, seconds))
        levels = [
            loop.run(_open(url, runtime, load, capacity, 2 * whole_s, seconds, seed))
            for seed, load in enumerate(loads)
        ]
    peak = max(level.goodput for level in levels)
    for level in levels:
        report.add(
            f"goodput at {level.load:g} x the load, of the peak",
            level.goodput / peak,
            "x",
            goal=GOAL if level.load == max(loads) else None,
            detail=f"{level.goodput:.1f} of {peak:.1f} requests/s; {level.sent} sent, "
            f"{level.good} good, {level.late} late, {level.refused} refused, {level.lost} lost; "
            + ", ".join(f"{who} {share:.2f} of a core" for who, share in level.cores.items()),
        )
    report.add(
        "peak, of what clients in step get",
        peak / capacity,
        "x",
        detail=f"{RUNNING} clients, each with its next request at once: {capacity:.1f} requests/s",
    )
    report.add(
        "requests without an answer", sum(level.lost for level in levels), "", goal=0, at_most=True
    )
    report.add(
        "time to a refusal, p99",
        quantile(levels[-1].refused_s, 0.99) * 1000,
        "ms",
        goal=REFUSED_MS,
        at_most=True,
        detail=f"at {levels[-1].load:g} x the load, from when the request was due",
    )
    return levels


async def _closed(url: str, seconds: float) -> tuple[float, float]:
    """As many clients as may run, each with its next request at once: requests/s, median time."""
    start_s = time.perf_counter()
    done: list[Heard] = []

    async def client(number: int) -> None:
        while time.perf_counter() < start_s + seconds:
            done.append(await ask(url, _body(number, len(done))))

    await asyncio.gather(*(client(number) for number in range(RUNNING)))
    whole = [heard for heard in done if heard.whole]
    return _rate(whole, start_s, seconds), quantile([heard.total_s for heard in whole], 0.5)


async def _open(
    url: str,
    runtime: dict[str, int],
    load: float,
    capacity: float,
    limit_s: float,
    seconds: float,
    seed: int,
) -> Level:
    chance = random.Random(seed)
    before = cpu_seconds(runtime)
    start_s = time.perf_counter()
    due_s = start_s
    tasks: list[asyncio.Task[Heard]] = []
    while (due_s := due_s + chance.expovariate(load * capacity)) < start_s + seconds:
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(url, _body(seed, len(tasks)), due_s=due_s)))
    after = cpu_seconds(runtime)
    heard = await asyncio.gather(*tasks)
    whole = [each for each in heard if each.whole]
    good = [each for each in whole if each.first_s <= limit_s]
    refused = [each for each in heard if each.status in (429, 503)]
    return Level(
        load,
        sent=len(heard),
        good=len(good),
        late=len(whole) - len(good),
        refused=len(refused),
        lost=len(heard) - len(whole) - len(refused),
        goodput=_rate(good, start_s, seconds),
        refused_s=[each.total_s for each in refused],
        cores={name: (after[name] - before[name]) / seconds for name in after},
    )


def _rate(answers: list[Heard], start_s: float, seconds: float) -> float:
    """Answers per second while the load was on and the engine full, each for the share of its
    pieces that came then. Clients in step end by the dozen: as many ends fall into a window as its
    edges let in, up to a quarter more or fewer than were served."""
    warm_s, end_s = start_s + seconds * _WARM, start_s + seconds
    served = sum(
        sum(warm_s <= at_s <= end_s for at_s, _ in each.arrivals) / len(each.arrivals)
        for each in answers
    )
    return served / (seconds * (1 - _WARM))


def _body(number: int, index: int) -> dict[str, Any]:
    return completion(f"Letter {index} of {number}: the winter", _TOKENS)
