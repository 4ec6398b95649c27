"""What one sequence takes in a step; made by forward.py and holding.py, filled by taking.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..protocol import TokenLogprob
from ..scheduler.sequence import Sequence
from ..scheduler.stop import Finish


@dataclass(slots=True, eq=False)
class Turn:
    """What one sequence takes in a step.

    row: of the logits behind its last own token; those behind the staged ones come next.
    staged: the tokens that were computed ahead. start: tokens that it had before.
    num_confirmed: how many of the staged ones it took. num_guessed: how many of them were guesses
    of the drafter. is_open: it may take another one. is_held: its next mask needs another step.
    """

    seq: Sequence
    row: int
    staged: list[int]
    start: int = field(init=False)
    num_guessed: int = field(init=False)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    num_forced: int = 0
    num_confirmed: int = 0
    finish: Finish | None = None
    failed: bool = False
    is_open: bool = True
    is_held: bool = False

    def __post_init__(self) -> None:
        self.start = self.seq.num_tokens
        seq = self.seq
        self.num_guessed = max(len(self.staged) - len(seq.given) + seq.num_drafted, 0)
        if not self.seq.num_remaining:  # it was only to be computed
            self.is_open = False
            self.finish = Finish("length")

    @property
    def num_right(self) -> int:
        """How many of the guesses it took."""
        return max(self.num_confirmed - (len(self.staged) - self.num_guessed), 0)

    @property
    def num_computed(self) -> int:
        """How many tokens of the sequence have their keys and values."""
        return self.start + self.num_confirmed

    @property
    def next_row(self) -> int:
        return self.row + len(self.token_ids)

    def add(self, token_id: int, logprob: TokenLogprob | None, finish: Finish | None) -> None:
        place = len(self.token_ids)
        self.token_ids.append(token_id)
        if logprob is not None:
            self.logprobs.append(logprob)
        agrees = self.is_open and place < len(self.staged) and self.staged[place] == token_id
        self.num_confirmed += agrees
        self.finish = finish
        self.is_open = agrees and finish is None
