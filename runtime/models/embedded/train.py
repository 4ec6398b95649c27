"""Trains the embedded model from its own corpus: tokenizer, network, and the final folder.

python -m branchline.runtime.models.embedded.train --minutes 80 --output FOLDER
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from .batches import Batch, encode, make_batches, pool_of_samples, to_batch
from .corpus import TASKS, chatml, generate
from .distributed import Workers
from .network import Network, Shape, export, import_weights, rotary, write_config
from .optimizer import Optimizer
from .tokenization import MAX_LENGTH, save_tokenizer, train_tokenizer

TOKENIZER_SAMPLES = 40_000
WARMUP_STEPS = 30
DECAY_FROM = 0.35  # share of the budget after which the rate falls to zero


@dataclass
class Progressed:
    """Where a run stands; written next to each checkpoint."""

    step: int = 0
    tokens: int = 0
    pools: int = 0
    seconds: float = 0.0


def rate_factor(step: int, share: float) -> float:
    """Warm-up, constant, then down to zero; share: part of the time budget used, 0 to 1."""
    fall = 1.0 if share < DECAY_FROM else max(0.0, (1.0 - share) / (1.0 - DECAY_FROM))
    return min(1.0, (step + 1) / WARMUP_STEPS) * max(fall, 0.01)


def answer_loss(network: Network, hidden: Tensor, batch: Batch, device: str) -> Tensor:
    """Weighted cross-entropy on the answer tokens."""
    picked = hidden.flatten(0, 1)[batch.positions.to(device)]
    logits = F.linear(picked, network.embed_tokens.weight)
    losses = F.cross_entropy(logits.float(), batch.targets.to(device), reduction="none")
    weights = batch.weights.to(device)
    return (losses * weights).sum() / weights.sum()


@torch.no_grad()
def exact_answers(
    network: Network, tokenizer: Tokenizer, heldout: bool, count: int = 24
) -> dict[str, float]:
    """Per task, the share of samples whose answers greedy decoding would give exactly.

    Greedy decoding repeats the gold answer if and only if each gold token is the likeliest one
    after the gold tokens before it, so one forward pass decides.
    """
    device = network.embed_tokens.weight.device.type
    right: dict[str, list[bool]] = defaultdict(list)
    for task in [name for name, _ in TASKS]:
        for sample in generate(77, count, task, heldout):
            ids, weights = encode(tokenizer, sample)
            batch = to_batch([(ids, weights, task)], min(len(ids), MAX_LENGTH))
            tables = [t.to(device) for t in rotary(batch.ids.shape[1], network.shape)]
            with torch.autocast(device, dtype=torch.bfloat16):
                hidden = network(batch.ids.to(device), *tables)
                picked = hidden.flatten(0, 1)[batch.positions.to(device)]
                best = F.linear(picked, network.embed_tokens.weight).argmax(-1).cpu()
            right[task].append(bool((best == batch.targets).all()))
    return {task: sum(hits) / len(hits) for task, hits in right.items()}


class Trainer:
    """One run: its network, optimizer, progress and checkpoints."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.workers = Workers()
        self.console = Console(quiet=not self.workers.leads)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(options.seed)
        if options.threads:
            torch.set_num_threads(options.threads)
        self.tokenizer = self._tokenizer()
        shape = Shape()
        self.network = Network(shape).to(self.device)
        if options.compile:
            for layer in self.network.layers:
                layer.compile(dynamic=True)  # one compilation serves all layers and lengths
        self.optimizer = Optimizer(self.network, options.matrix_rate, options.other_rate)
        self.tables = [t.to(self.device) for t in rotary(MAX_LENGTH, shape)]
        self.progressed = Progressed()
        self._resume()

    def _tokenizer(self) -> Tokenizer:
        path = self.options.output / "tokenizer.json"
        if self.workers.leads and not path.exists():
            texts = (chatml(s.messages) for s in generate(1, TOKENIZER_SAMPLES))
            save_tokenizer(train_tokenizer(texts), self.options.output)
            write_config(Shape(), self.options.output)
        self.workers.wait()
        return Tokenizer.from_file(str(path))

    def _resume(self) -> None:
        state = self.options.checkpoint / "state.json"
        if not state.exists():
            if self.options.continue_from:
                import_weights(self.network, self.options.continue_from)
            return
        self.network.load_state_dict(load_file(self.options.checkpoint / "network.safetensors"))
        self.optimizer.load(load_file(self.options.checkpoint / "optimizer.safetensors"))
        self.progressed = Progressed(**json.loads(state.read_text()))

    def write(self) -> None:
        """Write the checkpoint and the model folder as they are now.

        The state file comes last and so vouches for the other files of the checkpoint.
        """
        if not self.workers.leads:
            return
        export(self.network, self.options.output)
        folder: Path = self.options.checkpoint
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: t.contiguous() for name, t in self.network.state_dict().items()},
            folder / "network.safetensors",
        )
        save_file(self.optimizer.tensors(), folder / "optimizer.safetensors")
        (folder / "state.json").write_text(json.dumps(vars(self.progressed)))

    def share(self) -> float:
        """The part of the budget used."""
        budget_s: float = 60 * self.options.minutes
        return self.progressed.seconds / budget_s

    def step(self, batch: Batch, seconds: float) -> float:
        """One update; returns the loss. seconds: what the step before this one took."""
        length = batch.ids.shape[1]
        with torch.autocast(self.device, dtype=torch.bfloat16):
            tables = [t[:length].to(torch.bfloat16) for t in self.tables]
            hidden = self.network(batch.ids.to(self.device), *tables)
            loss = answer_loss(self.network, hidden, batch, self.device)
        loss.backward()  # type: ignore[no-untyped-call]
        told = [loss.item(), seconds]
        mean_loss, seconds = self.workers.average(self.network, told)
        self.progressed.seconds += seconds
        self.optimizer.step(rate_factor(self.progressed.step, self.share()))
        self.progressed.step += 1
        self.progressed.tokens += batch.ids.numel() * self.workers.count
        return mean_loss

    def batches(self) -> Iterator[Batch]:
        """Fresh batches without end."""
        while True:
            index = self.progressed.pools
            samples = pool_of_samples(index, self.share())
            size = self.options.batch_tokens // self.workers.count
            mine = samples[self.workers.rank :: self.workers.count]
            yield from make_batches(self.tokenizer, mine, size, index)
            self.progressed.pools += 1

    def report(self, bar: Progress, loss: float, speed: float) -> None:
        """One line in the log, with the share of exact answers."""
        plain = exact_answers(self.network, self.tokenizer, heldout=False)
        heldout = exact_answers(self.network, self.tokenizer, heldout=True)
        figures = " ".join(f"{task} {plain[task]:.2f}/{heldout[task]:.2f}" for task in plain)
        bar.console.print(
            f"{self.progressed.seconds / 60:.1f} min, step {self.progressed.step}, "
            f"{self.progressed.tokens / 1e6:.1f} M tokens, {speed:.0f}/s, "
            f"loss {loss:.4f}; {figures}",
            soft_wrap=True,
        )

    def run(self) -> None:
        """Train until the budget is used, then export."""
        columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        loss, speed = math.nan, math.nan
        next_report = next_save = self.progressed.seconds
        next_report += 60 * self.options.report_minutes
        next_save += 300
        with Progress(*columns, console=self.console) as bar:
            shown = bar.add_task("starting", total=60 * self.options.minutes)
            last = time.monotonic()
            for batch in self.batches():
                now = time.monotonic()
                elapsed, last = now - last, now
                value = self.step(batch, elapsed)
                rate = batch.ids.numel() * self.workers.count / elapsed
                loss = value if math.isnan(loss) else 0.98 * loss + 0.02 * value
                speed = rate if math.isnan(speed) else 0.98 * speed + 0.02 * rate
                bar.update(
                    shown,
                    completed=self.progressed.seconds,
                    description=f"step {self.progressed.step} loss {loss:.4f} {speed:.0f} tokens/s",
                )
                if not bar.console.is_terminal and self.progressed.step % 50 == 0:
                    bar.console.print(f"{time.strftime('%H:%M:%S')} {bar.tasks[0].description}")
                if self.progressed.seconds >= next_report:
                    if self.workers.leads:
                        self.report(bar, loss, speed)
                    next_report += 60 * self.options.report_minutes
                if self.progressed.seconds >= next_save:
                    self.write()
                    next_save += 300
                if self.share() >= 1:
                    break
            self.write()
            if self.workers.leads:
                self.report(bar, loss, speed)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the embedded model from its own corpus.")
    parser.add_argument("--minutes", type=float, default=110, help="time budget of the whole run")
    parser.add_argument("--output", type=Path, required=True, help="folder of the final model")
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder to resume from")
    parser.add_argument(
        "--continue-from", type=Path, help="model folder to start from while there is no checkpoint"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch chooses")
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--matrix-rate", type=float, default=0.01)
    parser.add_argument("--other-rate", type=float, default=1.5e-3)
    parser.add_argument("--report-minutes", type=float, default=5)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    Trainer(parse()).run()
