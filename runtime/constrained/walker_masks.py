"""Masks by trying every token in the walker: slow to find, but nothing has to be compiled for them.
Used by xgrammar_engine.py where xgrammar would take too long; also the masks' slow reference."""

from __future__ import annotations

import numpy as np

from .allowance import Allowance
from .budget import TokenCosts
from .handle import BitMask, Handle
from .vocabulary import INFINITE, Vocabulary
from .walker import State, Walker


class WalkerMasks:
    """The masks of one language. Not thread-safe: its states are built as they are met."""

    def __init__(self, walker: Walker, vocabulary: Vocabulary, eos_ids: tuple[int, ...]) -> None:
        self.walker = walker
        self.bytes_of = vocabulary.bytes_of
        self.eos_ids = eos_ids
        self._ids = np.flatnonzero(vocabulary.lengths)
        self._costs = TokenCosts(walker, vocabulary)

    @property
    def memory_size_bytes(self) -> int:
        return self._costs.num_bytes

    def handle(self) -> Handle:
        return WalkerHandle(self, [self.walker.start])

    def prepare(self, handle: Handle, allowance: Allowance) -> bool:
        assert isinstance(handle, WalkerHandle)
        state = handle.state
        return state is None or self._costs.after(state, self._ids, allowance) is not None

    def write(self, state: State, row: BitMask) -> None:
        """row: int32 [ceil(vocab / 32)]."""
        bits = np.zeros(row.size * 32, dtype=np.uint8)
        costs = self._costs.after(state, self._ids)
        assert costs is not None  # nothing bounds the work here
        bits[self._ids[costs < INFINITE]] = 1
        if state.accepting:
            bits[list(self.eos_ids)] = 1
        row[:] = np.packbits(bits, bitorder="little").view(np.int32)


class WalkerHandle:
    """The states after each token; None after an end token."""

    def __init__(self, masks: WalkerMasks, states: list[State | None]) -> None:
        self._masks = masks
        self._states = states

    @property
    def state(self) -> State | None:
        return self._states[-1]

    def fill_next_token_bitmask(self, bitmask: BitMask, index: int = 0, /) -> bool:
        if self.state is not None:
            self._masks.write(self.state, bitmask[index])
        return True

    def accept_token(self, token_id: int, /) -> bool:
        state = self.state
        if state is None:
            return False
        if token_id in self._masks.eos_ids:
            if state.accepting:
                self._states.append(None)
            return state.accepting
        data = self._masks.bytes_of(token_id)
        following = self._masks.walker.walk(state, data) if data else None
        if following is not None:
            self._states.append(following)
        return following is not None

    def rollback(self, num_tokens: int = 1, /) -> None:
        if num_tokens:
            del self._states[-num_tokens:]

    def is_terminated(self) -> bool:
        return self.state is None

    def fork(self) -> WalkerHandle:
        return WalkerHandle(self._masks, self._states.copy())
