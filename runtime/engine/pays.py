"""Whether it pays to let steps run ahead where host and device are the same cores; asked by
overlap.py before each step.

Measured, as it depends on the model, the threads, and who else uses the machine: now and then a few
steps are done the other way, and that way is taken where they were quicker than those before and
behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_WINDOW: Final = 12  # steps that are timed together
_CHANGE: Final = 2  # of them, the first, in which one way passes into the other
_WORST: Final = 1  # of them, the longest: somebody else's burst, most often; more of them count
_BETTER: Final = 0.98
_LEARNING: Final = 1 / 64
# Windows between two trials. Few at first, as a busy machine makes a trial err; soon so many that a
# way that is 20 % slower costs 0.3 %.
_FIRST_PAUSE: Final = 2
_LONGEST_PAUSE: Final = 64


class Pays:
    """Decides for batches of about the same size together."""

    def __init__(self) -> None:
        self._sizes: dict[int, _Size] = {}
        self._size: _Size | None = None  # of the last step; begun_s: when it was computed
        self._begun_s: float | None = None

    def runs_ahead(self, num_seqs: int, now_s: float) -> bool:
        """Whether the step behind this one is to run ahead. A step of `num_seqs` decoding
        sequences was computed at `now_s`; the time since the last such call is what it took."""
        size = self._sizes.setdefault(num_seqs.bit_length(), _Size())
        if self._begun_s is not None and self._size is size:
            size.note(now_s - self._begun_s)
        size.losses *= 1.0 - _LEARNING
        self._size, self._begun_s = size, now_s
        return size.ahead

    @property
    def step_s(self) -> float:
        """What the last steps took; 0 where nobody knows."""
        return self._size.before if self._size is not None else 0.0

    def note_loss(self) -> None:
        """All sequences of that step stopped where nobody knew before: a step behind it would have
        been, or was, computed for nobody."""
        if self._size is not None:
            self._size.losses += _LEARNING

    def interrupt(self) -> None:
        """Another kind of step came between."""
        self._begun_s = None


@dataclass(slots=True, eq=False)
class _Size:
    """ahead: the way now. best: the better one so far. before, tried: what steps took in the last
    window of the better way and of the other one. pause: windows until that is tried; `next_pause`
    after a trial that it lost. losses: per step, of late."""

    ahead: bool = True
    best: bool = True
    before: float = 0.0
    tried: float | None = None
    pause: int = 1
    next_pause: int = _FIRST_PAUSE
    losses: float = 0.0
    times: list[float] = field(default_factory=list)

    def note(self, seconds: float) -> None:
        self.times.append(seconds)
        if len(self.times) == _WINDOW:
            counted = sorted(self.times[_CHANGE:])[:-_WORST]
            self.times.clear()
            self._end_window(sum(counted) / len(counted))

    def _end_window(self, took: float) -> None:
        if self.ahead is not self.best:
            self.tried, self.ahead = took, self.best
            return
        if self.tried is not None:
            self._judge(self.tried, min(self.before, took))
            self.tried = None
        else:
            self.pause -= 1
        self.before = took
        self.ahead = self.best if self.pause else not self.best

    def _judge(self, tried: float, otherwise: float) -> None:
        if self.best:
            otherwise *= 1.0 + self.losses
        else:
            tried *= 1.0 + self.losses
        if tried < _BETTER * otherwise:
            self.best = not self.best
            self.pause = self.next_pause = _FIRST_PAUSE
        else:
            self.pause, self.next_pause = self.next_pause, min(2 * self.next_pause, _LONGEST_PAUSE)
