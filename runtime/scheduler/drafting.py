"""Guessing the next tokens from the text so far, and how far a guess is worth its computing; used
by engine/speculating.py.

Prompt lookup (A. Saxena, 2023, github.com/apoorvumang/prompt-lookup-decoding): where the last
tokens stood before, what followed them then is likely to follow now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ..radix_cache.node import TOKEN_BYTES, TokenIds

_LONGEST: Final = 8
# Searching more takes longer (25 us per 10,000 tokens) than older text is worth.
_WINDOW: Final = 16_384
_MOST_TRIES: Final = 64

_LEARNING: Final = 0.2
_FIRST_PAUSE: Final = 4
_LONGEST_PAUSE: Final = 512


def look_up(ids: TokenIds, most: int) -> list[int]:
    """What followed the last time that the last tokens of `ids` stood together, up to `most`
    tokens; nothing where no two of them did: one says too little. Text that repeats itself goes on
    repeating."""
    ids = ids[-_WINDOW:]
    if most <= 0 or len(ids) < 3:
        return []
    text, start = ids.tobytes(), 0
    for count in range(2, _LONGEST + 1):
        # Where more of them stand together, fewer do.
        longer = _end_of_last(text, count, start or len(ids) - 1)
        if not longer:
            break
        start = longer
    if not start:
        return []
    followed: list[int] = ids[start : start + most].tolist()
    return [followed[place % len(followed)] for place in range(most)]


def _end_of_last(text: bytes, count: int, end: int) -> int:
    """Behind which token the last `count` tokens of `text` stood last, up to `end`; 0 for nowhere,
    or where their bytes stand across too many others' to go on."""
    tail, end = text[-count * TOKEN_BYTES :], end * TOKEN_BYTES
    for _ in range(_MOST_TRIES):
        at = text.rfind(tail, 0, end)
        if at < 0:
            break
        if at % TOKEN_BYTES == 0:
            return at // TOKEN_BYTES + count
        end = at + len(tail) - 1
    return 0


@dataclass(slots=True)
class Pace:
    """How much is guessed for one sequence, by how many of its guesses came true.

    rate: the share of guesses that come true, of late. is_trial: it is so low that a guess is only
    made to see whether it still is. pause: steps without a guess that are left; `next_pause` after
    the next trial that fails.
    """

    rate: float = 0.5
    is_trial: bool = False
    pause: int = 0
    next_pause: int = _FIRST_PAUSE
    num_guessed: int = 0
    num_right: int = 0

    def length(self, most: int, cost: float) -> int:
        """How many tokens to guess. cost: of one guessed token, as a share of what a sampled one
        costs; so the n-th guess pays while the chance that all n are right is higher."""
        if self.pause:
            self.pause -= 1
            return 0
        self.is_trial = self.rate <= cost
        if self.is_trial:
            return min(most, 1)  # to see whether that has changed
        if cost <= 0.0 or self.rate >= 1.0:
            return most
        return min(most, int(math.log(cost) / math.log(self.rate)))

    def gain(self, count: int, cost: float) -> float:
        """How many tokens so many guesses are likely to bring, less what computing them costs."""
        likely = (
            count if self.rate >= 1.0 else self.rate * (1.0 - self.rate**count) / (1.0 - self.rate)
        )
        return likely - count * cost

    def learn(self, num_guessed: int, num_right: int) -> None:
        """Of so many guesses in a row, the first `num_right` came true."""
        self.num_guessed += num_guessed
        self.num_right += num_right
        self.watch(num_guessed, num_right)

    def watch(self, num_guessed: int, num_right: int) -> None:
        """`learn` of guesses that were not computed."""
        self.rate += (1.0 - self.rate) * (1.0 - (1.0 - _LEARNING) ** num_right)
        if num_right == num_guessed:
            self.next_pause = _FIRST_PAUSE
            return
        self.rate *= 1.0 - _LEARNING
        if self.is_trial:
            self.pause, self.next_pause = self.next_pause, min(2 * self.next_pause, _LONGEST_PAUSE)


class StepCost:
    """What one more token costs a step: a line through the durations of late steps, as steep as it
    may well be where they scatter. A busy machine makes some steps many times as long, and tokens
    that seem to cost nothing would be guessed for nothing."""

    _MEMORY: Final = 0.99
    # Until steps of different lengths were seen: so many tokens cost as much as an empty step.
    _EMPTY_STEP_TOKENS: Final = 16.0
    _LEAST_VARIANCE: Final = 0.2

    def __init__(self) -> None:
        self._weight = self._tokens = self._seconds = self._squares = self._products = 0.0
        self._squared_seconds = 0.0

    def note(self, num_tokens: int, seconds: float) -> None:
        memory = self._MEMORY
        self._weight = memory * self._weight + 1.0
        self._tokens = memory * self._tokens + num_tokens
        self._seconds = memory * self._seconds + seconds
        self._squares = memory * self._squares + num_tokens * num_tokens
        self._products = memory * self._products + num_tokens * seconds
        self._squared_seconds = memory * self._squared_seconds + seconds * seconds

    def share(self, num_tokens: int) -> float:
        """Of a step of that many tokens, the share of its time that grows with their number."""
        variance = mean = slope = 0.0
        if self._weight:
            mean = self._tokens / self._weight
            variance = self._squares / self._weight - mean * mean
        if variance < self._LEAST_VARIANCE:
            return num_tokens / (num_tokens + self._EMPTY_STEP_TOKENS)
        mean_s = self._seconds / self._weight
        slope = (self._products / self._weight - mean * mean_s) / variance
        whole = mean_s + slope * (num_tokens - mean)
        if whole <= 0.0:
            return 1.0
        scatter = self._squared_seconds / self._weight - mean_s * mean_s - slope * slope * variance
        slope += math.sqrt(max(scatter, 0.0) / (self._weight * variance))  # one standard error
        return min(max(slope * num_tokens / whole, 0.02), 1.0)
