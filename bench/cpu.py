"""The engine on a CPU against other engines, on random models S (100 M) and M (0.5 B).

Against `transformers` generate, and OpenVINO and llama.cpp where they are installed; what counts is
the best of them in each workload. All run in this process with the same weights, the same threads
and greedy sampling, in turns, in bfloat16 where the processor multiplies it, else in float32. Ours
runs whole steps (scheduler, radix tree, sampling) but no sockets. The limits of the machine are
measured in the same run, and beside each ratio stands the most that it can be (cpu_bounds.py);
where a goal is above that, its column says so. Every figure is told when it is known, and with
--json kept at once: a run that is cut short leaves what it had.

--avx2 holds ours and transformers to what a processor without AVX-512 and AMX can do; OpenVINO, of
which nobody knows whether it can be held to that, is measured where the processor is one.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from branchline.runtime import engine_protocol, protocol
from branchline.runtime.engine.config import Dtype, EngineConfig, OverlapMode, Quantization
from branchline.runtime.engine.core import EngineCore

from .cpu_bounds import (
    Machine,
    Pass,
    branches,
    decode,
    extend,
    kernels_of,
    prefill,
    quantized_bytes,
    recorded,
)
from .cpu_limits import kernel_share, memory, queue_share
from .cpu_peers import Peer, Prompts, llama_cpp, load_peers
from .cpu_plot import plot
from .random_models import write_model
from .report import LiveReport, Report, arguments, finish

# For our kernels, for oneDNN, for torch's own loops and for the products of float32 in MKL.
AVX2 = {
    "BRANCHLINE_CPU_LEVEL": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
# Of short workloads so many turns are taken: the machine's speed changes from one to the next.
_TURNS_S = 30
_MOST_ROUNDS = 15
# A prompt is no decoding, and few tokens are as short as one.
_QUANTIZED_TOKENS = 128
FIRST_ID, LAST_ID = 300, 4000  # tokens that stand for text in the embedded model's vocabulary
SCHEMA = (
    '{"type":"object","properties":{"name":{"type":"string","maxLength":200},"numbers":'
    '{"type":"array","items":{"type":"integer"},"maxItems":60}},"required":["name","numbers"]}'
)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder that keeps the models between runs")
    parser.add_argument("--model", choices=("S", "M", "both"), help="default: both, quick: S")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, help="of workloads, not of loading (default: 40, quick: 2.5)"
    )
    told = "these workloads (default: all; fork takes 20 minutes without AMX)"
    parser.add_argument("--only", choices=WORKLOADS, nargs="+", help=told)
    parser.add_argument("--avx2", action="store_true", help="hold all to AVX2, in float32")
    options = parser.parse_args()
    if options.avx2 and not AVX2.items() <= os.environ.items():
        # They are read when torch is imported.
        command = [sys.executable, "-m", "bench.cpu", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | AVX2)
    possible = AGAINST_PEERS if options.avx2 else WORKLOADS
    only = options.only or list(possible)
    if not set(only) <= possible.keys():
        parser.error(f"--avx2 runs {', '.join(possible)}")
    torch.set_num_threads(options.threads)
    report = LiveReport("cpu", json_file=options.json)
    chosen = options.model or ("S" if options.quick else "both")
    minutes = options.minutes or (2.5 if options.quick else 40.0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or Path(scratch)
        names = ("S", "M") if chosen == "both" else (chosen,)
        for left, name in zip(range(len(names), 0, -1), names, strict=True):
            start = time.perf_counter()
            tell(f"{name}: loading")
            bench = Bench(report, name, write_model(name, folder), options)
            bench.run(only, 60 * minutes / left)
            minutes -= (time.perf_counter() - start) / 60
    finish(report, options, plot)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bench:
    """One model: all contenders, the machine's limits, and the workloads."""

    def __init__(self, report: Report, name: str, path: Path, options: argparse.Namespace) -> None:
        self.report, self.name, self.path, self.quick = report, name, path, options.quick
        self.threads = options.threads
        self.rounds = 2 if self.quick else 3
        self.rng = random.Random(0)
        # "auto" asks the processor, for models of this size.
        dtype: Dtype = "float32" if options.avx2 else "auto"
        self.core = EngineCore(EngineConfig(model=str(path), dtype=dtype))
        runner: Any = self.core.runner
        self.in_float32 = runner.dtype is torch.float32
        self.peers = load_peers(path, options.threads, runner.dtype, held=options.avx2)
        tell(f"{name}: {self.core.runner.execution}; {', '.join(p.name for p in self.peers)}")
        self.next_sid = 0
        self.num_salts = 0
        kernels = kernels_of(runner.attention)
        self.machine = Machine(runner.model_config, runner.dtype, kernels, options.threads)

    def run(self, only: Sequence[str], seconds: float) -> None:
        """The workloads of these names; those that begin after `seconds` are left out."""
        end = time.perf_counter() + seconds
        chosen = [name for name in WORKLOADS if name in only]
        for number, name in enumerate(chosen):
            if time.perf_counter() > end:
                tell(f"{self.name}: no time for the last {len(chosen) - number} workloads")
                break
            tell(f"{self.name}: {name} ({number + 1} of {len(chosen)})")
            WORKLOADS[name](self)
        for size, speed in sorted(self.machine.speeds.items()):
            self.add(f"reading {size / 1e6:.0f} MB again and again", speed / 1e9, "GB/s")
        for rows, rate in sorted(self.machine.rates.items()):
            self.add(f"products of {rows} rows", rate / 1e9, "GFLOP/s")

    def add(
        self,
        metric: str,
        value: float,
        unit: str,
        *,
        goal: float | None = None,
        detail: str = "",
        most: float | None = None,
    ) -> None:
        name = f"{self.name}: {metric}"
        self.report.add(name, value, unit, goal=goal, detail=detail, most=most)

    def turns(self, *contenders: Callable[[], float]) -> list[list[float]]:
        """What each returns, taking turns; where one turn is long, it has to do."""
        start = time.perf_counter()
        first = [run() for run in contenders]
        took = time.perf_counter() - start
        if took > (10 if self.quick else 60):
            return [[time_s] for time_s in first]
        more = 0 if self.quick else min(int(_TURNS_S / took), _MOST_ROUNDS)
        taken = [[run() for run in contenders] for _ in range(max(self.rounds, more))]
        return [list(times) for times in zip(*taken, strict=True)]

    def against_peers(
        self,
        metric: str,
        ours: Callable[[], float],
        theirs: Callable[[Peer], float],
        *,
        goal: float,
        work: list[Pass],
        per: int = 1,
        detail: Callable[[float], str] = "{:.3f} s".format,
    ) -> None:
        """Adds the best peer's figure over ours, lower being better, and beside it the most that it
        could be. work: what has to be computed for `per` times the figure. goal: in bfloat16, else
        it is 1."""
        self.machine.measure(work)
        runs = [lambda peer=peer: theirs(peer) for peer in self.peers]
        mine, *others = self.turns(ours, *runs)
        self.machine.measure(work)
        own, *medians = map(statistics.median, (mine, *others))
        told = [f"{peer.name} {detail(t)}" for peer, t in zip(self.peers, medians, strict=True)]
        text = f"{detail(own)}; {', '.join(told)}"
        least = self.machine.least_s(work) / per
        most = min(medians) / least
        goal = 1.0 if self.in_float32 else goal
        ahead = min(ratio(times, mine) for times in others)
        self.add(metric, ahead, "x", goal=goal, detail=text, most=most)
        text = f"{detail(least)} at least, {most:.2f}x at most"
        self.add(f"{metric}, of the machine's limit", least / own, "", detail=text)

    def kernels(self) -> None:
        """How much of a decode step the kernels take; the rest is Python, torch and scheduling: one
        after the other, and where steps run ahead."""
        prompt, other = self.prompts(2, 16)
        steps = 12 if self.quick else 40

        def engine(overlap: OverlapMode) -> EngineCore:
            config = replace(self.core.config, overlap=overlap)
            return EngineCore(config, self.core.runner, self.core.tokenizer)

        share = queue_share(engine("on"), other, steps)
        if share is not None:
            detail = "of the time, batch 1; the rest of a step is done beside the next one"
            self.add("kernels' thread at work", share, "", goal=0.95, detail=detail)
        found = kernel_share(engine("off"), prompt, steps)
        if found is not None:
            whole, inside = found
            detail = f"{1e3 * inside:.2f} of {1e3 * whole:.2f} ms, batch 1"
            metric = "kernels' share of a step, one after the other"
            self.add(metric, inside / whole, "", goal=0.95, detail=detail)

    def memory(self) -> None:
        value, detail = memory(self.path)
        self.add("memory allowed over taken", value, "x", goal=1.0, detail=detail)

    def prefill(self, metric: str, length: int, goal: float) -> None:
        work = [prefill(1, length)]
        self.compare(metric, self.prompts(1, length), 1, goal=goal, work=work)

    def decode(self, batch: int, goal: float) -> None:
        length = new_tokens = 16 if self.quick else 128
        work = [prefill(batch, length), *decode(batch, length, new_tokens - 1)]
        prompts = self.prompts(batch, length)
        self.compare(f"decode batch {batch}", prompts, new_tokens, goal=goal, work=work)

    def quantized(self, name: Quantization, theirs: str, goal: float) -> None:
        """Decoding at batch 1 against our own, whose weights are in bfloat16 whatever it computes
        in, and against llama.cpp's nearest."""
        core = EngineCore(replace(self.core.config, quantization=name))
        prompts = self.prompts(1, 16)

        def run(core: EngineCore) -> float:
            core.flush_cache()
            start = time.perf_counter()
            self.answers(prompts, _QUANTIZED_TOKENS, core=core)
            return time.perf_counter() - start

        peer = llama_cpp(self.path, theirs, self.threads)
        runs = [lambda: run(core), lambda: run(self.core)]
        if peer is not None:
            runs.append(lambda: timed(lambda: peer.generate(prompts, _QUANTIZED_TOKENS)))
        size = quantized_bytes(self.machine, name)
        work = [prefill(1, 16), *decode(1, 16, _QUANTIZED_TOKENS - 1)]
        self.machine.measure(work, size)
        mine, all_plain, *other = self.turns(*runs)
        self.machine.measure(work, size)
        least = self.machine.least_s(work, size)
        own, plain = statistics.median(mine), statistics.median(all_plain)
        detail = f"{_QUANTIZED_TOKENS / own:.0f} tokens/s, of our own time with bfloat16 weights, "
        detail += f"{100 * least / own:.0f} % of the limit, {plain / least:.2f}x at most"
        metric, most = f"{name}, decode batch 1", plain / least
        self.add(metric, ratio(all_plain, mine), "x", goal=goal, detail=detail, most=most)
        if peer is not None:
            (its,) = other
            detail = f"{_QUANTIZED_TOKENS / statistics.median(its):.0f} tokens/s, {peer.name}"
            metric = f"{name}, against {theirs}"
            self.add(metric, ratio(its, mine), "x", goal=1.1, detail=detail)

    def prompts(self, count: int, length: int) -> Prompts:
        return [[self.rng.randint(FIRST_ID, LAST_ID) for _ in range(length)] for _ in range(count)]

    def compare(
        self,
        metric: str,
        prompts: Prompts,
        new_tokens: int,
        *,
        goal: float,
        work: list[Pass],
        warm: bool = False,
    ) -> None:
        """All contenders over the same prompts of equal length; the ratio of their times."""

        def run(answer: Callable[[Prompts], object]) -> float:
            fresh = prompts if warm else self.salted(prompts)
            return timed(lambda: answer(fresh))

        if warm:
            # One first: a peer computes what they share for each of those that come at once.
            for some in (prompts[:1], prompts):
                self.answers(some, 1)
                for peer in self.peers:
                    if peer.keeps_prefixes:
                        peer.generate(some, 1)
        self.against_peers(
            metric,
            lambda: run(lambda fresh: self.answers(fresh, new_tokens)),
            lambda peer: run(lambda fresh: peer.generate(fresh, new_tokens)),
            goal=goal,
            work=work,
        )

    def salted(self, prompts: Prompts) -> Prompts:
        """The prompts with another first token, the same in all: what was computed for others is of
        no use, and what they share stays shared."""
        self.num_salts += 1
        return [[LAST_ID + self.num_salts, *prompt[1:]] for prompt in prompts]

    def shared_prefix(self) -> None:
        self.shared("shared prefix", *((256, 8, 16, 8) if self.quick else (1024, 32, 64, 64)), 2.0)

    def fork(self) -> None:
        self.shared("fork", *((512, 16, 1, 8) if self.quick else (2000, 64, 1, 32)), 3.0)

    def shared(
        self, metric: str, prefix: int, count: int, own: int, new_tokens: int, goal: float
    ) -> None:
        (trunk,) = self.prompts(1, prefix)
        prompts = [trunk + tail for tail in self.prompts(count, own)]
        length = prefix + own
        steps = decode(count, length, new_tokens - 1, shared=prefix)
        for warm in (False, True):
            # Of what is cached a token is computed for its logits.
            again = decode(count, length - 1, 1, shared=prefix)
            first = again if warm else branches(prefix, count, own)
            name = f"{metric}, {'warm' if warm else 'cold'}"
            work = [*first, *steps]
            self.compare(name, prompts, new_tokens, goal=goal, work=work, warm=warm)

    def multi_turn(self) -> None:
        """Each turn goes on where the last ended; transformers computes the history anew."""
        conversations, turns, length = (2, 2, 32) if self.quick else (8, 4, 64)
        systems = self.prompts(conversations, 4 * length)
        messages = [self.prompts(conversations, length) for _ in range(turns)]

        work: list[Pass] = []
        for turn in range(turns):
            cached = 0 if turn == 0 else 4 * length + 2 * turn * length - 1
            now = 4 * length + (2 * turn + 1) * length
            work += [extend(conversations, now, cached), *decode(conversations, now, length - 1)]

        def talk(answer: Callable[[Prompts], Prompts]) -> float:
            start = time.perf_counter()
            history = self.salted(systems)
            for turn in messages:
                history = [old + new for old, new in zip(history, turn, strict=True)]
                history = [old + new for old, new in zip(history, answer(history), strict=True)]
            return time.perf_counter() - start

        self.against_peers(
            "multi-turn",
            lambda: talk(lambda prompts: self.answers(prompts, length)),
            lambda peer: talk(lambda prompts: peer.generate(prompts, length)),
            goal=1.5,
            work=work,
        )

    def json(self) -> None:
        """Under a schema, seconds per token; transformers without any constraint."""
        new_tokens = 32 if self.quick else 128
        prompts = self.prompts(8, 64)

        def run(answer: Callable[[Prompts], Prompts]) -> float:
            fresh = self.salted(prompts)
            start = time.perf_counter()
            made = sum(map(len, answer(fresh)))
            return (time.perf_counter() - start) / made

        constraint = protocol.JsonSchema(SCHEMA)
        self.answers(prompts, new_tokens, constraint)  # compiles the grammar, which is kept
        # How many passes it takes is a matter of what the model writes: as many as ours took.
        with recorded(self.core) as work:
            made = sum(map(len, self.answers(self.salted(prompts), new_tokens, constraint)))
        self.against_peers(
            "JSON batch 8",
            lambda: run(lambda fresh: self.answers(fresh, new_tokens, constraint)),
            lambda peer: run(lambda fresh: peer.generate_json(fresh, new_tokens, SCHEMA)),
            goal=1.5,
            work=work,
            per=made,
            detail=lambda seconds: f"{1 / seconds:.0f} tokens/s",
        )

    def answers(
        self,
        prompts: Prompts,
        new_tokens: int,
        constraint: protocol.JsonSchema | None = None,
        core: EngineCore | None = None,
    ) -> Prompts:
        """The tokens after each prompt, all prompts at once."""
        core = core or self.core
        made: dict[int, list[int]] = {}
        for prompt in prompts:
            sampling = protocol.SamplingParams(
                max_new_tokens=new_tokens, temperature=0.0, ignore_eos=constraint is None
            )
            command = engine_protocol.Submit(self.next_sid, prompt, sampling, constraint)
            core.submit(command)
            made[self.next_sid] = []
            self.next_sid += 1
        while core.has_work:
            events = core.step()
            if events.failed:
                raise RuntimeError(f"a sequence failed: {events.failed[0].message}")
            for progress in events.progress:
                made[progress.sid] += progress.token_ids
        return list(made.values())


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How many times as long they take: the median over turns, as the machine's speed changes less
    within one than from one to the next."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


# In the order in which they run, the short ones first.
AGAINST_PEERS: dict[str, Callable[[Bench], None]] = {
    "ttft": lambda bench: bench.prefill("TTFT 128", 128, 1 / 0.85),
    "decode-1": lambda bench: bench.decode(1, 1.15),
    "decode-8": lambda bench: bench.decode(8, 1.3),
    "prefill-1024": lambda bench: bench.prefill("prefill 1,024", 1024, 1.15),
    "json": Bench.json,
    "decode-32": lambda bench: bench.decode(32, 2.0),
    "decode-64": lambda bench: bench.decode(64, 2.0),
    "prefill-4096": lambda bench: bench.prefill("prefill 4,096", 4096, 1.3),
    "multi-turn": Bench.multi_turn,
    "shared": Bench.shared_prefix,
    "fork": Bench.fork,
}
WORKLOADS: dict[str, Callable[[Bench], None]] = {
    "kernels": Bench.kernels,
    "int8": lambda bench: bench.quantized("int8", "q8_0", 1.7),
    "int4": lambda bench: bench.quantized("int4", "q4_0", 2.5),
    "memory": Bench.memory,
    **AGAINST_PEERS,
}

if __name__ == "__main__":
    main()
