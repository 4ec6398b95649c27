"""Which tokens leave enough room to finish, and which overrun a count; used by the matcher where
xgrammar's mask does not know."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from .vocabulary import INFINITE, PLAIN_BYTES, Vocabulary
from .walker import State, Walker

_MAX_KEPT_STATES = 256

TokenIds = npt.NDArray[np.int64]
Costs = npt.NDArray[np.int32]


class TokenCosts:
    """For a state, the least tokens needed to finish after each token.

    The answer belongs to the state whatever the budget, so it is kept for the states that were
    asked for last: sequences of one grammar pass through the same ones.
    """

    def __init__(self, walker: Walker, vocabulary: Vocabulary) -> None:
        self._walker = walker
        self._vocabulary = vocabulary
        self._kept: OrderedDict[int, tuple[State, TokenIds, Costs]] = OrderedDict()

    def unaffordable(self, state: State, allowed: TokenIds, budget: int) -> TokenIds:
        """Those of the tokens after which more than `budget` tokens are needed to finish.

        allowed: ids in ascending order, at least those that the grammar allows in this state.
        """
        kept = self._kept.get(id(state))
        if kept is None or kept[1].shape != allowed.shape or (kept[1] != allowed).any():
            kept = (state, allowed, self._costs(state, allowed))
            self._kept[id(state)] = kept
            if len(self._kept) > _MAX_KEPT_STATES:
                self._kept.popitem(last=False)
        return allowed[kept[2] > budget]

    def overrunning(self, state: State, allowed: TokenIds) -> TokenIds:
        """Those of the tokens that repeat something too often. One repetition takes a byte at
        least, so only tokens longer than the repetitions that are left can."""
        suspects = allowed[self._vocabulary.lengths[allowed] > state.slack]
        return suspects[self._costs(state, suspects) >= INFINITE]

    def _costs(self, state: State, ids: TokenIds) -> Costs:
        """int32 [ids]: tokens needed after each token, INFINITE for one that is forbidden."""
        costs = np.full(ids.shape, INFINITE, dtype=np.int32)
        rest = np.arange(ids.shape[0])
        if rest.size > 256 and self._loops(state):
            plain = self._vocabulary.plain[ids]
            costs[plain] = state.cost
            rest = rest[~plain]
        # In the order of their bytes, tokens share the states of their common beginning.
        rest = rest[np.argsort(self._vocabulary.ranks[ids[rest]])]
        step, token_bytes = self._walker.step, self._vocabulary.token_bytes
        path: list[State | None] = [state]
        previous = b""
        for place in rest.tolist():
            data = token_bytes[ids[place]]
            shared = 0
            limit = min(len(path) - 1, len(data))
            while shared < limit and data[shared] == previous[shared]:
                shared += 1
            del path[shared + 1 :]
            here = path[-1]
            for position in range(shared, len(data)):
                if here is None:
                    break
                here = step(here, data[position])
                path.append(here)
            previous = data
            if here is not None and data:
                costs[place] = here.cost
        return costs

    def _loops(self, state: State) -> bool:
        """Whether plain characters lead back to the state, as inside an unbounded string."""
        return all(self._walker.step(state, byte) is state for byte in PLAIN_BYTES)
