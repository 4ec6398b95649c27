"""Sequences whose mask was not finished in one step; used by the engine core.

What a grammar may work in a step is bounded, so that one that is new, or wide, never holds up the
other sequences. One whose mask needs more keeps its row of logits and goes on from there: it has
nothing left to compute, so the scheduler passes it by until it takes a token.
"""

from __future__ import annotations

import torch

from ..constrained.allowance import Allowance
from ..scheduler.sequence import Sequence
from .turn import Turn

STEP_ALLOWANCE = 3_000
"""Places in grammars that the masks of one step may look at: about 1 ms, 1.8 on a machine with five
times as much to do as it has cores."""


class Held:
    """The sequences that wait for their mask, each with its logits: [columns]."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[Sequence, torch.Tensor]] = {}
        self.most_spent = 0

    def __len__(self) -> int:
        return len(self._rows)

    def keep(self, turns: list[Turn], logits: torch.Tensor, allowance: Allowance | None) -> None:
        """Remember those turns that are held, and what the step cost. logits: [rows, columns]."""
        for turn in turns:
            if turn.is_held and not turn.failed:
                self._rows[turn.seq.sid] = (turn.seq, logits[turn.next_row].clone())
        if allowance is not None:
            self.most_spent = max(self.most_spent, STEP_ALLOWANCE - allowance.left)

    def join(self, turns: list[Turn], logits: torch.Tensor) -> tuple[list[Turn], torch.Tensor]:
        """The turns of a step with those that were held, which come first."""
        held = [(seq, row) for seq, row in self._rows.values() if _is_where_it_was(seq)]
        self._rows.clear()
        if not held:
            return turns, logits
        rows = torch.stack([row for _, row in held])
        start = len(logits)
        again = [Turn(seq, start + place, []) for place, (seq, _) in enumerate(held)]
        return again + turns, torch.cat([logits, rows]) if start else rows

    def allowance(self, turns: list[Turn]) -> Allowance | None:
        """What the masks of these turns may cost; a sequence alone holds nobody up."""
        return Allowance(STEP_ALLOWANCE) if len(turns) > 1 else None


def _is_where_it_was(seq: Sequence) -> bool:
    """Whether a sequence still runs and its logits are those of its last token: it was neither
    ended nor retracted."""
    return seq.node is not None and seq.num_computed == seq.num_tokens
