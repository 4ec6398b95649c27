"""What tokens that were not waited for save: forced by a grammar (jump-forward) and guessed from
the text (prompt lookup), each on against off in one process: `python -m bench.ahead`.

On the embedded model, and on the random-weight model S of 100 M parameters (`--models DIR` keeps
it between runs). Every contender shares weights and KV pool and starts from an empty cache.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec.structs import replace

import branchline as bl
from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.models.resolve import resolve_model
from branchline.runtime.protocol import Constraint, JsonSchema, SamplingParams, Text
from branchline.runtime.tokenizer import Tokenizer

from .random_models import write_model
from .report import Report, arguments, finish, interleaved

RECORD = {
    "invoice_number": {"type": "string", "pattern": "^[A-Z]{2,3}-[0-9]{3,5}$"},
    "customer_name": {"type": "string", "maxLength": 12},
    "issue_date": {"type": "string", "pattern": "^20[0-9]{2}-[01][0-9]-[0-3][0-9]$"},
    "shipping_method": {"enum": ["standard", "express", "pickup"]},
    "quantity": {"type": "integer", "minimum": 1, "maximum": 99},
    "total_amount": {"type": "string", "pattern": "^[0-9]{1,4}\\.[0-9]{2}$"},
    "is_paid": {"type": "boolean"},
}
SCHEMA = json.dumps({"type": "object", "properties": RECORD, "required": list(RECORD)})


class Contest:
    """One model; what a setting makes of the same requests."""

    def __init__(self, report: Report, name: str, model: str, quick: bool) -> None:
        self.report = report
        self.name = name
        self.rounds, self.num_new = (3, 48) if quick else (7, 96)
        config = EngineConfig(model=model, kv_slots=16_384)
        self.runner = ModelRunner(config)
        self.tokenizer = Tokenizer.load(resolve_model(model))
        self.compiler = GrammarCompiler(self.tokenizer, self.runner.vocab_size)
        documents = Path(bl.__file__).parent / "frontend_examples" / "data" / "documents.jsonl"
        lines = documents.read_text().splitlines()
        self.documents = [json.loads(line)["text"] for line in lines]

    def forced(self, batch: int) -> None:
        """JSON extraction: on against off in characters per second, since the spelling may differ,
        and each against as many tokens without a grammar."""
        constraint = JsonSchema(SCHEMA)
        prompts = [f"{text}\n\nThe record as JSON:\n" for text in self.documents[:batch]]
        submits = self._submits(prompts, constraint, max_new_tokens=160)
        cores = {
            "on": self._core(jump_forward=True, speculation="off"),
            "off": self._core(jump_forward=False, speculation="off"),
        }
        told = {way: run(core, submits)[-1] for way, core in cores.items()}
        ways: dict[str, Callable[[], float]] = {
            way: partial(_seconds, core, submits) for way, core in cores.items()
        }
        free = self._core(jump_forward=False, speculation="off")
        for way in cores:
            ways[f"free {way}"] = partial(_seconds, free, _unconstrained(submits, told[way]))
        seconds, _ = interleaved(ways, self.rounds)
        stats = cores["on"].stats()
        texts = {way: [self.tokenizer.decode(ids) for ids in told[way].values()] for way in told}
        per_char = {way: seconds[way] / sum(map(len, texts[way])) for way in texts}
        same = sum(told["on"][sid] == told["off"][sid] for sid in told["on"])
        equal = sum(a == b for a, b in zip(texts["on"], texts["off"], strict=True))
        self.report.add(
            f"{self.name}: JSON with jump-forward, batch {batch}",
            per_char["off"] / per_char["on"],
            "x",
            goal=1.6,
            detail=f"same tokens in {same}, same text in {equal} of {batch} outputs",
        )
        for way, name in (("on", "with"), ("off", "without")):
            self.report.add(
                f"{self.name}: JSON {name} jump-forward against as many free tokens, batch {batch}",
                seconds[f"free {way}"] / seconds[way],
                "x",
                goal=0.98,
                detail=f"{sum(map(len, told[way].values()))} tokens",
            )
        self.report.add(
            f"{self.name}: forced tokens, batch {batch}",
            100.0 * stats["forced_tokens"] / stats["generated_tokens"],
            "%",
            goal=35.0,
        )

    def guessed(self, what: str, prompts: list[str], goal: float, *, random: bool = False) -> None:
        """Tokens per second with guesses against none; the tokens must be the same."""
        sampling = {"temperature": 1.0, "seed": 7} if random else {}
        submits = self._submits(
            prompts, None, max_new_tokens=self.num_new, ignore_eos=True, **sampling
        )
        told: dict[str, dict[int, list[int]]] = {}
        cores = {mode: self._core(speculation=mode) for mode in ("auto", "off")}
        processor_s: dict[str, list[float]] = {mode: [] for mode in cores}

        def timed(way: str) -> float:
            seconds, of_processor_s, told[way] = run(cores[way], submits)
            processor_s[way].append(of_processor_s)
            return seconds

        seconds, _ = interleaved({way: partial(timed, way) for way in cores}, self.rounds)
        stats = cores["auto"].stats()
        same = sum(told["auto"][sid] == told["off"][sid] for sid in told["off"])
        self.report.add(
            f"{self.name}: guessing, {what}, batch {len(prompts)}",
            seconds["off"] / seconds["auto"],
            "x",
            goal=goal,
            detail=f"{min(processor_s['off']) / min(processor_s['auto']):.3f}x in processor time; "
            f"{stats['drafted_tokens']:,.0f} guessed, {stats['accepted_tokens']:,.0f} right "
            f"of {stats['generated_tokens']:,.0f} tokens; same tokens in {same} of {len(prompts)}",
        )

    def _core(self, **settings: object) -> EngineCore:
        config = EngineConfig(**settings)  # type: ignore[arg-type]
        return EngineCore(config, self.runner, self.tokenizer, self.compiler)

    def _submits(
        self, prompts: list[str], constraint: Constraint | None, **sampling: object
    ) -> list[Submit]:
        params = SamplingParams(**{"temperature": 0.0, **sampling})  # type: ignore[arg-type]
        return [
            Submit(sid, self.tokenizer.encode([Text(prompt)]), params, constraint)
            for sid, prompt in enumerate(prompts)
        ]


def run(core: EngineCore, submits: list[Submit]) -> tuple[float, float, dict[int, list[int]]]:
    """Seconds for all outputs, their prompts being cached, on the clock and of the processor, and
    the tokens of each."""
    core.flush_cache()
    for submit in submits:
        only_prompt = replace(submit.sampling, max_new_tokens=0)
        core.submit(replace(submit, sampling=only_prompt, constraint=None))
    while core.has_work:
        core.step()
    ids: dict[int, list[int]] = {submit.sid: [] for submit in submits}
    started_s, processor_s = time.perf_counter(), time.process_time()
    for submit in submits:
        core.submit(submit)
    while core.has_work:
        for progress in core.step().progress:
            ids[progress.sid] += progress.token_ids
    return time.perf_counter() - started_s, time.process_time() - processor_s, ids


def _seconds(core: EngineCore, submits: list[Submit]) -> float:
    return run(core, submits)[0]


def _unconstrained(submits: list[Submit], told: dict[int, list[int]]) -> list[Submit]:
    """The same prompts, each with as many tokens as it was given, and no grammar."""
    return [
        replace(
            submit,
            constraint=None,
            sampling=replace(
                submit.sampling, max_new_tokens=len(told[submit.sid]), ignore_eos=True
            ),
        )
        for submit in submits
    ]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder that keeps model S between runs")
    options = parser.parse_args()
    report = Report("ahead")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or Path(scratch)
        for name, model in (("embedded", "embedded"), ("S", str(write_model("S", folder)))):
            contest = Contest(report, name, model, options.quick)
            for batch in (1, 8):
                contest.forced(batch)
                documents = contest.documents[:batch]
                copied = [f"{text}\n\nOnce more:\n\n{text[: len(text) // 3]}" for text in documents]
                contest.guessed("text that repeats the prompt", copied, goal=1.0)
                contest.guessed("text that repeats nothing", documents, goal=0.98, random=True)
    finish(report, options, plot)


def plot(report: Report, path: Path) -> None:
    """Bars: every ratio."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in report.rows if row.unit == "x"]
    figure, axes = pyplot.subplots(figsize=(8, 5))
    bars = axes.barh([row.metric for row in rows], [row.value for row in rows])
    axes.bar_label(bars, fmt="%.2fx")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("speed, times the same without")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
