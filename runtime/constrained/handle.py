"""What an engine for masks must offer: xgrammar's matcher as it is, and ours in its likeness. Used
by xgrammar_engine.py, which adds what none of them knows."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from .allowance import Allowance

BitMask = npt.NDArray[np.int32]


class Handle(Protocol):
    """How far one sequence has come. Not thread-safe."""

    def fill_next_token_bitmask(self, bitmask: BitMask, index: int = 0, /) -> bool:
        """Write the tokens that may follow into bitmask[index]: int32 [ceil(vocab / 32)]. False
        where all may and nothing was written."""

    def accept_token(self, token_id: int, /) -> bool:
        """Take a token; False, and no change, where it may not follow."""

    def rollback(self, num_tokens: int = 1, /) -> None:
        """Take back the last tokens, end tokens too."""

    def is_terminated(self) -> bool:
        """Whether an end token was taken."""

    def fork(self) -> Handle:
        """An independent copy."""


class Compiled(Protocol):
    """A language for one vocabulary; shared by sequences."""

    @property
    def memory_size_bytes(self) -> int:
        """What it holds, or may come to hold."""

    def handle(self) -> Handle:
        """A handle at the start."""

    def prepare(self, handle: Handle, allowance: Allowance) -> bool:
        """Find what the handle's next mask needs; False where the allowance did not last."""
