"""What int8 and int4 cost in accuracy, of weights and of KV, on text that no training saw.

The same conversations go through the model as it is and through each quantization of it: perplexity
of the answers, KL divergence of the distributions at every token, and how often the likeliest token
is the same. The embedded model's corpus writes the conversations, from seeds of its evaluation.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import QUANTIZATIONS, EngineConfig
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.models.embedded.corpus import generate
from branchline.runtime.models.resolve import resolve_model

from .report import Report, arguments, finish

AS_IT_IS: Final = "none"
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    **{name: {"quantization": name} for name in QUANTIZATIONS if name != "fp8"},
    "KV int8": {"kv_dtype": "int8"},
}
LONGEST: Final = 1024
SEED: Final = 900_001  # as evaluate.py: no training uses it


@dataclass
class Sums:
    """Over all tokens so far."""

    tokens: int = 0
    answer_tokens: int = 0
    answer_loss: float = 0.0
    divergence: float = 0.0
    same: int = 0
    worst: list[float] = field(default_factory=list)

    def add(
        self, ours: torch.Tensor, exact: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor
    ) -> None:
        """ours, exact: logits [tokens, vocab] of which row i predicts ids[i + 1]."""
        ours, exact = ours[:-1].double().log_softmax(-1), exact[:-1].double().log_softmax(-1)
        loss = -ours.gather(1, ids[1:, None]).squeeze(1)
        divergence = (exact.exp() * (exact - ours)).sum(-1)
        self.tokens += len(loss)
        self.answer_tokens += int(weights[1:].sum())
        self.answer_loss += float(loss[weights[1:]].sum())
        self.divergence += float(divergence.sum())
        self.same += int((ours.argmax(-1) == exact.argmax(-1)).sum())
        self.worst.append(float(divergence.max()))


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded", help="as `branchline serve --model`")
    parser.add_argument("--count", type=int, default=40, help="conversations")
    options = parser.parse_args()
    report = Report("quantization")
    measure(report, options)
    finish(report, options, plot)


def measure(report: Report, options: argparse.Namespace) -> None:
    texts = conversations(resolve_model(options.model), 8 if options.quick else options.count)
    runners = {
        name: ModelRunner(
            EngineConfig(model=options.model, device="cpu", kv_slots=LONGEST, **settings)
        )
        for name, settings in SETTINGS.items()
    }
    sums = {name: Sums() for name in SETTINGS}
    for ids, weights in texts:
        exact = logits(runners[AS_IT_IS], ids)
        for name, runner in runners.items():
            ours = exact if name == AS_IT_IS else logits(runner, ids)
            sums[name].add(ours, exact, ids, weights)
    for name, found in sums.items():
        label = runners[name].execution["dtype"] if name == AS_IT_IS else name
        perplexity = math.exp(found.answer_loss / found.answer_tokens)
        detail = f"of {found.answer_tokens:,} tokens of answers in {len(texts)} conversations"
        report.add(f"{label}: perplexity", perplexity, "", detail=detail)
        if name == AS_IT_IS:
            continue
        mean, worst = found.divergence / found.tokens, max(found.worst)
        detail = f"mean of {found.tokens:,} tokens, largest {worst:.2g}"
        report.add(f"{label}: KL divergence", 1e3 * mean, "1e-3 nats", detail=detail)
        report.add(f"{label}: same likeliest token", 100 * found.same / found.tokens, "%")


def conversations(folder: Path, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids of each, and which of them belong to answers."""
    from tokenizers import Tokenizer

    from branchline.runtime.models.embedded.batches import encode

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made = []
    for sample in generate(SEED, count, heldout=True):
        ids, weights = encode(tokenizer, sample)
        made.append((torch.tensor(ids[:LONGEST]), torch.tensor([w > 0 for w in weights[:LONGEST]])))
    return made


def logits(runner: ModelRunner, ids: torch.Tensor) -> torch.Tensor:
    """[tokens, vocab] of one conversation."""
    slots = torch.arange(len(ids))
    return runner.forward(ForwardBatch(ids, slots, slots, [len(ids)], [slots], logit_rows=slots))


def plot(report: Report, path: Path) -> None:
    """Bars: the mean KL divergence of each quantization."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in report.rows if row.unit == "1e-3 nats"]
    figure, axes = pyplot.subplots(figsize=(7, 0.5 * len(rows) + 1))
    bars = axes.barh([row.metric.partition(":")[0] for row in rows], [row.value for row in rows])
    axes.bar_label(bars, fmt="%.2f")
    axes.invert_yaxis()
    axes.set_xlabel("KL divergence from the model as it is, 1e-3 nats")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
