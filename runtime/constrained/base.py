"""What a grammar is to the engine: the interface between compiled grammars and the scheduler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import RequestError
from .allowance import Allowance
from .schema_report import Entry

MaskRow = npt.NDArray[np.int32]


class Forced(NamedTuple):
    """What must follow a text, in the tokens that the tokenizer would give the whole of it.

    num_respelled: so many of the tokens accepted last are spelled differently together with what
    follows; `token_ids` begin with what stands in their place.
    likely: the next token unless it becomes part of a longer one; None where that is not known.
    ends: nothing can follow `token_ids`.
    """

    token_ids: list[int]
    num_respelled: int = 0
    likely: int | None = None
    ends: bool = False


NOTHING_FORCED = Forced([])


class Matcher(ABC):
    """How far one sequence has come in its grammar. One owner at a time; not thread-safe."""

    finished: bool
    """An end token was accepted, or only an end token could follow."""
    closed_by_budget: bool = False
    """A mask left tokens out of an output that was not complete, because too few remained to
    complete it after them."""
    kept_short_by_budget: bool = False
    """The same of an output that was complete as it stood."""

    @property
    @abstractmethod
    def min_tokens_to_accept(self) -> int:
        """So many tokens suffice to complete the output; 0 where it is complete."""

    @property
    def is_accepting(self) -> bool:
        """Whether the output is complete as it stands."""
        return self.min_tokens_to_accept == 0

    def _note_left_out(self) -> None:
        """The budget left tokens out of the mask of this state."""
        if self.is_accepting:
            self.kept_short_by_budget = True
        else:
            self.closed_by_budget = True

    @abstractmethod
    def fill_mask(self, row: MaskRow, remaining: int | None = None) -> None:
        """Write the allowed next tokens into `row`: int32 [ceil(vocab / 32)], bit i of the row
        (lowest first) for token i. End tokens are allowed exactly where the output is complete.

        remaining: tokens that may still be generated, this one included. With it, only tokens
        stay allowed after which the output can still be completed.

        Raises RequestError("grammar") when no token is allowed.
        """

    def try_mask(self, row: MaskRow, remaining: int | None, allowance: Allowance) -> bool:
        """`fill_mask` as far as the allowance lasts; False where it did not: asked again, it goes
        on where it stopped. By default it costs nothing worth counting."""
        self.fill_mask(row, remaining)
        return True

    @abstractmethod
    def accept(self, token_id: int) -> bool:
        """Take a generated token; False (and no change) when the grammar forbids it."""

    @abstractmethod
    def rollback(self, count: int) -> None:
        """Take back the last `count` accepted tokens."""

    @abstractmethod
    def forced(self, remaining: int | None = None, respell: int = 0) -> Forced:
        """What must follow; it is not accepted yet. Empty where there is a choice.

        remaining: tokens that may still be generated; tokens after which the output could not be
        completed within them are left out. respell: so many of the tokens accepted last may be
        replaced.
        """

    @abstractmethod
    def fork(self) -> Matcher:
        """An independent copy."""


class Grammar(ABC):
    """A compiled constraint: immutable, shared between sequences."""

    min_tokens: int
    """So many tokens suffice for some complete output; no plan is made with fewer."""
    report: tuple[Entry, ...] = ()
    """For a JSON Schema, what became of each of its keywords."""

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Memory that the grammar holds, for the cache's account."""

    @abstractmethod
    def matcher(self) -> Matcher:
        """A matcher at the start."""

    def require_budget(self, max_new_tokens: int) -> None:
        """Raise RequestError when no output is sure to be complete within so many tokens."""
        if max_new_tokens < self.min_tokens:
            raise RequestError(
                "grammar",
                f"to complete an output that this constraint allows may take {self.min_tokens} "
                f"tokens, but max_new_tokens is {max_new_tokens}; raise it to {self.min_tokens}",
                pointer="sampling.max_new_tokens",
            )
