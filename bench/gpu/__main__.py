"""The GPU path in one call: `python -m bench.gpu --all --out DIR` checks, times and prints a table.

Within --minutes (7.75) on a machine with torch, triton and transformers and no network; models are
made there, at random, in the shapes of published ones. What ran is in DIR/gpu.json and DIR/gpu.txt
at once: a run that is cut short leaves what it had. Without a GPU, too: `--check` runs the checks,
in Triton's interpreter; `--host` times what the engine's loop does for a GPU; `--bounds` says what
each goal's bytes and products take at least. Ends with 0, with 1 where a check or a part failed,
and with 2 where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from ..report import Report, Row, stage

NO_GPU = (
    "bench.gpu: torch finds no GPU here; nothing was measured (--check, --host and --bounds run "
    "without one)"
)
# A part may be waited for so much longer than it was planned to take, before the run is cut.
_GRACE_S = 10.0


def main() -> int:
    options = _options()
    if options.host or options.bounds:
        return _without_gpu(options)
    there = torch.accelerator.is_available()
    if not there and not options.check:
        print(NO_GPU)
        return 2
    if not there:
        os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported anywhere
    run = Run(options.out, 60 * options.minutes)
    if options.check:
        run.checks(there)
    else:
        run.everything(set(options.only.split(",")) if options.only else None)
    return run.finish()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="checks, limits and all timings")
    parser.add_argument("--check", action="store_true", help="only the checks")
    parser.add_argument("--only", help=f"some parts of --all, of {','.join(PARTS)}")
    parser.add_argument("--host", action="store_true", help="the engine's loop, no GPU needed")
    parser.add_argument("--bounds", action="store_true", help="the least times, no GPU needed")
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.txt")
    parser.add_argument("--minutes", type=float, default=7.75, help="for the whole run")
    options = parser.parse_args()
    if not any((options.all, options.check, options.only, options.host, options.bounds)):
        parser.error("give --all, --check, --only, --host or --bounds")
    if unknown := set((options.only or "").split(",")) - {*PARTS, ""}:
        parser.error(f"unknown parts {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


class Run:
    """One run: what is left of its time, its rows, and what went wrong."""

    def __init__(self, out: Path | None, seconds: float) -> None:
        self.out = out
        self.seconds = seconds
        self.end = time.perf_counter() + seconds
        self.report = Report("gpu")
        self.failures: list[str] = []
        self.device_name = ""
        self.part = ""
        self.part_seconds: dict[str, float] = {}
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)

    def everything(self, only: set[str] | None) -> None:
        watch = threading.Timer(self.seconds + _GRACE_S, self.cut)
        watch.daemon = True
        watch.start()
        for name, (part, planned_s) in PARTS.items():
            if only is not None and name not in only:
                continue
            begun = time.perf_counter()
            if begun + planned_s > self.end:
                self.failures.append(f"{name}: no time was left")
                continue
            self.part = name
            try:
                with stage(name):
                    part(self)
            except Exception as error:  # the other parts are still worth having
                traceback.print_exc()
                self.failures.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
            _free_memory()
            self.part_seconds[name] = round(time.perf_counter() - begun, 1)
            self.write()
        watch.cancel()

    def cut(self) -> None:
        """Time is up in the middle of a part, perhaps for a kernel that does not end: tell what
        there is, and end."""
        self.failures.append(f"{self.part}: did not end in time")
        status = self.finish()
        sys.stdout.flush()
        os._exit(status)

    def checks(self, there: bool) -> None:
        from branchline.runtime.device.base import Device, Kernels
        from branchline.runtime.device.cpu import CpuDevice
        from branchline.runtime.device.select import open_device

        from .checks import run_checks

        device: Device
        if there:
            device = open_device("auto")
            kernels = device.kernels("auto", "none", torch.bfloat16)
        else:
            from branchline.runtime.kernels.triton.attention import TritonAttention
            from branchline.runtime.kernels.triton.ops import TritonOps
            from branchline.runtime.kernels.triton.work import machine_for

            device = CpuDevice()
            kernels = Kernels(
                "Triton, interpreted",
                lambda *heads: TritonAttention(machine_for(8, *heads[:3]), heads[3]),
                TritonOps(),
            )
        self.device_name = f"{device.describe()}; kernels: {kernels.description}"
        passed = 0
        for checked in run_checks(device, kernels, small=not there):
            passed += checked.passed
            verdict = "ok" if checked.passed else "WRONG"
            line = (
                f"{verdict:5} {checked.name}: {checked.error:.1e}, {checked.allowed:.0e} allowed, "
                f"{checked.seconds:.1f} s {checked.problem}"
            )
            print(line, file=sys.stderr, flush=True)
            if not checked.passed:
                self.failures.append(f"check {line}")
        self.report.add("checks passed", float(passed), "", detail=kernels.description)

    def write(self) -> None:
        if self.out is None:
            return
        found = self.report.as_dict() | {
            "device": self.device_name,
            "failures": self.failures,
            "part_seconds": self.part_seconds,
        }
        (self.out / "gpu.json").write_text(json.dumps(found, indent=2) + "\n")

    def finish(self) -> int:
        self.write()
        lines = [f"device: {self.device_name}", *(f"FAILED {each}" for each in self.failures)]
        lines += [
            f"{row.metric}\t{row.value:.4g} {row.unit}\t{_goal(row)}\t{row.detail}"
            for row in self.report.rows
        ]
        print("\n".join(lines))
        if self.out is not None:
            (self.out / "gpu.txt").write_text("\n".join(lines) + "\n")
        return 1 if self.failures else 0


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    bound = "at most " if row.at_most else ""
    return f"goal {bound}{row.goal:g}{'' if row.met else ', MISSED'}"


def _without_gpu(options: argparse.Namespace) -> int:
    try:
        _need_msgspec()
    except RuntimeError as error:
        print(f"bench.gpu: {error}")
        return 1
    from .bounds import bounds
    from .host import host_steps
    from .shapes import QWEN3_06B
    from .throughput import make_requests

    run = Run(options.out, 60 * options.minutes)
    run.device_name = "none"
    if options.bounds:
        for bound in bounds():
            run.report.add(
                bound.what,
                1e3 * bound.seconds,
                "ms at least",
                goal=1e3 * bound.goal_s,
                detail=bound.detail,
                at_most=True,
            )
    if options.host:
        host_steps(QWEN3_06B, make_requests(QWEN3_06B, 256, 100, 1024), run.report)
    return run.finish()


def _checks(run: Run) -> None:
    run.checks(there=True)


def _kernels(run: Run) -> None:
    from branchline.runtime.device.select import open_device

    from .attention import AttentionBench, Sizes
    from .layers import LayersBench
    from .limits import measure_limits

    device = open_device("auto")
    limits = measure_limits(device)
    run.report.add("copy bandwidth", limits.bytes_per_s / 1e12, "TB/s", detail="read and written")
    run.report.add("bf16 products", limits.flops_per_s / 1e12, "TFLOP/s", detail="8192 cubed")
    kernels = device.kernels("auto", "none", torch.bfloat16)
    AttentionBench(device, run.report, limits, Sizes(), kernels).run()
    LayersBench(device, run.report, limits).run()


def _steps(run: Run) -> None:
    from branchline.runtime.device.select import open_device

    from .limits import measure_limits
    from .model_steps import Steps, decode_steps, that_fit
    from .shapes import LLAMA_8B, build

    device = open_device("auto")
    limits = measure_limits(device)
    wanted = (Steps(1, 1536, 60, 0.85), Steps(256, 1536, 40, 0.7))
    _free_memory()
    # One tenth is left to what a step needs between its kernels, and to captures.
    room = device.kv_budget(0.9, 2 * LLAMA_8B.num_parameters)
    sizes = [that_fit(each, LLAMA_8B, torch.bfloat16, room) for each in wanted]
    most = max(each.slots for each in sizes)
    built = build(LLAMA_8B, device, torch.bfloat16, num_slots=most)
    for each in sizes:
        decode_steps(built, limits, run.report, "8B Llama", each)


def _experts(run: Run) -> None:
    from branchline.runtime.device.select import open_device

    from .experts import MIXTRAL, QWEN3_30B, ExpertsBench
    from .limits import measure_limits

    device = open_device("auto")
    bench = ExpertsBench(device, run.report, measure_limits(device))
    for shape in (MIXTRAL, QWEN3_30B):
        bench.run(shape)


def _tune(run: Run) -> None:
    from branchline.runtime.device.select import open_device

    from .tuning import tune_attention, tune_experts

    device = open_device("auto")
    for sweep in (tune_attention, tune_experts):
        sweep(device, run.report, run.end)


def _sampling(run: Run) -> None:
    _need_msgspec()
    from branchline.runtime.device.select import open_device

    from .layers import sampling

    sampling(open_device("auto"), run.report)


def _offline(run: Run) -> None:
    from branchline.runtime.device.select import open_device

    _need_msgspec()
    from .bounds import offline_s
    from .limits import measure_limits
    from .shapes import QWEN3_06B
    from .throughput import make_requests, offline

    requests = make_requests(QWEN3_06B, 256, 100, 1024)
    device = open_device("auto")
    offline(
        device,
        QWEN3_06B,
        run.report,
        requests,
        goal=30_000.0,
        least_s=offline_s(QWEN3_06B, requests, measure_limits(device)),
        peer_s=min(60.0, run.end - time.perf_counter() - 60.0),
    )


def _need_msgspec() -> None:
    try:
        import msgspec  # noqa: F401
    except ImportError:
        raise RuntimeError(
            "msgspec is not installed, which the engine needs; put it beside the repository with "
            "`pip install --target DIR --only-binary :all: --python-version 3.12 msgspec` and run "
            "with PYTHONPATH=DIR"
        ) from None


def _free_memory() -> None:
    import gc

    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()


# In the order of what is wanted most, with the seconds that each is planned to take, most of them
# for compiling kernels. Those together are less than the whole.
PARTS: dict[str, tuple[Callable[[Run], None], float]] = {
    "checks": (_checks, 80),
    "kernels": (_kernels, 60),
    "steps": (_steps, 50),
    "sampling": (_sampling, 15),
    "offline": (_offline, 150),
    "experts": (_experts, 40),
    "tune": (_tune, 30),
}

if __name__ == "__main__":
    sys.exit(main())
