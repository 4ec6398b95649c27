"""Programs: what the client costs per call, compiled against interpreted against plain requests.

- 20 short gens after each other, interpreted (also with each result read before the next call) and
  compiled: what they take over the runtime's own steps, which it counts itself, and over an engine
  in this process that computes the same tokens without any client.
- Many instances of a program of four gens: compiled, interpreted, and the same calls as independent
  requests with the whole text, as many side by side as a batch has, and one by one.
- `fork(32)` of a prompt of 1,000 tokens.
- Thousands of documents through `run_batch`: memory of client and runtime, early and at the end.

Every figure is told when it is known, and with --json kept at once. Rounds that would begin after
the time are left out, and so is the memory: no run takes much longer than --minutes.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import branchline as bl
from branchline.lang.loop import shared_loop
from branchline.runtime import protocol

from .contest import Contest
from .processes import resident_bytes, runtime_processes
from .program_overhead import LIMIT_S, NUMBERS, SHORT, overhead
from .report import LiveReport, Report, arguments, finish, stage

FORK_MS = 1.0
COMPILED_GAIN = 1.3
INTERPRETED_GAIN = 1.5
WIDTH = 32
# A first start compiles the kernels, which takes minutes on a machine that has other work; and an
# engine that waits for a core there must not be taken for one that hangs.
PATIENT: dict[str, Any] = {"launch_timeout": 1200.0, "engine_hang_s": 60.0}
# As many instances as run_batch has under way.
AT_ONCE = 96


@bl.function
def four(s: bl.ProgramState, topic: str) -> None:
    s += bl.system("You answer in a few words.")
    for number, question in enumerate(QUESTIONS):
        s += bl.user(question + topic)
        s += bl.assistant(bl.gen(f"g{number}", max_tokens=SHORT, ignore_eos=True))


@bl.function
def document(s: bl.ProgramState, text: str) -> None:
    s += bl.user(text) + bl.assistant(bl.gen("title", max_tokens=2) + bl.gen("more", max_tokens=2))


QUESTIONS = ("Tell me about ", "What is good about ", "What is bad about ", "Who likes ")


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="of work (default: 8, quick: 1.5)")
    options = parser.parse_args()
    quick = options.quick
    rounds = 3 if quick else 9
    end_s = time.perf_counter() + 60 * (options.minutes or (1.5 if quick else 8.0))
    report = LiveReport("programs", json_file=options.json)
    with bl.Runtime(model_path="embedded", **PATIENT) as runtime:
        endpoint = runtime.endpoint
        processes = runtime_processes()
        with stage("client overhead"):
            overhead(report, endpoint, processes, 2 * rounds, end_s)
        with stage("fork"):
            fork(report, endpoint, rounds)
        with stage("throughput"):
            number = 192 if quick else 1000
            throughput(report, endpoint, processes, number, 2 if quick else 3, end_s)
    if time.perf_counter() > end_s:
        print("no time for memory", file=sys.stderr)
    else:
        # A small pool: it is full, and all its pages are touched, before memory is looked at.
        with (
            bl.Runtime(model_path="embedded", kv_slots=8192, **PATIENT) as runtime,
            stage("memory"),
        ):
            memory(report, runtime.endpoint, runtime_processes(), 400 if quick else 10_000)
    finish(report, options, plot)


def bound(report: Report, contest: Contest) -> None:
    """What a plan would gain that cost client and front nothing: both ways ask the engine for the
    same steps, and these use all cores."""
    spent = {name: contest.median_ms("interpreted", name) for name in ("client", "front", "engine")}
    engine_ms = contest.median_ms("compiled", "engine")
    report.add(
        f"the most that compiling could gain, {len(QUESTIONS)}-gen program",
        sum(spent.values()) / engine_ms,
        "x",
        detail="CPU time of an interpreted call, "
        + ", ".join(f"{name} {ms:.2f}" for name, ms in spent.items())
        + f" ms, over the engine's of a compiled one, {engine_ms:.2f} ms",
    )


def throughput(
    report: Report,
    endpoint: bl.RuntimeEndpoint,
    processes: dict[str, int],
    num_instances: int,
    rounds: int,
    end_s: float,
) -> None:
    """Instances per second, four ways, and the CPU time that a call costs each process."""
    num_alone = max(4, num_instances // 16)

    def fresh(run: Callable[[list[str]], object], number: int) -> int:
        endpoint.flush_cache()
        run([f"thing {next(NUMBERS)}" for _ in range(number)])
        return number * len(QUESTIONS)

    def batch(topics: list[str], *, compiled: bool) -> None:
        items = [{"topic": topic} for topic in topics]
        four.run_batch(items, temperature=0, backend=endpoint, compiled=compiled, timeout=LIMIT_S)

    def stateless(topics: list[str], *, at_once: int) -> None:
        shared_loop().run(all_stateless(endpoint, topics, at_once), LIMIT_S)

    contest = Contest(processes)
    ways: dict[str, Callable[[], int]] = {
        "compiled": partial(fresh, partial(batch, compiled=True), num_instances),
        "interpreted": partial(fresh, partial(batch, compiled=False), num_instances),
        "stateless": partial(fresh, partial(stateless, at_once=AT_ONCE), num_instances),
        "one by one": partial(fresh, partial(stateless, at_once=1), num_alone),
    }
    contest.run(ways, rounds, end_s)
    for faster, slower, goal in (
        ("compiled", "interpreted", COMPILED_GAIN),
        ("interpreted", "stateless", None),
        ("interpreted", "one by one", INTERPRETED_GAIN),
        ("compiled", "stateless", None),
    ):
        report.add(
            f"{faster} over {slower}, {len(QUESTIONS)}-gen program",
            contest.median_ms(slower) / contest.median_ms(faster),
            "x",
            goal=goal,
            detail=f"per call: {contest.told(faster)} against {contest.told(slower)}, "
            f"{num_instances} instances",
        )
    bound(report, contest)


async def all_stateless(endpoint: bl.RuntimeEndpoint, topics: list[str], at_once: int) -> None:
    """Each call with its whole text, `at_once` instances side by side."""
    room = asyncio.Semaphore(at_once)
    template = endpoint.chat_template
    sampling = protocol.SamplingParams(max_new_tokens=SHORT, temperature=0.0, ignore_eos=True)

    async def one(topic: str) -> None:
        async with room:
            turns = [{"role": "system", "content": "You answer in a few words."}]
            for question in QUESTIONS:
                turns.append({"role": "user", "content": question + topic})
                prefix, _ = template.get_prefix_and_suffix("assistant", turns)
                text = template.get_prompt(turns) + prefix
                done = await endpoint.generate([protocol.Text(text, markup=True)], sampling)
                turns.append({"role": "assistant", "content": done.outputs[0].text})

    await asyncio.gather(*(one(topic) for topic in topics))


def fork(report: Report, endpoint: bl.RuntimeEndpoint, rounds: int) -> None:
    """How long the fork itself takes, and how much of the prompt its branches compute."""
    forks_ms: list[float] = []
    shares: list[float] = []

    @bl.function
    def wide(s: bl.ProgramState, text: str) -> None:
        s += text + bl.gen("first", max_tokens=1, ignore_eos=True)
        s.sync()
        start = time.perf_counter()
        branches = s.fork(WIDTH)
        forks_ms.append((time.perf_counter() - start) * 1000)
        branches += lambda number: f" {number}" + bl.gen("x", max_tokens=2, ignore_eos=True)
        branches.join()

    for _ in range(rounds + 1):
        text = f"Number {next(NUMBERS)}. " + "word " * 1000
        state = wide.run(text, backend=endpoint, timeout=LIMIT_S)
        state.sync()
        used = state.usages()
        computed = sum(usage.prompt_tokens - usage.cached_tokens for usage in used)
        shares.append(sum(usage.prompt_tokens for usage in used) / computed)
    report.add(
        f"fork({WIDTH})",
        statistics.median(forks_ms[1:]),
        "ms",
        goal=FORK_MS,
        at_most=True,
        detail="of a prompt of 1,000 words, the fork itself",
    )
    report.add(
        f"prompt tokens over computed ones, fork({WIDTH})",
        shares[-1],
        "x",
        goal=WIDTH / 2,
        detail="a prompt of 1,000 words, computed once",
    )


def memory(
    report: Report, endpoint: bl.RuntimeEndpoint, processes: dict[str, int], num_documents: int
) -> None:
    """Resident memory after three tenths of the documents, over that at the end."""
    items = [
        {"text": f"Document {n}: " + " ".join(f"w{n * i % 997}" for i in range(40))}
        for n in range(num_documents)
    ]
    early: dict[str, int] = {}
    states = document.run_batch(
        items, temperature=0, backend=endpoint, generator_style=True, timeout=LIMIT_S
    )
    for number, _ in enumerate(states, 1):
        if number == num_documents * 3 // 10:
            early = resident_bytes(processes)
    late = resident_bytes(processes)
    for side, before in early.items():
        report.add(
            f"early memory over late, {side}",
            before / late[side],
            "x",
            goal=0.95,
            detail=f"{before / 2**20:,.0f} and {late[side] / 2**20:,.0f} MiB, "
            f"{num_documents} documents",
        )


def plot(report: Report, path: Path) -> None:
    """Bars: every figure, with its goal."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    rows = report.rows
    bars = axes.barh([f"{row.metric} ({row.unit})" for row in rows], [row.value for row in rows])
    axes.bar_label(bars, fmt="%.2f")
    goals = [(row.goal, place) for place, row in enumerate(rows) if row.goal is not None]
    axes.scatter([goal for goal, _ in goals], [place for _, place in goals], marker="|", color="k")
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_xlabel("goals marked")
    axes.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
