"""Which tokens are computed ahead on a guess; used by the engine core after each step.

What is guessed never changes what is sampled (taking.py), only how soon.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from ..constrained.base import Matcher
from ..scheduler.drafting import StepCost, look_up
from ..scheduler.sequence import Sequence
from .config import Speculation
from .turn import Turn

# Guesses for some sequences make the others of a step slower, keep the step behind it from running
# ahead, and let a batch empty sooner, which a token's cost does not show: they have to promise so
# many more tokens for each that a step samples anyway.
_LEAST_GAIN: Final = 0.75
_LONGEST_PAUSE: Final = 15  # steps: looking up eight sequences takes a fifth of a small one


class Drafter(Protocol):
    """Guesses; a small model could stand here as well."""

    def guess(self, seq: Sequence, most: int) -> list[int]:
        """At most `most` tokens that may follow the sequence's own and those that it was given."""
        ...


class PromptLookup:
    """Guesses what followed the same tokens earlier in prompt and output."""

    def guess(self, seq: Sequence, most: int) -> list[int]:
        ids = seq.ids[: seq.num_tokens]
        if seq.given:
            ids = np.concatenate([ids, np.array(seq.given, np.int32)])
        return look_up(ids, most)


class Speculator:
    """Gives sequences guesses: with "auto" as many as pay by what a token costs and by how many
    came true, with "always" as many as may be.

    most: guesses per sequence and step.
    """

    def __init__(self, drafter: Drafter, mode: Speculation, most: int) -> None:
        self._drafter = drafter
        self._mode = mode
        self._most = most
        self._cost = StepCost()
        self._pause = 0  # steps in which nothing is guessed that are left
        self._next_pause = 0
        self.num_guessed = 0
        self.num_right = 0

    def propose(self, seq: Sequence, num_running: int) -> None:
        """Add guesses to what a sequence was given.

        num_running: sequences in a step. When they alone keep the machine busy, a guess costs as
        much as a sampled token.
        """
        if self._mode == "off" or self._pause or seq.given_ends:
            return
        most = min(self._most, seq.num_remaining - 1 - len(seq.given))
        if most > 0 and self._mode == "auto":
            most = seq.pace.length(most, self._cost.share(num_running))
        if most <= 0:
            return
        guess = self._drafter.guess(seq, most)
        if guess and seq.matcher is not None:
            guess = guess[: _num_allowed(seq.matcher, seq.given, guess)]
        seq.given += guess
        seq.num_drafted = len(guess)

    def weigh(self, running: list[Sequence]) -> None:
        """Keep the guesses of the next step where they are worth it together, and else pause. Those
        that are not computed still show how many of them come true."""
        if self._mode != "auto" or not running:
            return
        if self._pause:
            self._pause -= 1
            return
        guessed = [seq for seq in running if seq.num_drafted]
        cost = self._cost.share(len(running))
        gain = sum(seq.pace.gain(seq.num_drafted, cost) for seq in guessed)
        if gain >= _LEAST_GAIN * len(running):
            self._next_pause = 0
            return
        for seq in guessed:
            count = len(seq.given) - seq.num_drafted
            seq.untried = None if count else seq.given[0]
            del seq.given[count:]
            seq.num_drafted = 0
        self._pause = self._next_pause
        self._next_pause = min(2 * self._next_pause + 1, _LONGEST_PAUSE, 2 * len(running) - 2)

    def learn(self, turn: Turn) -> None:
        """Note what became of a sequence's guesses."""
        if turn.seq.untried is not None and turn.token_ids:
            turn.seq.pace.watch(1, int(turn.token_ids[0] == turn.seq.untried))
        turn.seq.untried = None
        if turn.num_guessed:
            turn.seq.pace.learn(turn.num_guessed, turn.num_right)
            self.num_guessed += turn.num_guessed
            self.num_right += turn.num_right

    def note_step(self, num_tokens: int, seconds: float) -> None:
        """A step of decoding sequences took so long."""
        self._cost.note(num_tokens, seconds)


def _num_allowed(matcher: Matcher, given: list[int], guess: list[int]) -> int:
    """How many of the guesses the grammar allows behind what was given."""
    count = 0
    for token_id in (*given, *guess):
        if matcher.finished or not matcher.accept(token_id):
            break
        count += 1
    matcher.rollback(count)
    return max(count - len(given), 0)
