"""Masks from the machine in src/: any language, found as it is needed. Built by
xgrammar_engine.py; walker_masks.py is the slow reference."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, Final

import numpy as np

from ..errors import RequestError
from .allowance import Allowance
from .handle import BitMask, Handle
from .machine_library import nodes_of
from .machine_tables import MachineTables
from .rows import Row, Rows
from .vocabulary import INFINITE, Vocabulary

# What the machine counts per place of an allowance; measured beside the walker.
_WORK_PER_PLACE: Final = 4
_UNBOUNDED: Final = 1 << 62
# States are forgotten beyond this, and found again by the texts that need them.
_MAX_STATE_BYTES: Final = 16 * 1024 * 1024
_MAX_FRAMES: Final = 25_000


class MachineVocabulary:
    """The tokens as trees, of one vocabulary."""

    def __init__(self, library: Any, vocabulary: Vocabulary) -> None:
        self.library = library
        self.bytes_of = vocabulary.bytes_of
        lengths = vocabulary.lengths.astype(np.int64)
        starts = np.append(0, np.cumsum(lengths))
        data = np.frombuffer(b"".join(vocabulary.token_bytes) or b"\0", dtype=np.uint8)
        self._read_by_the_trees = data, starts
        order = np.ascontiguousarray(vocabulary.order[lengths[vocabulary.order] > 0])
        self.num_words = -(-len(lengths) // 32)
        self.max_length = int(lengths.max(initial=0))
        self.address = library.bm_vocabulary_new(
            data.ctypes.data,
            starts.ctypes.data,
            len(lengths),
            order.ctypes.data,
            len(order),
            vocabulary.plain.ctypes.data,
            vocabulary.text.ctypes.data,
        )
        weakref.finalize(self, library.bm_vocabulary_delete, self.address)


class MachineMasks:
    """The machine of one language with the states met so far. Not thread-safe."""

    def __init__(
        self,
        vocabulary: MachineVocabulary,
        tables: MachineTables,
        eos_ids: tuple[int, ...],
        rows: Rows,
        max_state_bytes: int = _MAX_STATE_BYTES,
        shares: bool = True,
    ) -> None:
        """shares: take masks from states that are alike for as long as tokens are; without it, the
        slow reference, each state has a mask of its own."""
        self.library = vocabulary.library
        self.bytes_of = vocabulary.bytes_of
        self.eos_ids = frozenset(eos_ids)
        self.generation = 0
        self._vocabulary = vocabulary
        self._tables = tables
        self._rows = rows
        self._owner = rows.owner()
        self._max_state_bytes = max_state_bytes
        self._scratch = np.zeros(vocabulary.num_words, dtype=np.int32)
        self._eos = np.array(eos_ids, dtype=np.int64)
        self._shares = shares
        self._most = ctypes.c_int32()
        self._least = ctypes.c_int32()
        self.address = self.library.bm_masks_new(ctypes.byref(nodes_of(tables)), _MAX_FRAMES)
        weakref.finalize(self, self.library.bm_masks_delete, self.address)

    @property
    def memory_size_bytes(self) -> int:
        return self._tables.num_bytes + int(self.library.bm_bytes(self.address))

    def handle(self) -> MachineHandle:
        start = self.library.bm_start(self.address)
        if start < 0:
            raise _ambiguous()
        return MachineHandle(self, [], [start])

    def prepare(self, handle: Handle, allowance: Allowance) -> bool:
        """Find the row of the handle's state, as far as the allowance lasts."""
        assert isinstance(handle, MachineHandle)
        return self.row(handle.state, None, allowance) is not None

    def row(
        self, state: int, budget: int | None, allowance: Allowance | None
    ) -> tuple[Row, bool] | None:
        """Which tokens may follow so that `budget` tokens suffice for the rest: int32
        [ceil(vocab / 32)], not to be written, and whether the budget left out any that could.
        None where the allowance did not last. Raises RequestError where there is none."""
        key: tuple[int, ...] = (self._owner, state)
        found = self._rows.get(key) or self._found(key, state, INFINITE - 1, allowance)
        if found is None or budget is None or budget >= found[1]:
            return None if found is None else (found[0], False)
        key = (self._owner, state, budget)
        within = self._rows.get(key) or self._found(key, state, budget, allowance)
        if within is None:
            return None
        return within[0], within[0] is not found[0] and not np.array_equal(within[0], found[0])

    def _found(
        self, key: tuple[int, ...], state: int, budget: int, allowance: Allowance | None
    ) -> tuple[Row, int] | None:
        """The mask of a state, by way of the one that is alike for as long as most tokens are."""
        library, address = self.library, self.address
        before = library.bm_work(address)
        like = (
            library.bm_alike(address, state, ctypes.byref(self._least)) if self._shares else state
        )
        if like == state:
            return self._filled(key, state, budget, allowance)
        least = self._least.value
        if allowance is not None:
            allowance.spend((library.bm_work(address) - before) // _WORK_PER_PLACE)
        key_like = (key[0], like, *key[2:])
        found = self._rows.get(key_like) or self._filled(key_like, like, budget, allowance)
        if found is None:
            return None
        row, most = found
        if least < self._vocabulary.max_length and library.bm_begin_like(
            address,
            self._vocabulary.address,
            state,
            budget,
            least,
            row.ctypes.data,
            most,
        ):
            return self._filled(key, state, budget, allowance)
        return self._rows.share(key, key_like) or found

    def _filled(
        self, key: tuple[int, ...], state: int, budget: int, allowance: Allowance | None
    ) -> tuple[Row, int] | None:
        library, address = self.library, self.address
        before = library.bm_work(address)
        allowed = _UNBOUNDED if allowance is None else max(allowance.left, 1) * _WORK_PER_PLACE
        done = library.bm_fill(
            address,
            self._vocabulary.address,
            state,
            budget,
            allowed,
            self._scratch.ctypes.data,
            ctypes.byref(self._most),
        )
        if allowance is not None:
            allowance.spend(1 + (library.bm_work(address) - before) // _WORK_PER_PLACE)
        if done < 0:
            raise _ambiguous()
        if not done:
            return None
        if library.bm_accepting(address, state):
            words, bits = self._eos // 32, np.left_shift(1, self._eos % 32).astype(np.uint32)
            np.bitwise_or.at(self._scratch.view(np.uint32), words, bits)
        if not self._scratch.any():
            raise RequestError("grammar", "no token of the vocabulary continues the output")
        return self._rows.keep(key, self._scratch, self._most.value), self._most.value

    def tidy(self) -> None:
        """Forget the states where they take too much memory; handles find theirs again. Not while
        somebody holds a state."""
        if self.library.bm_bytes(self.address) > self._max_state_bytes:
            self.library.bm_forget(self.address)
            self.generation += 1
            self._owner = self._rows.owner()

    def walk(self, state: int, data: bytes) -> int:
        """The state after some bytes; 0 where they are not allowed."""
        following = int(self.library.bm_walk(self.address, state, data, len(data)))
        if following < 0:
            raise _ambiguous()
        return following


class MachineHandle:
    """The states after each token, and its bytes; None for an end token."""

    def __init__(self, masks: MachineMasks, tokens: list[bytes | None], states: list[int]) -> None:
        self._masks = masks
        self._tokens = tokens
        self._states = states
        self._generation = masks.generation
        self.is_reduced = False

    @property
    def state(self) -> int:
        if self._generation != self._masks.generation:
            self._states = [self._masks.library.bm_start(self._masks.address)]
            for data in self._tokens:
                last = self._states[-1]
                self._states.append(last if data is None else self._masks.walk(last, data))
            self._generation = self._masks.generation
        return self._states[-1]

    def fill_next_token_bitmask(self, bitmask: BitMask, index: int = 0, /) -> bool:
        self.fill(bitmask[index], None, None)
        return True

    def fill(self, target: Row, budget: int | None, allowance: Allowance | None) -> bool:
        """As `MachineMasks.row`, into `target`; False where the allowance did not last.
        `is_reduced` then tells whether the budget left something out."""
        found = self._masks.row(self.state, budget, allowance)
        if found is None:
            return False
        row, self.is_reduced = found
        target[: row.size] = row
        target[row.size :] = 0
        return True

    def accept_token(self, token_id: int, /) -> bool:
        masks = self._masks
        masks.tidy()
        state = self.state
        if self.is_terminated():
            return False
        if token_id in masks.eos_ids:
            if not masks.library.bm_accepting(masks.address, state):
                return False
            self._tokens.append(None)
            self._states.append(state)
            return True
        data = masks.bytes_of(token_id)
        following = masks.walk(state, data) if data else 0
        if following:
            self._tokens.append(data)
            self._states.append(following)
        return following != 0

    def rollback(self, num_tokens: int = 1, /) -> None:
        if not 0 <= num_tokens <= len(self._tokens):
            raise ValueError(f"cannot take back {num_tokens} of {len(self._tokens)} tokens")
        if num_tokens:
            del self._tokens[-num_tokens:]
            del self._states[-num_tokens:]

    def is_terminated(self) -> bool:
        return bool(self._tokens) and self._tokens[-1] is None

    def fork(self) -> MachineHandle:
        copy = MachineHandle(self._masks, self._tokens.copy(), self._states.copy())
        copy._generation = self._generation
        return copy


def _ambiguous() -> RequestError:
    return RequestError(
        "grammar",
        f"the output can be read in over {_MAX_FRAMES} ways at once; make the grammar less "
        "ambiguous",
    )
