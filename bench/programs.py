"""Programs: what the client costs per call, compiled against interpreted against plain requests.

- 20 short gens after each other, interpreted and compiled, against what the engine needs for the
  same tokens in this process without any client: call by call, and going on from call to call as
  it does for a plan.
- Many instances of a program of four gens: compiled, interpreted, and the same calls as independent
  requests with the whole text, as many side by side as a batch has, and one by one.
- `fork(32)` of a prompt of 1,000 tokens.
- Thousands of documents through `run_batch`: memory of client and runtime, early and at the end.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import branchline as bl
from branchline.lang.loop import shared_loop
from branchline.runtime import protocol
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.process import load

from .processes import cpu_seconds, resident_bytes, runtime_processes
from .report import Report, arguments, finish, interleaved, stage

NUM_GENS = 20
SHORT = 4
INTERPRETED_MS = 0.3
COMPILED_MS = 0.05
FORK_MS = 1.0
COMPILED_GAIN = 1.3
INTERPRETED_GAIN = 1.5
WIDTH = 32
# A first start compiles the kernels, which takes minutes on a machine that has other work; and an
# engine that waits for a core there must not be taken for one that hangs.
PATIENT: dict[str, Any] = {"launch_timeout": 1200.0, "engine_hang_s": 60.0}
# As many instances as run_batch has under way.
AT_ONCE = 96
_NUMBERS = itertools.count()


@bl.function
def twenty(s: bl.ProgramState, topic: str) -> None:
    s += topic
    for number in range(NUM_GENS):
        s += f" {number}:" + bl.gen(f"g{number}", max_tokens=SHORT, ignore_eos=True)


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
    options = arguments(__doc__.splitlines()[0]).parse_args()
    quick = options.quick
    rounds = 3 if quick else 9
    report = Report("programs")
    with bl.Runtime(model_path="embedded", **PATIENT) as runtime:
        endpoint = runtime.endpoint
        processes = runtime_processes()
        with stage("client overhead"):
            overhead(report, endpoint, rounds)
        with stage("throughput"):
            throughput(report, endpoint, processes, 32 if quick else 1000, 1 if quick else 3)
        with stage("fork"):
            fork(report, endpoint, rounds)
    # A small pool: it is full, and all its pages are touched, before memory is first looked at.
    with (
        bl.Runtime(model_path="embedded", kv_slots=8192, **PATIENT) as runtime,
        stage("memory"),
    ):
        memory(report, runtime.endpoint, runtime_processes(), 400 if quick else 10_000)
    finish(report, options, plot)


def overhead(report: Report, endpoint: bl.RuntimeEndpoint, rounds: int) -> None:
    """Time per call over the engine's own steps for the same tokens."""
    compiled = twenty.compile()
    core, _ = load(EngineConfig(model=endpoint.model_info.path))
    sampled: list[bl.ProgramState] = []

    def program(run: Callable[..., bl.ProgramState]) -> float:
        topic = f"Story {next(_NUMBERS)}"
        start = time.perf_counter()
        state = run(topic, temperature=0, backend=endpoint)
        state.sync()
        seconds = time.perf_counter() - start
        sampled.append(state)
        return seconds

    def engine(*, goes_on: bool) -> float:
        return engine_seconds(core, sampled[-1], goes_on)

    seconds, _ = interleaved(
        {
            "interpreted": lambda: program(twenty.run),
            "compiled": lambda: program(compiled.run),
            "engine": partial(engine, goes_on=False),
            "engine going on": partial(engine, goes_on=True),
        },
        rounds,
    )
    own = {way: seconds[way] / NUM_GENS * 1000 for way in ("engine", "engine going on")}
    for way, limit_ms, same_work in (
        ("interpreted", INTERPRETED_MS, "engine"),
        ("compiled", COMPILED_MS, "engine going on"),
    ):
        each_ms = seconds[way] / NUM_GENS * 1000
        cost_ms = each_ms - own["engine"]
        # A program that seems faster than the same work without it shows noise, and meets no goal.
        measurable = each_ms > own[same_work]
        report.add(
            f"{limit_ms:g} ms over the overhead per call, {way}",
            limit_ms / max(cost_ms, 0.001) if measurable else 0.0,
            "x",
            goal=1.0,
            detail=f"{cost_ms:.3f} ms over the engine's own {own['engine']:.2f} ms per call, "
            f"{own['engine going on']:.2f} ms where it goes on by itself"
            + ("" if measurable else ": lost in the noise of this run"),
        )
    report.add(
        "compiled over interpreted, 20 short gens",
        seconds["interpreted"] / seconds["compiled"],
        "x",
        detail=f"{seconds['compiled'] * 1000:.0f} against {seconds['interpreted'] * 1000:.0f} ms",
    )


def engine_seconds(core: EngineCore, state: bl.ProgramState, goes_on: bool) -> float:
    """What the calls of a state take, the prompts being token ids: one after the other, or all
    submitted with the first."""
    core.flush_cache()
    gaps: list[list[int]] = []
    outputs: list[list[int]] = []
    gap: list[int] = []
    for part in state.stream_executor.transcript.parts:
        if isinstance(part, protocol.Tokens):
            gaps.append(gap)
            outputs.append(part.ids)
            gap = []
        else:
            gap = gap + core.tokenizer.encode([part])
    sampling = protocol.SamplingParams(
        max_new_tokens=SHORT, temperature=0.0, ignore_eos=True, skip_special_tokens=True
    )
    then = [protocol.NextCall(ids, sampling) for ids in gaps[1:]] if goes_on else []
    prompt: list[int] = []
    start = time.perf_counter()
    for ids, output in list(zip(gaps, outputs, strict=True))[: 1 if goes_on else None]:
        prompt = prompt + ids
        core.submit(
            protocol.Submit(sid=next(_NUMBERS), input_ids=prompt, sampling=sampling, then=then)
        )
        while core.has_work:
            core.step()
        prompt = prompt + output
    return time.perf_counter() - start


def throughput(
    report: Report,
    endpoint: bl.RuntimeEndpoint,
    processes: dict[str, int],
    num_instances: int,
    rounds: int,
) -> None:
    """Instances per second, four ways, and the CPU time that a call costs each process."""
    num_alone = max(4, num_instances // 16)
    cpu: dict[str, list[dict[str, float]]] = {}

    def measured(way: str, run: Callable[[list[str]], object], number: int) -> float:
        endpoint.flush_cache()
        topics = [f"thing {next(_NUMBERS)}" for _ in range(number)]
        before = cpu_seconds(processes)
        start = time.perf_counter()
        run(topics)
        seconds = time.perf_counter() - start
        used = cpu_seconds(processes)
        num_calls = number * len(QUESTIONS)
        cpu.setdefault(way, []).append(
            {name: (used[name] - before[name]) / num_calls * 1000 for name in used}
        )
        return seconds / number

    def batch(topics: list[str], *, compiled: bool) -> None:
        items = [{"topic": topic} for topic in topics]
        four.run_batch(items, temperature=0, backend=endpoint, compiled=compiled)

    def stateless(topics: list[str], *, at_once: int) -> None:
        shared_loop().run(all_stateless(endpoint, topics, at_once))

    ways: dict[str, tuple[Callable[[list[str]], object], int]] = {
        "compiled": (partial(batch, compiled=True), num_instances),
        "interpreted": (partial(batch, compiled=False), num_instances),
        "stateless": (partial(stateless, at_once=AT_ONCE), num_instances),
        "one by one": (partial(stateless, at_once=1), num_alone),
    }
    seconds, _ = interleaved(
        {way: partial(measured, way, run, number) for way, (run, number) in ways.items()}, rounds
    )

    def told(way: str) -> str:
        # The first measurement is the warm-up.
        each = {
            name: statistics.median(sample[name] for sample in cpu[way][1:]) for name in cpu[way][0]
        }
        spent = ", ".join(f"{name} {ms:.2f}" for name, ms in each.items())
        return f"{1 / seconds[way]:,.1f}/s (CPU ms per call: {spent})"

    for faster, slower, goal in (
        ("compiled", "interpreted", COMPILED_GAIN),
        ("interpreted", "stateless", INTERPRETED_GAIN),
        ("interpreted", "one by one", INTERPRETED_GAIN),
        ("compiled", "stateless", None),
    ):
        report.add(
            f"{faster} over {slower}, {len(QUESTIONS)}-gen program",
            seconds[slower] / seconds[faster],
            "x",
            goal=goal,
            detail=f"{told(faster)} against {told(slower)}, {num_instances} instances",
        )


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
        state = wide.run(f"Number {next(_NUMBERS)}. " + "word " * 1000, backend=endpoint)
        state.sync()
        used = state.usages()
        computed = sum(usage.prompt_tokens - usage.cached_tokens for usage in used)
        shares.append(sum(usage.prompt_tokens for usage in used) / computed)
    median_ms = sorted(forks_ms[1:])[len(forks_ms[1:]) // 2]
    report.add(
        f"{FORK_MS:g} ms over the time of fork({WIDTH})",
        FORK_MS / median_ms,
        "x",
        goal=1.0,
        detail=f"{median_ms:.3f} ms",
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
    states = document.run_batch(items, temperature=0, backend=endpoint, generator_style=True)
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
    """Bars: every ratio, with its goal."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    names = [row.metric for row in report.rows]
    bars = axes.barh(names, [row.value for row in report.rows])
    axes.bar_label(bars, fmt="%.2f")
    goals = [(row.goal, place) for place, row in enumerate(report.rows) if row.goal is not None]
    axes.scatter([goal for goal, _ in goals], [place for _, place in goals], marker="|", color="k")
    axes.set_xscale("log")
    axes.set_xlabel("ratio (goals marked)")
    axes.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
