"""Masks from automata over bytes: the "native" engine. Built by xgrammar_engine.py.

A mask is found by walking all tokens through the automaton at once, a column of bytes at a time,
and kept by state; states with equal masks share a row. A token's own walk, one byte after the
other, is the reference (tests).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .allowance import Allowance
from .byte_dfa import ByteDfa
from .handle import BitMask, Handle
from .rows import Row, Rows
from .vocabulary import PLAIN_BYTES, Vocabulary

_CACHE_BYTES = 8 * 1024 * 1024
# Tokens walked at a time where there is an allowance; and NumPy looks at so many bytes while the
# walker looks at one place.
_BLOCK = 8_192
_BYTES_PER_PLACE = 32
_MAX_BEGUN = 16

TokenIds = npt.NDArray[np.int64]


class TokenColumns:
    """The tokens of a vocabulary in the order of their bytes, to be walked by columns. One per
    vocabulary; ids without bytes are left out."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        lengths = vocabulary.lengths
        order = vocabulary.order
        self.ids = order[lengths[order] > 0]  # int64 [tokens]
        self.lengths = lengths[self.ids]  # int32 [tokens]
        self.plain = vocabulary.plain[self.ids]  # bool [tokens]
        data = b"".join(vocabulary.token_bytes[index] for index in self.ids.tolist())
        self.flat = np.frombuffer(data, dtype=np.uint8)
        self.starts = np.cumsum(self.lengths, dtype=np.int64) - self.lengths
        # Where the tokens with each first byte begin: int64 [257].
        self.firsts = np.searchsorted(self.flat[self.starts], np.arange(257))

    def allowed(self, dfa: ByteDfa, state: int) -> npt.NDArray[np.int64]:
        """Ids of the tokens that `state` can take whole."""
        taken, alive = self.begun(dfa, state)
        return np.concatenate([taken, self.walked(dfa, state, alive)[0]])

    def begun(self, dfa: ByteDfa, state: int) -> tuple[TokenIds, TokenIds]:
        """Ids of tokens that are taken without a walk, and places of those to be walked."""
        steps = dfa.table[state, dfa.byte_class]  # int32 [256]
        if bool((steps[np.frombuffer(PLAIN_BYTES, dtype=np.uint8)] == state).all()):
            # Plain text leads back here.
            alive = np.flatnonzero(~self.plain & (steps[self.flat[self.starts]] != dfa.dead))
            return self.ids[self.plain], alive
        ranges = [
            np.arange(self.firsts[byte], self.firsts[byte + 1])
            for byte in np.flatnonzero(steps != dfa.dead).tolist()
        ]
        none = np.empty(0, dtype=np.int64)
        return none, np.concatenate(ranges) if ranges else none

    def walked(self, dfa: ByteDfa, state: int, alive: TokenIds) -> tuple[TokenIds, int]:
        """Of the tokens at some places, the ids of those that are taken, and how many bytes were
        looked at."""
        pieces = [np.empty(0, dtype=np.int64)]
        states = np.full(alive.shape, state, dtype=np.int32)
        column = looked_at = 0
        while alive.size:
            looked_at += alive.size
            states = dfa.table[states, dfa.byte_class[self.flat[self.starts[alive] + column]]]
            column += 1
            kept = states != dfa.dead
            ended = kept & (self.lengths[alive] == column)
            pieces.append(self.ids[alive[ended]])
            kept &= ~ended
            alive, states = alive[kept], states[kept]
        return np.concatenate(pieces), looked_at


@dataclass(slots=True)
class _Begun:
    """A row in the making: ids that it allows, and places of tokens not walked yet."""

    taken: list[TokenIds]
    alive: TokenIds


class NativeMasks:
    """An automaton with the masks found so far. Thread-safe."""

    def __init__(
        self,
        dfa: ByteDfa,
        columns: TokenColumns,
        eos_ids: tuple[int, ...],
        vocabulary: Vocabulary,
        rows: Rows | None = None,
    ) -> None:
        self.dfa = dfa
        self.eos_ids = frozenset(eos_ids)
        self.bytes_of = vocabulary.bytes_of
        self._columns = columns
        self._eos = np.array(eos_ids, dtype=np.int64)
        self._vocab_size = len(vocabulary.token_bytes)
        self._rows = Rows(_CACHE_BYTES) if rows is None else rows
        self._owner = self._rows.owner()
        self._begun: dict[int, _Begun] = {}

    @property
    def memory_size_bytes(self) -> int:
        return int(self.dfa.table.nbytes)

    def row(self, state: int) -> Row:
        """Which tokens may follow: int32 [ceil(vocab / 32)], not to be written."""
        found = self._rows.get((self._owner, state))
        if found is not None:
            return found[0]
        row = self._packed(state, [self._columns.allowed(self.dfa, state)])
        return self._rows.keep((self._owner, state), row)

    def prepare(self, handle: Handle, allowance: Allowance) -> bool:
        """Find the row of the handle's state, block by block."""
        assert isinstance(handle, NativeHandle)
        state = handle.state
        if state == NativeHandle.END or self._rows.get((self._owner, state)) is not None:
            return True
        begun = self._begun.get(state)
        if begun is None:
            taken, alive = self._columns.begun(self.dfa, state)
            begun = self._begun[state] = _Begun([taken], alive)
            if len(self._begun) > _MAX_BEGUN:  # whoever wanted it is gone
                del self._begun[next(iter(self._begun))]
            allowance.spend(len(self._columns.ids) // _BYTES_PER_PLACE)
        while begun.alive.size:
            if allowance.is_spent:
                return False
            block, begun.alive = begun.alive[:_BLOCK], begun.alive[_BLOCK:]
            found, looked_at = self._columns.walked(self.dfa, state, block)
            begun.taken.append(found)
            allowance.spend(looked_at // _BYTES_PER_PLACE)
        row = self._packed(state, begun.taken)
        self._begun.pop(state, None)
        self._rows.keep((self._owner, state), row)
        return True

    def _packed(self, state: int, taken: list[TokenIds]) -> Row:
        bits = np.zeros(-(-self._vocab_size // 32) * 32, dtype=np.uint8)
        for ids in taken:
            bits[ids] = 1
        if self.dfa.accepting[state]:
            bits[self._eos] = 1
        return np.packbits(bits, bitorder="little").view(np.int32)

    def handle(self) -> NativeHandle:
        return NativeHandle(self, [0])


class NativeHandle:
    """The states after each token; END stands for an end token."""

    END = -1

    def __init__(self, masks: NativeMasks, states: list[int]) -> None:
        self._masks = masks
        self._states = states

    @property
    def state(self) -> int:
        return self._states[-1]

    def fill_next_token_bitmask(self, bitmask: BitMask, index: int = 0, /) -> bool:
        row = self._masks.row(self._states[-1])
        target = bitmask[index]
        target[: row.size] = row
        target[row.size :] = 0
        return True

    def accept_token(self, token_id: int, /) -> bool:
        dfa, state = self._masks.dfa, self._states[-1]
        if state == self.END:
            return False
        if token_id in self._masks.eos_ids:
            following = self.END if dfa.accepting[state] else dfa.dead
        else:
            data = self._masks.bytes_of(token_id)
            following = dfa.walk(state, data) if data else dfa.dead
        if following == dfa.dead:
            return False
        self._states.append(following)
        return True

    def rollback(self, num_tokens: int = 1, /) -> None:
        if not 0 <= num_tokens < len(self._states):
            raise ValueError(f"cannot take back {num_tokens} of {len(self._states) - 1} tokens")
        if num_tokens:
            del self._states[-num_tokens:]

    def is_terminated(self) -> bool:
        return self._states[-1] == self.END

    def fork(self) -> NativeHandle:
        return NativeHandle(self._masks, self._states.copy())
