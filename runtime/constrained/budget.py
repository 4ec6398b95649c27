"""Which tokens leave enough room to finish, and which overrun a count; used by the matcher where
xgrammar's mask does not know."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from . import charset
from .allowance import Allowance
from .charset import utf8_sequences
from .vocabulary import INFINITE, PLAIN_BYTES, Vocabulary
from .walker import State, Walker

_KEPT_BYTES = 32 * 1024 * 1024
# NumPy looks at so many tokens while the walker looks at one place.
_TOKENS_PER_PLACE = 64
_BLOCK = 4_096
_LEAP = 8
_BEYOND_ASCII = tuple(utf8_sequences(charset.intersect(((0x80, 0x10FFFF),), charset.ALL)))

TokenIds = npt.NDArray[np.int64]
Costs = npt.NDArray[np.int32]


class TokenCosts:
    """For a state, the least tokens needed to finish after each token.

    The answer belongs to the state whatever the budget, so it is kept for the states that were
    asked for last: sequences of one grammar pass through the same ones. Where an allowance does
    not last, what was found is kept, too, and None is returned.
    """

    def __init__(self, walker: Walker, vocabulary: Vocabulary) -> None:
        self._walker = walker
        self._vocabulary = vocabulary
        self._kept: OrderedDict[tuple[int, str], _Costing] = OrderedDict()
        self.num_bytes = 0

    def unaffordable(
        self, state: State, allowed: TokenIds, budget: int, allowance: Allowance | None = None
    ) -> TokenIds | None:
        """Those of the tokens after which more than `budget` tokens are needed to finish.

        allowed: ids in ascending order, at least those that the grammar allows in this state.
        """
        costs = self._costs(state, allowed, "allowed", allowance)
        return None if costs is None else allowed[costs > budget]

    def overrunning(
        self, state: State, allowed: TokenIds, allowance: Allowance | None = None
    ) -> TokenIds | None:
        """Those of the tokens that repeat something too often. One repetition takes a byte at
        least, so only tokens longer than the repetitions that are left can."""
        suspects = allowed[self._vocabulary.lengths[allowed] > state.slack]
        costs = self._costs(state, suspects, "long", allowance)
        return None if costs is None else suspects[costs >= INFINITE]

    def after(
        self, state: State, ids: TokenIds, allowance: Allowance | None = None
    ) -> Costs | None:
        """int32 [ids]: tokens needed after each token, INFINITE for one that is forbidden. ids: all
        that there are."""
        return self._costs(state, ids, "all", allowance)

    def _costs(
        self, state: State, ids: TokenIds, which: str, allowance: Allowance | None
    ) -> Costs | None:
        """Costs as of `after`, kept under `which` ids they are."""
        key = (id(state), which)
        found = self._kept.get(key)
        if found is None or not np.array_equal(found.ids, ids):
            if found is not None:
                self.num_bytes -= found.num_bytes
            found = self._kept[key] = _Costing(self._walker, self._vocabulary, state, ids)
            self.num_bytes += found.num_bytes
            if allowance is not None:
                allowance.spend(ids.size // _TOKENS_PER_PLACE)
            while self.num_bytes > _KEPT_BYTES and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self.num_bytes -= oldest.num_bytes
        return found.costs if found.go_on(allowance) else None


class _Costing:
    """The costs after each of some tokens, found piece by piece. It holds the state, whose id would
    be given to another one once it is gone."""

    def __init__(self, walker: Walker, vocabulary: Vocabulary, state: State, ids: TokenIds) -> None:
        self.ids = ids
        self.costs: Costs = np.full(ids.shape, INFINITE, dtype=np.int32)
        self._step = walker.step
        self._token_bytes = vocabulary.token_bytes
        self._max_length = vocabulary.max_length
        self._path: list[State | None] = [state]
        self._previous = b""
        self._done = 0
        wanted = np.zeros(len(vocabulary.token_bytes), dtype=np.bool_)
        wanted[ids] = True
        if ids.size > 256 and _loops(walker, state):
            alike = vocabulary.text if _loops_beyond_ascii(walker, state) else vocabulary.plain
            self.costs[alike[ids]] = state.cost
            wanted &= ~alike
        # In the order of their bytes, tokens share the states of their common beginning.
        self._ordered = vocabulary.order[wanted[vocabulary.order]]
        places = np.zeros(len(wanted), dtype=np.int64)
        places[ids] = np.arange(ids.size)
        self._places = places[self._ordered]

    @property
    def num_bytes(self) -> int:
        return 2 * self.ids.nbytes + self.costs.nbytes + self._ordered.nbytes

    def go_on(self, allowance: Allowance | None) -> bool:
        """Work as long as it is allowed; whether all costs are there."""
        while self._done < self._ordered.size:
            if allowance is not None and allowance.is_spent:
                return False
            block = slice(self._done, self._done + _BLOCK)
            tokens, places = self._ordered[block].tolist(), self._places[block].tolist()
            at = 0
            while at < len(tokens):
                looked_at, self.costs[places[at]] = self._walked(self._token_bytes[tokens[at]])
                at += 1
                if self._path[-1] is None:
                    at, before = self._leap(tokens, at), at
                    looked_at += min(at - before, _LEAP)
                if allowance is not None:
                    allowance.spend(looked_at)
                    if allowance.is_spent:
                        break
            self._done += at
        return True

    def _leap(self, tokens: list[int], at: int) -> int:
        """Past the tokens that begin like the last one, as far as it was looked at: none of them is
        allowed. Where they are few, it is as quick to try them."""
        dead = self._previous[: len(self._path) - 1]
        far = at + _LEAP
        if far >= len(tokens) or not self._token_bytes[tokens[far]].startswith(dead):
            return at
        beyond = dead + b"\xff" * self._max_length
        return bisect_right(tokens, beyond, far, key=self._token_bytes.__getitem__)

    def _walked(self, data: bytes) -> tuple[int, int]:
        """How many places were looked at, and the cost after the token of these bytes."""
        path, previous = self._path, self._previous
        shared = 0
        limit = min(len(path) - 1, len(data), len(previous))
        while shared < limit and data[shared] == previous[shared]:
            shared += 1
        del path[shared + 1 :]
        here = path[-1]
        looked_at = 1
        for position in range(shared, len(data)):
            if here is None:
                break
            looked_at += len(here.frames)
            here = self._step(here, data[position])
            path.append(here)
        self._previous = data
        return looked_at, INFINITE if here is None or not data else here.cost


def _loops(walker: Walker, state: State) -> bool:
    """Whether plain characters lead back to the state, as inside an unbounded string."""
    return all(walker.step(state, byte) is state for byte in PLAIN_BYTES)


def _loops_beyond_ascii(walker: Walker, state: State) -> bool:
    """Whether every character beyond ASCII does."""
    for sequence in _BEYOND_ASCII:
        here = [state]
        for low, high in sequence:
            reached: dict[int, State] = {}
            for one in here:
                for byte in range(low, high + 1):
                    following = walker.step(one, byte)
                    if following is None:
                        return False
                    reached[id(following)] = following
            here = list(reached.values())
        if here != [state]:
            return False
    return True
