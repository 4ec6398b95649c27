"""What a grammar is to the engine: the interface between compiled grammars and the scheduler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import RequestError

MaskRow = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class GrammarLimits:
    """What a constraint may cost. Reaching a limit is a `RequestError` with code "grammar".

    max_source_chars: length of the schema or pattern text.
    max_depth: nesting of a schema or of a pattern's groups.
    max_properties: object properties in a whole schema.
    max_optional: optional properties of one object, and the root of the sum of squares over all
    objects of a schema; xgrammar's compile time grows with their square
    (100: 0.4 s at 4,096 tokens, 2.7 s at 32,768).
    max_nodes: size of the expanded grammar.
    max_repeat_work: repetition count x vocabulary size of one bounded repetition that is spelled
    out for xgrammar, whose compile time grows with both (0.27 us each on a 2.5 GHz core).
    max_min_repeat: largest lower bound of a repetition.
    cache_bytes: memory for compiled grammars that are kept for reuse.
    """

    max_source_chars: int = 256 * 1024
    max_depth: int = 64
    max_properties: int = 2_000
    max_optional: int = 100
    max_nodes: int = 60_000
    max_repeat_work: int = 8_000_000
    max_min_repeat: int = 256
    cache_bytes: int = 256 * 1024 * 1024


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
