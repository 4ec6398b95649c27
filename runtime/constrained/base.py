"""What a grammar is to the engine: the interface between compiled grammars and the scheduler."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from ..errors import RequestError
from .schema_report import Entry

MaskRow = npt.NDArray[np.int32]


class Matcher(ABC):
    """How far one sequence has come in its grammar. One owner at a time; not thread-safe."""

    finished: bool
    """An end token was accepted, or only an end token could follow."""

    @abstractmethod
    def fill_mask(self, row: MaskRow, remaining: int | None = None) -> None:
        """Write the allowed next tokens into `row`: int32 [ceil(vocab / 32)], bit i of the row
        (lowest first) for token i. End tokens are allowed exactly where the output is complete.

        remaining: tokens that may still be generated, this one included. With it, only tokens
        stay allowed after which the output can still be completed.

        Raises RequestError("grammar") when no token is allowed.
        """

    @abstractmethod
    def accept(self, token_id: int) -> bool:
        """Take a generated token; False (and no change) when the grammar forbids it."""

    @abstractmethod
    def rollback(self, count: int) -> None:
        """Take back the last `count` accepted tokens."""

    @abstractmethod
    def forced_tokens(self) -> list[int]:
        """Tokens that must follow, as the tokenizer spells them after what was accepted; they
        are not accepted yet. Empty where there is a choice."""

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
        """Raise RequestError when no complete output fits into so many tokens."""
        if max_new_tokens < self.min_tokens:
            raise RequestError(
                "grammar",
                f"the shortest output that this constraint allows needs {self.min_tokens} tokens, "
                f"but max_new_tokens is {max_new_tokens}; raise it",
                pointer="sampling.max_new_tokens",
            )
