"""Sessions and pins: prefixes that programs will come back to, and prefixes held on request.

Used by the engine core. Neither blocks a slot: what a session keeps goes after what nobody keeps,
and what is pinned goes last. So no lease can stop a request that runs.
"""

from __future__ import annotations

import heapq
import itertools
import math
import secrets
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..errors import RequestError
from ..radix_cache.node import Node, TokenIds
from ..radix_cache.tree import RadixCache
from .programs import ProgramTable


@dataclass(slots=True, eq=False)
class _Lease:
    """A claim on the path to `node`, until `until_s` on the cache's clock. program: whose it is."""

    key: int
    node: Node
    num_tokens: int
    ttl_s: float
    until_s: float
    is_pin: bool
    program: int = 0


class LeaseTable:
    """Sessions by their number and pins by theirs. Time is the cache's clock.

    max_pinned: tokens that pins may hold together.
    """

    def __init__(self, cache: RadixCache, max_pinned: int) -> None:
        self.max_pinned = max_pinned
        self.programs = ProgramTable()
        self._cache = cache
        self._sessions: dict[int, _Lease] = {}
        self._pins: dict[int, _Lease] = {}
        # Sequences of a session that wait or run; while there are any its time does not run out.
        # A session that is released and begins again counts those of its first life, too.
        self._num_running: Counter[int] = Counter()
        # (when, order, lease): what was renewed since is put back when its turn comes.
        self._endings: list[tuple[float, int, _Lease]] = []
        self._order = itertools.count()

    @property
    def num_sessions(self) -> int:
        return len(self._sessions)

    @property
    def num_pinned(self) -> int:
        """Tokens under pins; those that two pins share count twice."""
        return sum(pin.num_tokens for pin in self._pins.values())

    def stats(self) -> dict[str, float]:
        """What there is of both now."""
        return {"sessions": self.num_sessions, "pinned_tokens": self.num_pinned}

    # --- sessions -----------------------------------------------------------------------------

    def begin(self, session: int, program: int, namespace: str, ttl_s: float) -> None:
        """A sequence of this session arrived: the session lives on, or begins as one of those that
        the program has."""
        lease = self._sessions.get(session)
        if lease is None:
            node = self._cache.match_prefix(namespace, np.empty(0, np.int32)).node
            lease = self._add(_Lease(session, node, 0, ttl_s, 0.0, is_pin=False, program=program))
            self.programs.hold(program)
        self._num_running[session] += 1
        self._renew(lease, ttl_s)

    def end(self, session: int, namespace: str, tokens: TokenIds, *, last: bool) -> None:
        """A sequence of this session is over and left `tokens` in the tree. With `last` nobody
        will come back, and the session ends."""
        self._num_running[session] -= 1
        if not self._num_running[session]:
            del self._num_running[session]
        lease = self._sessions.get(session)
        if lease is None:
            return
        match = self._cache.match_prefix(namespace, tokens)
        self._move(lease, match.node, len(match.slots))
        self._renew(lease, lease.ttl_s)
        if last and session not in self._num_running:
            self.release(session)

    def release(self, session: int) -> bool:
        """End a session, and let what only its program used go next; False when there is none of
        this number."""
        lease = self._sessions.pop(session, None)
        if lease is None:
            return False
        self._cache.unkeep(lease.node)
        self._cache.hasten(lease.node)
        self.programs.let_go(lease.program)
        return True

    # --- pins ---------------------------------------------------------------------------------

    def pin(self, namespace: str, tokens: TokenIds, ttl_s: float) -> tuple[int, int]:
        """Pin what is cached of `tokens`. Its number, for `unpin`, and how many tokens that are.

        Raises RequestError when pins would hold more than they may.
        """
        length = self._cache.match_length(namespace, tokens)
        if self.num_pinned + length > self.max_pinned:
            raise RequestError(
                "overloaded",
                f"{self.num_pinned} tokens are pinned and {length} more would be over the limit "
                f"of {self.max_pinned}; unpin something, or wait until a pin ends",
            )
        match = self._cache.match_prefix(namespace, tokens)
        # Whoever knows a pin's number may end it: nobody can guess one.
        key = 1 + secrets.randbits(53 - 1)
        pin = _Lease(key, match.node, length, ttl_s, 0.0, is_pin=True)
        self._renew(self._add(pin), ttl_s)
        return pin.key, length

    def unpin(self, key: int) -> bool:
        """End a pin; False when there is none of this number."""
        pin = self._pins.pop(key, None)
        if pin is None:
            return False
        self._cache.unpin(pin.node)
        return True

    # --- time ---------------------------------------------------------------------------------

    def expire(self) -> int:
        """End what is over; how many that were. Costs nothing while nothing is."""
        num_ended = 0
        now_s = self._cache.clock()
        while self._endings and self._endings[0][0] <= now_s:
            _, _, lease = heapq.heappop(self._endings)
            table = self._pins if lease.is_pin else self._sessions
            if table.get(lease.key) is not lease:
                continue
            is_running = not lease.is_pin and lease.key in self._num_running
            if is_running or lease.until_s > now_s:
                until_s = max(lease.until_s, now_s + lease.ttl_s if is_running else 0.0)
                heapq.heappush(self._endings, (until_s, next(self._order), lease))
                continue
            num_ended += self.unpin(lease.key) if lease.is_pin else self.release(lease.key)
        return num_ended

    def claim_again(self) -> None:
        """The tree forgot all claims (a repair, or it was loaded anew): make them again."""
        for lease in [*self._sessions.values(), *self._pins.values()]:
            self._claim(lease)

    def _add(self, lease: _Lease) -> _Lease:
        (self._pins if lease.is_pin else self._sessions)[lease.key] = lease
        self._claim(lease)
        return lease

    def _claim(self, lease: _Lease) -> None:
        if lease.is_pin:
            self._cache.pin(lease.node)
        else:
            self._cache.keep(lease.node)

    def _move(self, lease: _Lease, node: Node, num_tokens: int) -> None:
        before = lease.node
        lease.node, lease.num_tokens = node, num_tokens
        self._cache.keep(node)
        self._cache.unkeep(before)

    def _renew(self, lease: _Lease, ttl_s: float) -> None:
        is_new = lease.until_s == 0.0
        lease.ttl_s = ttl_s
        lease.until_s = self._cache.clock() + ttl_s
        if is_new and lease.until_s < math.inf:
            heapq.heappush(self._endings, (lease.until_s, next(self._order), lease))
