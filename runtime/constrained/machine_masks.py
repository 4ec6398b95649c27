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
from .walker import MAX_FORCED

# What the machine counts per place of an allowance; measured beside the walker.
_WORK_PER_PLACE: Final = 4
_UNBOUNDED: Final = 1 << 62
# States are forgotten beyond this, and found again by the texts that need them, as a part of what
# their masks work.
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


class Machine:
    """The states of one language that were met so far, numbers from 1. Not thread-safe; a walker
    (walker.py) is the slow reference."""

    def __init__(self, library: Any, tables: MachineTables, owner: int) -> None:
        self.owner = owner
        self.address = library.bm_masks_new(ctypes.byref(nodes_of(tables)), _MAX_FRAMES)
        self._library = library
        self._read_in_place = tables
        self._forced = ctypes.create_string_buffer(MAX_FORCED)
        weakref.finalize(self, library.bm_masks_delete, self.address)

    @property
    def num_bytes(self) -> int:
        return int(self._library.bm_bytes(self.address))

    @property
    def work(self) -> int:
        """Frames looked at so far."""
        return int(self._library.bm_work(self.address))

    @property
    def start(self) -> int:
        start = int(self._library.bm_start(self.address))
        if start < 0:
            raise _ambiguous()
        return start

    def walk(self, state: int, data: bytes) -> int | None:
        """The state after some bytes; None where they are not allowed."""
        following = int(self._library.bm_walk(self.address, state, data, len(data)))
        if following < 0:
            raise _ambiguous()
        return following or None

    def forced(self, state: int) -> bytes:
        """The bytes that must follow, as far as there is no choice and the text is not complete."""
        count = self._library.bm_forced(self.address, state, self._forced, MAX_FORCED)
        return self._forced.raw[:count]

    def cost(self, state: int) -> int:
        """Least tokens from there to the end."""
        return int(self._library.bm_cost(self.address, state))

    def ends(self, state: int) -> bool:
        """Whether the text is complete and nothing can follow."""
        return bool(self._library.bm_ends(self.address, state))

    def is_accepting(self, state: int) -> bool:
        return bool(self._library.bm_accepting(self.address, state))


class MachineMasks:
    """The masks of one language, by the machine that has its states now. Not thread-safe."""

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
        self.bytes_of = vocabulary.bytes_of
        self.eos_ids = frozenset(eos_ids)
        self.generation = 0
        self._library = vocabulary.library
        self._vocabulary = vocabulary
        self._tables = tables
        self._rows = rows
        self._max_state_bytes = max_state_bytes
        self._most_bytes = max_state_bytes
        self._is_full = False  # as of the last mask that had to be found
        self._moving: weakref.WeakSet[MachineHandle] = weakref.WeakSet()
        self._scratch = np.zeros(vocabulary.num_words, dtype=np.int32)
        self._eos = np.array(eos_ids, dtype=np.int64)
        self._shares = shares
        self._most = ctypes.c_int32()
        self._least = ctypes.c_int32()
        self.machine = self._new_machine()

    def _new_machine(self) -> Machine:
        return Machine(self._library, self._tables, self._rows.owner())

    @property
    def memory_size_bytes(self) -> int:
        own = self._scratch.nbytes + self.machine.num_bytes
        return self._tables.num_bytes + own

    def handle(self) -> MachineHandle:
        return MachineHandle(self, self.machine, [], [self.machine.start])

    def prepare(self, handle: Handle, allowance: Allowance) -> bool:
        """Find the row of the handle's state, as far as the allowance lasts."""
        assert isinstance(handle, MachineHandle)
        if not handle.move(allowance):
            return False
        return self.row(handle.machine, handle.state, None, allowance) is not None

    def row(
        self, machine: Machine, state: int, budget: int | None, allowance: Allowance | None
    ) -> tuple[Row, bool] | None:
        """Which tokens may follow so that `budget` tokens suffice for the rest: int32
        [ceil(vocab / 32)], not to be written, and whether the budget left out any that could.
        None where the allowance did not last. Raises RequestError where there is none."""
        key: tuple[int, ...] = (machine.owner, state)
        found = self._rows.get(key) or self._found(machine, key, INFINITE - 1, allowance)
        if found is None or budget is None or budget >= found[1]:
            return None if found is None else (found[0], False)
        key = (machine.owner, state, budget)
        within = self._rows.get(key) or self._found(machine, key, budget, allowance)
        if within is None:
            return None
        return within[0], within[0] is not found[0] and not np.array_equal(within[0], found[0])

    def _found(
        self, machine: Machine, key: tuple[int, ...], budget: int, allowance: Allowance | None
    ) -> tuple[Row, int] | None:
        """The mask of a state, by way of the one that is alike for as long as most tokens are."""
        if not self._shares:
            return self._filled(machine, key, budget, allowance)
        before, state = machine.work, key[1]
        like = self._library.bm_alike(machine.address, state, ctypes.byref(self._least))
        if like == state:
            return self._filled(machine, key, budget, allowance)
        least = self._least.value
        if allowance is not None:
            allowance.spend((machine.work - before) // _WORK_PER_PLACE)
        key_like = (machine.owner, like, *key[2:])
        found = self._rows.get(key_like) or self._filled(machine, key_like, budget, allowance)
        if found is None:
            return None
        if least < self._vocabulary.max_length and self._library.bm_begin_like(
            machine.address,
            self._vocabulary.address,
            state,
            budget,
            least,
            found[0].ctypes.data,
            found[1],
        ):
            return self._filled(machine, key, budget, allowance)
        return self._rows.share(key, key_like) or found

    def _filled(
        self, machine: Machine, key: tuple[int, ...], budget: int, allowance: Allowance | None
    ) -> tuple[Row, int] | None:
        before, state = machine.work, key[1]
        allowed = _UNBOUNDED if allowance is None else max(allowance.left, 1) * _WORK_PER_PLACE
        done = self._library.bm_fill(
            machine.address,
            self._vocabulary.address,
            state,
            budget,
            allowed,
            self._scratch.ctypes.data,
            ctypes.byref(self._most),
        )
        if allowance is not None:
            allowance.spend(1 + (machine.work - before) // _WORK_PER_PLACE)
        if done < 0:
            raise _ambiguous()
        if not done:
            return None
        if machine.is_accepting(state):
            words, bits = self._eos // 32, np.left_shift(1, self._eos % 32).astype(np.uint32)
            np.bitwise_or.at(self._scratch.view(np.uint32), words, bits)
        if not self._scratch.any():
            raise RequestError("grammar", "no token of the vocabulary continues the output")
        self._is_full = self.machine.num_bytes > self._most_bytes
        return self._rows.keep(key, self._scratch, self._most.value), self._most.value

    def newest(self, handle: MachineHandle) -> Machine:
        """The machine to go on with: another one where states take too much memory. Handles move
        there at their next mask, all before it is replaced in turn, and the old one goes with the
        last of them."""
        if self._is_full and not self._moving:
            self.machine = self._new_machine()
            self._is_full = False
            self.generation += 1
        if handle.machine is not self.machine:
            self._moving.add(handle)
        return self.machine

    def moved(self, handle: MachineHandle) -> None:
        """A handle found its states again. What texts need is not too much: they would be found
        again for every token."""
        self._moving.discard(handle)
        self._most_bytes = max(self._max_state_bytes, 2 * self.machine.num_bytes)


class MachineHandle:
    """states: at the start and after each token. Beside them the tokens' bytes; None for an end
    token."""

    def __init__(
        self, masks: MachineMasks, machine: Machine, tokens: list[bytes | None], states: list[int]
    ) -> None:
        self.machine = machine
        self._masks = masks
        self._tokens = tokens
        self.states = states
        self._found: list[int] = []  # of the states in the machine that it moves to
        self.is_reduced = False

    @property
    def state(self) -> int:
        return self.states[-1]

    def fill_next_token_bitmask(self, bitmask: BitMask, index: int = 0, /) -> bool:
        self.fill(bitmask[index], None, None)
        return True

    def fill(self, target: Row, budget: int | None, allowance: Allowance | None) -> bool:
        """As `MachineMasks.row`, into `target`; False where the allowance did not last.
        `is_reduced` then tells whether the budget left something out."""
        if not self.move(allowance):
            return False
        found = self._masks.row(self.machine, self.state, budget, allowance)
        if found is None:
            return False
        row, self.is_reduced = found
        target[: row.size] = row
        target[row.size :] = 0
        return True

    def move(self, allowance: Allowance | None) -> bool:
        """Find the states again where they were forgotten, as far as the allowance lasts."""
        machine = self._masks.newest(self)
        if machine is self.machine:
            return True
        found = self._found = self._found or [machine.start]
        for data in self._tokens[len(found) - 1 :]:
            if allowance is not None and allowance.is_spent:
                return False
            before = machine.work
            following = found[-1] if data is None else machine.walk(found[-1], data)
            assert following is not None  # as it was before
            found.append(following)
            if allowance is not None:  # to make states takes longer than to look at them
                allowance.spend(1 + 2 * (machine.work - before) // _WORK_PER_PLACE)
        self.machine, self.states, self._found = machine, found, []
        self._masks.moved(self)
        return True

    def accept_token(self, token_id: int, /) -> bool:
        if self.is_terminated():
            return False
        if token_id in self._masks.eos_ids:
            if not self.machine.is_accepting(self.state):
                return False
            self._tokens.append(None)
            self.states.append(self.state)
            return True
        data = self._masks.bytes_of(token_id)
        following = self.machine.walk(self.state, data) if data else None
        if following is not None:
            self._tokens.append(data)
            self.states.append(following)
        return following is not None

    def rollback(self, num_tokens: int = 1, /) -> None:
        if not 0 <= num_tokens <= len(self._tokens):
            raise ValueError(f"cannot take back {num_tokens} of {len(self._tokens)} tokens")
        if num_tokens:
            del self._tokens[-num_tokens:]
            del self.states[-num_tokens:]
            del self._found[len(self.states) :]

    def is_terminated(self) -> bool:
        return bool(self._tokens) and self._tokens[-1] is None

    def fork(self) -> MachineHandle:
        return MachineHandle(self._masks, self.machine, self._tokens.copy(), self.states.copy())


def _ambiguous() -> RequestError:
    return RequestError(
        "grammar",
        f"the output can be read in over {_MAX_FRAMES} ways at once; make the grammar less "
        "ambiguous",
    )
