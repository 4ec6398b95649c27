"""From samples to batches: token ids, which of them are answers, rows of similar length."""

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
    """ids: [rows, length]. positions and targets: [answers], indices into the flattened ids and
    the token that follows each."""

    ids: Tensor
    positions: Tensor
    targets: Tensor
    tasks: tuple[str, ...]


def encode(tokenizer: Tokenizer, sample: Sample) -> tuple[list[int], list[bool]]:
    """Token ids of the conversation and whether each is part of an answer."""
    ids: list[int] = []
    answers: list[bool] = []
    for message in sample.messages:
        head = tokenizer.encode(f"<|im_start|>{message.role}\n").ids
        body = tokenizer.encode(f"{message.content}<|im_end|>").ids
        tail = tokenizer.encode("\n").ids
        ids += head + body + tail
        is_answer = message.role == "assistant"
        answers += [False] * len(head) + [is_answer] * len(body) + [False] * len(tail)
    return ids, answers


def to_batch(rows: list[tuple[list[int], list[bool], str]], length: int) -> Batch:
    """Pad the rows to the length and find the answers."""
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    answers = torch.zeros(len(rows), length, dtype=torch.bool)
    for index, (row, answer, _) in enumerate(rows):
        row, answer = row[:length], answer[:length]
        ids[index, : len(row)] = torch.tensor(row)
        answers[index, : len(row)] = torch.tensor(answer)
    following = answers.flatten().nonzero().squeeze(1)
    return Batch(ids, following - 1, ids.flatten()[following], tuple(task for _, _, task in rows))


def make_batches(
    tokenizer: Tokenizer, samples: list[Sample], tokens_per_batch: int, seed: int
) -> Iterator[Batch]:
    """Rows of similar length together; the batches come in random order."""
    encoded = [(*encode(tokenizer, sample), sample.task) for sample in samples]
    encoded.sort(key=lambda row: len(row[0]))
    batches: list[Batch] = []
    rows: list[tuple[list[int], list[bool], str]] = []
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
