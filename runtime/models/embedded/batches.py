"""From samples to batches: token ids, how much each counts, rows of similar length."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from .corpus import Sample, generate

LENGTH_STEP = 32
MAX_ROW = 1536
SAMPLES_PER_POOL = 1500


@dataclass(frozen=True)
class Batch:
    """ids: [rows, length]. positions, targets and weights: [answers], indices into the flattened
    ids, the token that follows each, and how much it counts in the loss."""

    ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor
    tasks: tuple[str, ...]


def encode(tokenizer: Tokenizer, sample: Sample) -> tuple[list[int], list[float]]:
    """Token ids of the conversation and how much each counts: 0 outside of answers.

    Tokens of short answers count more, or the labels and short answers would drown in records.
    """
    ids: list[int] = []
    weights: list[float] = []
    for message in sample.messages:
        head = tokenizer.encode(f"<|im_start|>{message.role}\n").ids
        body = tokenizer.encode(f"{message.content}<|im_end|>").ids
        tail = tokenizer.encode("\n").ids
        ids += head + body + tail
        weight = len(body) ** -0.5 if message.role == "assistant" else 0.0
        weights += [0.0] * len(head) + [weight] * len(body) + [0.0] * len(tail)
    return ids, weights


def to_batch(rows: list[tuple[list[int], list[float], str]], length: int) -> Batch:
    """Pad the rows to the length and find the answers."""
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for index, (row, weight, _) in enumerate(rows):
        row, weight = row[:length], weight[:length]
        ids[index, : len(row)] = torch.tensor(row)
        weights[index, : len(row)] = torch.tensor(weight)
    following = weights.flatten().nonzero().squeeze(1)
    return Batch(
        ids,
        following - 1,
        ids.flatten()[following],
        weights.flatten()[following],
        tuple(task for _, _, task in rows),
    )


def make_batches(
    tokenizer: Tokenizer, samples: list[Sample], tokens_per_batch: int, seed: int
) -> Iterator[Batch]:
    """Rows of similar length together; the batches come in random order."""
    encoded = [(*encode(tokenizer, sample), sample.task) for sample in samples]
    encoded.sort(key=lambda row: len(row[0]))
    batches: list[Batch] = []
    rows: list[tuple[list[int], list[float], str]] = []
    length = LENGTH_STEP
    for row in encoded:
        fitting = min(MAX_ROW, -(-len(row[0]) // LENGTH_STEP) * LENGTH_STEP)
        if rows and fitting * (len(rows) + 1) > tokens_per_batch:
            batches.append(to_batch(rows, length))
            rows = []
        rows.append(row)
        length = fitting
    batches.append(to_batch(rows, length))
    random.Random(seed).shuffle(batches)
    yield from batches


def pool_of_samples(index: int, progress: float) -> list[Sample]:
    """The samples of one stretch of training. progress: share of the budget used so far.

    The first tenth is mostly short look-ups over random strings, so that copying forms early.
    """
    easy = max(0.0, min(1.0, 1.5 - progress / 0.06)) if progress < 0.09 else 0.04
    num_easy = int(SAMPLES_PER_POOL * easy)
    samples = generate(10_000 + index, num_easy, "lookup")
    return samples + generate(5_000_000 + index, SAMPLES_PER_POOL - num_easy)
