"""What client and front add to the engine's steps, per call of a program of twenty. Used by
programs.py.

Two baselines stand beside each other: the seconds that the runtime's own engine spent in its steps
in the very run, and an engine in this process that is handed the same tokens and makes as many
steps, without any client. What lies between two steps is the engine's own work, and counts as
overhead over the first one. The engine alone comes afterwards: a client has no model beside it in
its process, whose weights would take the caches from both.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import branchline as bl
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.server.supervisor import SPIN_BRIEFLY

from .contest import Contest
from .engine_alone import engine_seconds
from .report import Report

if TYPE_CHECKING:
    from branchline.runtime.engine.core import EngineCore

NUM_GENS = 20
INTERPRETED_MS = 0.3
COMPILED_MS = 0.05
SHORT = 4
# A program that has not ended by then never will.
LIMIT_S = 120.0
NUMBERS = itertools.count()


@bl.function
def twenty(s: bl.ProgramState, topic: str) -> None:
    s += topic
    for number in range(NUM_GENS):
        s += f" {number}:" + bl.gen(f"g{number}", max_tokens=SHORT, ignore_eos=True)


@bl.function
def twenty_read(s: bl.ProgramState, topic: str) -> None:
    s += topic
    for number in range(NUM_GENS):
        s += f" {number}:" + bl.gen(f"g{number}", max_tokens=SHORT, ignore_eos=True)
        s.get_var(f"g{number}")


@bl.function
def alone(s: bl.ProgramState, topic: str, num_tokens: int) -> None:
    s += topic + bl.gen("text", max_tokens=num_tokens, ignore_eos=True)


def overhead(
    report: Report,
    endpoint: bl.RuntimeEndpoint,
    processes: dict[str, int],
    rounds: int,
    end_s: float,
) -> None:
    """Time per call over the engine's steps, those of the very run and those of one alone."""
    compiled = twenty.compile()
    sampled: list[bl.ProgramState] = []

    def program(run: Callable[..., bl.ProgramState]) -> int:
        topic = f"Story {next(NUMBERS)}"
        state = run(topic, temperature=0, backend=endpoint, timeout=LIMIT_S)
        state.sync()
        sampled[:] = [state]
        return NUM_GENS

    contest = Contest(processes, lambda: float(endpoint.get_server_info()["step_seconds"]))
    ways: dict[str, Callable[[], int]] = {
        "interpreted": lambda: program(twenty.run),
        "interpreted, each read": lambda: program(twenty_read.run),
        "compiled": lambda: program(compiled.run),
    }
    contest.run(ways, rounds, end_s)

    # Its threads wait as those of the runtime's engine do; they ask when torch is loaded.
    os.environ.update(SPIN_BRIEFLY | os.environ)
    from branchline.runtime.engine.core import EngineCore

    core = EngineCore(EngineConfig(model=endpoint.model_info.path))

    def engine(*, goes_on: bool) -> int:
        engine_seconds(core, sampled[0], SHORT, goes_on=goes_on)
        return NUM_GENS

    alone_ways: dict[str, Callable[[], int]] = {
        "engine": partial(engine, goes_on=False),
        "engine going on": partial(engine, goes_on=True),
    }
    contest.run(alone_ways, rounds, end_s)
    steps = {way: steps_per_call(run, endpoint) for way, run in ways.items()}
    steps |= {way: steps_per_call(run, core) for way, run in alone_ways.items()}
    report.add(
        "steps per call, of the runtime over an engine alone",
        steps["compiled"] / steps["engine going on"],
        "x",
        detail="what is compared is alike where this is 1; steps: "
        + ", ".join(f"{way} {number:.2f}" for way, number in steps.items())
        + "; the engine alone computes in the client's process, asked for tokens without any "
        "socket, and like the runtime's it runs ahead where that pays",
    )
    own_ms = contest.median_ms("engine")
    going_on_ms = contest.median_ms("engine going on")
    for way, limit_ms, alone_ms in (
        ("interpreted", INTERPRETED_MS, going_on_ms),
        ("interpreted, each read", INTERPRETED_MS, own_ms),
        ("compiled", COMPILED_MS, going_on_ms),
    ):
        steps_ms = contest.median_ms(way, "steps")
        report.add(
            f"overhead per call, {way}",
            contest.median_overhead_ms(way),
            "ms",
            goal=limit_ms,
            at_most=True,
            detail=f"over the {steps_ms:.3f} ms that the runtime's own steps took; "
            f"{contest.told(way)}",
        )
        report.add(
            f"the same over an engine alone, {way}",
            contest.median_ms(way) - alone_ms,
            "ms",
            detail=f"which takes {own_ms:.3f} ms call by call, {going_on_ms:.3f} ms going on: "
            "what client and front take from the cores that steps compute on is in it",
        )
    hand_over_ms = question_ms(endpoint)
    report.add(
        "hand-overs alone, per call that is read",
        hand_over_ms,
        "ms",
        detail="a question to the engine and its answer; a call whose result is read before the "
        "next one takes this way, too, and no less than this over the runtime's own steps",
    )
    report.add(
        "hand-overs alone, per call of a program of 20",
        hand_over_ms / NUM_GENS,
        "ms",
        detail=f"a question to the engine and its answer, {hand_over_ms:.3f} ms, go through the "
        "threads that a compiled program goes through, and do nothing there",
    )
    turn_ms = between_steps_ms(endpoint)
    report.add(
        "the least that compiling could leave, per call of a program of 20",
        hand_over_ms / NUM_GENS + SHORT * turn_ms,
        "ms",
        detail=f"those hand-overs, and {SHORT} times the {turn_ms * 1000:.1f} us from one step to "
        "the next: client and front cost nothing then",
    )
    report.add(
        "compiled over interpreted, 20 short gens",
        contest.median_ms("interpreted") / contest.median_ms("compiled"),
        "x",
    )


def steps_per_call(run: Callable[[], int], engine: bl.RuntimeEndpoint | EngineCore) -> float:
    """Of one run."""

    def so_far() -> float:
        if isinstance(engine, bl.RuntimeEndpoint):
            return float(engine.get_server_info()["steps"])
        return engine.stats()["steps"]

    before = so_far()
    num_calls = run()
    return (so_far() - before) / num_calls


def question_ms(endpoint: bl.RuntimeEndpoint) -> float:
    """From the caller's thread to the engine's loop and back, median."""
    taken: list[float] = []
    for _ in range(40):
        start = time.perf_counter()
        endpoint.get_server_info()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def between_steps_ms(endpoint: bl.RuntimeEndpoint) -> float:
    """From the end of a step to the next one: what a long call takes over its steps beyond what a
    short one does, for each step that it has more."""

    def over_steps(num_tokens: int) -> tuple[float, float]:
        """Milliseconds, the least of five, and how many steps there were."""
        taken: list[tuple[float, float]] = []
        for _ in range(5):
            before, start = endpoint.get_server_info(), time.perf_counter()
            alone.run(f"Story {next(NUMBERS)}", num_tokens, backend=endpoint).sync()
            wall_s, after = time.perf_counter() - start, endpoint.get_server_info()
            steps_s = float(after["step_seconds"]) - float(before["step_seconds"])
            num_steps = float(after["steps"]) - float(before["steps"])
            taken.append(((wall_s - steps_s) * 1000, num_steps))
        return min(taken)

    short_ms, few = over_steps(SHORT)
    long_ms, many = over_steps(128 * SHORT)
    return max(0.0, long_ms - short_ms) / (many - few)
