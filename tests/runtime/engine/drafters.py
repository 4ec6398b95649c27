"""Drafters whose guesses are right as often as a test wants."""

from __future__ import annotations

import random

from hash_runner import continuation

from branchline.runtime.scheduler.sequence import Sequence


class Oracle:
    """Knows the hash-chain model; each guess is wrong with a chance of `error`."""

    def __init__(self, error: float, seed: int = 0, vocab_size: int = 61) -> None:
        self._error = error
        self._rng = random.Random(seed)
        self._vocab_size = vocab_size

    def guess(self, seq: Sequence, most: int) -> list[int]:
        known = [*seq.ids[: seq.num_tokens].tolist(), *seq.given]
        return self._spoil(continuation(known, most, self._vocab_size))

    def _spoil(self, tokens: list[int]) -> list[int]:
        spoilt = list(tokens)
        for place in range(len(spoilt)):
            if self._rng.random() < self._error:
                spoilt[place] = self._rng.randrange(self._vocab_size)
        return spoilt[: self._rng.randint(0, len(spoilt))] if self._error else spoilt


class Replay(Oracle):
    """Knows what each sequence, by its number, generated in an earlier run."""

    def __init__(self, outputs: dict[int, list[int]], error: float) -> None:
        super().__init__(error)
        self._outputs = outputs

    def guess(self, seq: Sequence, most: int) -> list[int]:
        done = seq.num_generated + len(seq.given)
        return self._spoil(self._outputs[seq.sid][done : done + most])
