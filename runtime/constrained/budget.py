"""Which tokens leave enough room to finish; used by the matcher when the budget runs low."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from .vocabulary import INFINITE, Vocabulary
from .walker import State, Walker

_MAX_KEPT_STATES = 256


class TokenCosts:
    """For a state, the least tokens needed to finish after each token.

    The answer belongs to the state whatever the budget, so it is kept for the states that were
    asked for last: sequences of one grammar pass through the same ones.
    """

    def __init__(self, walker: Walker, vocabulary: Vocabulary) -> None:
        self._walker = walker
        self._vocabulary = vocabulary
        self._kept: OrderedDict[int, tuple[State, npt.NDArray[np.int32]]] = OrderedDict()

    def after(self, state: State) -> npt.NDArray[np.int32]:
        """int32 [vocabulary]: tokens still needed after each token, INFINITE for a token that
        the grammar forbids."""
        kept = self._kept.get(id(state))
        if kept is not None:
            self._kept.move_to_end(id(state))
            return kept[1]
        costs = self._walk_tokens(state)
        self._kept[id(state)] = (state, costs)
        if len(self._kept) > _MAX_KEPT_STATES:
            self._kept.popitem(last=False)
        return costs

    def _walk_tokens(self, state: State) -> npt.NDArray[np.int32]:
        """Walk every token, in the order of their bytes, keeping the states of the shared
        prefix; a forbidden prefix is never walked twice."""
        token_bytes, step = self._vocabulary.token_bytes, self._walker.step
        costs = np.full(len(token_bytes), INFINITE, dtype=np.int32)
        path: list[State | None] = [state]
        previous = b""
        for index in self._vocabulary.ordered:
            data = token_bytes[index]
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
            if here is not None:
                costs[index] = here.cost
        return costs
