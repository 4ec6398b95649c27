"""What the deterministic mode costs: the same work with and without it, in turns, on one thread.

Times are of the processor, so that a busy machine matters less. Both engines lie in this process;
the work is repeated and the quickest run of each counts. Model S has random weights in bfloat16,
the embedded model computes in float32.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from branchline.runtime import engine_protocol, protocol
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore

from .random_models import write_model
from .report import Report, arguments, finish, interleaved, stage

FIRST_ID, LAST_ID = 300, 4000  # tokens that stand for text in the embedded model's vocabulary
# At most 25 % slower.
_GOAL = 1 / 1.25


@dataclass(frozen=True)
class Work:
    """`count` requests at a time: `shared` tokens in common, `own` ones, `new` ones to come."""

    name: str
    count: int
    shared: int
    own: int
    new: int

    def prompts(self) -> list[list[int]]:
        rng = random.Random(self.name)
        trunk = [rng.randint(FIRST_ID, LAST_ID) for _ in range(self.shared)]
        return [
            [*trunk, *(rng.randint(FIRST_ID, LAST_ID) for _ in range(self.own))]
            for _ in range(self.count)
        ]


WORKS = (
    Work("prompts of 1,024", 2, 0, 1_024, 1),
    Work("one at a time, 256 and 64 new", 1, 0, 256, 64),
    Work("8 of 256 and 64 new", 8, 0, 256, 64),
    Work("32 of 1,024 in common and 64, 64 new", 32, 1_024, 64, 64),
    Work("2 of 3,000 and 32 new", 2, 0, 3_000, 32),
)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder that keeps the model between runs")
    options = parser.parse_args()
    report = Report("deterministic")
    with tempfile.TemporaryDirectory() as scratch:
        of_s = str(write_model("S", options.models or Path(scratch)))
        for words, model in (("embedded", "embedded"), ("S", of_s)):
            without, with_it = (_core(model, deterministic=on) for on in (False, True))
            for work in WORKS:
                with stage(f"{words}: {work.name}"):
                    rounds = 2 if options.quick else 4
                    runs: dict[str, Callable[[], float]] = {
                        "without": partial(_run, without, work),
                        "with": partial(_run, with_it, work),
                    }
                    _, samples = interleaved(runs, rounds)
                off_s, on_s = (min(samples[name]) for name in runs)
                report.add(
                    f"{words}: {work.name}",
                    off_s / on_s,
                    "time without / with",
                    goal=_GOAL,
                    detail=f"{off_s:.2f} s of the processor without, {on_s:.2f} s with",
                )
    finish(report, options, plot)


def _core(model: str, *, deterministic: bool) -> EngineCore:
    return EngineCore(
        EngineConfig(
            model=model,
            num_threads=1,
            kv_slots=8_000,
            speculation="off",
            deterministic=deterministic,
        )
    )


def _run(core: EngineCore, work: Work) -> float:
    """Seconds of the processor, with nothing cached."""
    core.flush_cache()
    params = protocol.SamplingParams(max_new_tokens=work.new, temperature=0.0, ignore_eos=True)
    start_s = time.process_time()
    for sid, prompt in enumerate(work.prompts()):
        core.submit(engine_protocol.Submit(sid, prompt, params))
    while core.has_work:
        core.step()
    return time.process_time() - start_s


def plot(report: Report, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    axes.barh([row.metric for row in report.rows], [row.value for row in report.rows])
    axes.axvline(_GOAL, color="black")
    axes.set_xlabel("time without the deterministic mode / with it")
    figure.savefig(path)


if __name__ == "__main__":
    main()
