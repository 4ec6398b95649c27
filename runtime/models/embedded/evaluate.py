"""Measures the embedded model on held-out seeds and held-out wordings: by plain greedy decoding,
and under the grammars that a program would ask for.

python -m branchline.runtime.models.embedded.evaluate --count 100 --json figures.json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList

from ...constrained.compiler import GrammarCompiler
from ...protocol import Constraint
from ...tokenizer.tokenizer import Tokenizer
from .corpus import Message, Sample, chatml, generate
from .grammars import Masked, constraint
from .scoring import score_calls, score_record

GOALS = {"extraction": 0.9, "tools": 0.9, "classification": 0.9, "reading": 0.8, "dialogue": 0.8}
SEED = 900_001  # no training pool uses it


@dataclass
class Tally:
    """Right and total parts (fields, arguments, answers), and whole answers that are right."""

    right: int = 0
    total: int = 0
    whole: list[bool] = field(default_factory=list)

    def add(self, right: int, total: int) -> None:
        """Count one answer."""
        self.right += right
        self.total += total
        self.whole.append(right == total)


class Model:
    """The saved model with greedy decoding and scored choices."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.end = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        vocab_size = self.network.config.vocab_size
        self.compiler = GrammarCompiler(Tokenizer.load(folder), vocab_size)

    def _prompt(self, messages: list[Message]) -> torch.Tensor:
        text = chatml(messages) + "<|im_start|>assistant\n"
        ids: torch.Tensor = self.tokenizer(
            text, return_tensors="pt", add_special_tokens=False
        ).input_ids
        return ids

    @torch.no_grad()
    def answer(
        self,
        messages: list[Message],
        max_tokens: int = 500,
        held_to: Constraint | None = None,
    ) -> str:
        """The greedy answer to the conversation, held to a constraint if there is one."""
        prompt = self._prompt(messages)
        masks = LogitsProcessorList()
        if held_to is not None:
            matcher = self.compiler.compile(held_to).matcher()
            masks.append(Masked(matcher, prompt.shape[1], max_tokens))
        made = self.network.generate(
            prompt,
            max_new_tokens=max_tokens,
            do_sample=False,
            logits_processor=masks,
            eos_token_id=self.end,
            pad_token_id=0,
        )[0, prompt.shape[1] :]
        return str(self.tokenizer.decode(made[made != self.end], skip_special_tokens=False))

    @torch.no_grad()
    def choose(self, messages: list[Message], choices: tuple[str, ...]) -> str:
        """The likeliest of the choices, by the mean log-probability of their tokens."""
        prompt = self._prompt(messages)
        scores = []
        for choice in choices:
            ids = self.tokenizer(
                choice + "<|im_end|>", return_tensors="pt", add_special_tokens=False
            )
            whole = torch.cat((prompt, ids.input_ids), 1)
            logits = self.network(whole).logits[0, prompt.shape[1] - 1 : -1].float()
            told = logits.log_softmax(-1).gather(1, ids.input_ids[0, :, None])
            scores.append(told.mean().item())
        return choices[max(range(len(choices)), key=scores.__getitem__)]


def parsed(answer: str) -> Any:
    """The answer as JSON; an answer that is none counts as an empty record."""
    try:
        return json.loads(answer)
    except ValueError:
        return {}


def measure(model: Model, sample: Sample, tally: Tally, under_grammar: bool = False) -> None:
    """Let the model answer the measured turns, each after the gold turns before it."""
    held_to = constraint(sample) if under_grammar else None
    for turn in sample.gold_turns:
        gold, before = sample.messages[turn].content, sample.messages[:turn]
        if sample.task == "classification":
            tally.add(int(model.choose(before, sample.choices) == gold), 1)
        elif sample.task == "extraction":
            tally.add(
                *score_record(parsed(model.answer(before, held_to=held_to)), json.loads(gold))
            )
        elif sample.task == "tools":
            tally.add(*score_calls(model.answer(before, 200, held_to), gold))
        else:
            tally.add(int(model.answer(before, 60) == gold), 1)


def evaluate(folder: Path, count: int, console: Console) -> dict[str, dict[str, float]]:
    """Figures per task: for known wordings, for held-out ones, and for these under grammars
    where the task has any."""
    model = Model(folder)
    figures: dict[str, dict[str, float]] = {}
    for task in GOALS:
        figures[task] = {"goal": GOALS[task]}
        for name in ("known", "heldout", "grammar"):
            samples = list(generate(SEED, count, task, heldout=name != "known"))
            under_grammar = name == "grammar"
            if under_grammar and constraint(samples[0]) is None:
                continue
            tally = Tally()
            for sample in track(samples, f"{task}, {name}", console=console):
                measure(model, sample, tally, under_grammar)
            figures[task][name] = tally.right / tally.total
            figures[task][f"{name}_whole"] = sum(tally.whole) / len(tally.whole)
            figures[task][f"{name}_parts"] = tally.total
    return figures


def print_figures(figures: dict[str, dict[str, float]], console: Console) -> None:
    """One row per task."""
    shown = ("goal", "known", "heldout", "heldout_whole", "grammar", "grammar_whole")
    table = Table(
        *("task", "goal", "known", "held-out", "whole answers"),
        *("held-out, grammar", "whole answers, grammar"),
    )
    for task, row in figures.items():
        values = (f"{100 * row[name]:.1f} %" if name in row else "" for name in shown)
        table.add_row(task, *values)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the embedded model.")
    parser.add_argument("--model", type=Path, default=Path(__file__).parent)
    parser.add_argument("--count", type=int, default=100, help="samples per task and split")
    parser.add_argument("--json", type=Path, default=None, help="write the figures here")
    options = parser.parse_args()
    console = Console()
    figures = evaluate(options.model, options.count, console)
    print_figures(figures, console)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
