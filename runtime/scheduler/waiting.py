"""The waiting queue: who comes next, by the policy and by age; used by the scheduler.

Each waiting sequence knows how many of its tokens are cached. It is looked up once, when it comes;
from then on the radix tree tells when it grows or shrinks, and only those whose tokens begin with
what changed are touched. So the order is right with ten thousand waiting as it is with ten.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left
from operator import attrgetter

from ..radix_cache.node import TOKEN_BYTES, Node, path_of
from ..radix_cache.order import Need
from ..radix_cache.tree import RadixCache
from .config import SchedulerConfig
from .dfs_weight import dfs_order
from .sequence import Sequence
from .wait_index import WaitIndex, num_shared

_arrival = attrgetter("arrival")
# Of more who need the same the first ones stand for all.
_MOST_CONCERNED = 32
# Ranks are sorted anew after so many comings and goings, as a share of those who wait.
_RANKS_SHARE = 32


class WaitingQueue:
    """Sequences that hold no slots. A retracted one returns to the place that its age gives it.

    With "lpm" the calls of a program wait together: the one with least to come after its calls goes
    first, of the same the one that began first, and then whoever has most cached. Nothing comes
    after a call that belongs to no program.

    A sequence is in the order, or set aside until the end of this step's admission, or parked until
    another one has computed what both begin with.

    Age: a sequence that finds q others waiting, whose programs have r calls to come, is due after
    2 * (q + r) + max_overtakes admissions. While one is due, the oldest of all goes first. As at
    most q are older, it is admitted as one of the next 3 * q + 2 * r + max_overtakes + 1 (retracted
    ones, which come back to their old places, apart). Without r programs would take turns after
    two calls each, and the short ones end as late as the long ones. Of one program no more than
    max_calls_after count, whatever it says.
    """

    def __init__(self, config: SchedulerConfig, cache: RadixCache) -> None:
        self.num_admitted = 0
        self.num_lookups = 0
        self._config = config
        self._cache = cache
        self._by_age: list[Sequence] = []
        self._index = WaitIndex()
        # Heaps whose entries may be out of date: valid is the one with the sequence's ticket.
        # Sequences have no order, so a number stands before each: one that has gone on with another
        # call has the arrival of the one before it, whose entries may still be there.
        self._numbers = itertools.count()
        self._order: list[tuple[tuple[int, ...], int, int, Sequence]] = []
        self._deadlines: list[tuple[int, int, int, Sequence]] = []
        self._set_aside: list[Sequence] = []
        self._programs: dict[int, set[Sequence]] = {}
        self._parked: dict[int, list[tuple[int, int, int, Sequence]]] = {}
        self._plan: list[Sequence] = []
        self._places: dict[int, int] = {}  # in the plan, the next one last
        self._num_unplanned = 0
        self._num_parked = 0
        self._num_calls_after = 0
        self._ranks: list[tuple[int, ...]] = []
        self._ranked_at = -1
        self._has_deadlines = config.policy in ("lpm", "dfs-weight")
        cache.listeners.append(self)
        cache.order.foresight = self.need_of

    def __len__(self) -> int:
        return len(self._by_age)

    def add(self, seq: Sequence) -> None:
        seq.prefix_bytes = seq.ids[: seq.num_tokens].tobytes()
        self.num_lookups += 1
        usable = seq.prefix_bytes[: seq.max_match * TOKEN_BYTES]
        seq.hit_estimate = self._cache.match_length(seq.namespace, usable)
        if self._has_deadlines:
            if seq.due_at is None:
                num_before = len(self) + self._num_calls_after
                seq.due_at = self.num_admitted + 2 * num_before + self._config.max_overtakes
            entry = seq.due_at, seq.arrival, next(self._numbers), seq
            heapq.heappush(self._deadlines, entry)
        if self._by_age and self._by_age[-1].arrival > seq.arrival:
            self._by_age.insert(bisect_left(self._by_age, seq.arrival, key=_arrival), seq)
        else:
            self._by_age.append(seq)
        seq.is_waiting = True
        self._num_calls_after += self._counted_calls(seq)
        self._index.add(seq)
        if seq.program:
            self._join(seq)
        self._enter(seq)

    def remove(self, seq: Sequence) -> None:
        del self._by_age[bisect_left(self._by_age, seq.arrival, key=_arrival)]
        self._index.remove(seq)
        seq.is_waiting = False
        self._num_calls_after -= self._counted_calls(seq)
        seq.ticket += 1
        self._num_parked -= seq.parked_on is not None
        seq.parked_on = None
        if seq.program:
            mates = self._programs[seq.program]
            mates.remove(seq)
            if not mates:
                del self._programs[seq.program]

    def admit(self, seq: Sequence) -> None:
        """Take out one that runs now."""
        self.remove(seq)
        self.num_admitted += 1

    # --- choosing ---------------------------------------------------------------------------

    def next(self) -> Sequence | None:
        """The one to try now, to be admitted, set aside or parked. None when there is no more."""
        if self.someone_is_due:
            return self._by_age[0]
        if self._config.policy == "dfs-weight":
            return self._next_planned()
        while self._order and self._order[0][1] != self._order[0][-1].ticket:
            heapq.heappop(self._order)
        return self._order[0][-1] if self._order else None

    @property
    def someone_is_due(self) -> bool:
        """True when nobody may go before the oldest."""
        while self._deadlines and not self._deadlines[0][-1].is_waiting:
            heapq.heappop(self._deadlines)
        return bool(self._deadlines) and self._deadlines[0][0] <= self.num_admitted

    def must_not_be_passed(self, seq: Sequence) -> bool:
        """True when nobody may be admitted before `seq` any more."""
        return self._config.policy == "fcfs" or self.someone_is_due

    def set_aside(self, seq: Sequence) -> None:
        """There is no room for it in this step."""
        seq.ticket += 1
        self._set_aside.append(seq)

    def end_of_step(self) -> None:
        """Those set aside may be tried again."""
        for seq in self._set_aside:
            if seq.is_waiting and seq.parked_on is None:
                self._enter(seq)
        self._set_aside.clear()

    def park(self, seq: Sequence, other: Sequence) -> None:
        """Let `seq` wait until `other`, which runs, has computed what both begin with."""
        seq.ticket += 1
        seq.parked_on = other
        self._num_parked += 1
        shared = num_shared(seq.prefix_bytes, other.prefix_bytes)
        length = min(shared, seq.max_match, other.num_tokens)
        entry = length, seq.arrival, next(self._numbers), seq
        heapq.heappush(self._parked.setdefault(other.sid, []), entry)

    def wake(self, other: Sequence, *, gone: bool = False) -> bool:
        """Bring back those for whom `other` has computed enough, all of them when it is `gone`."""
        heap = self._parked.get(other.sid)
        if heap is None:
            return False
        woken = False
        while heap and (gone or heap[0][0] <= other.num_computed):
            seq = heapq.heappop(heap)[-1]
            if seq.parked_on is other:
                seq.parked_on = None
                self._num_parked -= 1
                self._enter(seq)
                woken = True
        if not heap:
            del self._parked[other.sid]
        return woken

    def _counted_calls(self, seq: Sequence) -> int:
        return min(seq.calls_after, self._config.max_calls_after)

    def _join(self, seq: Sequence) -> None:
        """The newest call of a program knows best how much is to come; the others move with it."""
        mates = self._programs.setdefault(seq.program, set())
        other = next(iter(mates), seq)
        mates.add(seq)
        if other.tokens_after == seq.tokens_after:
            return
        newest = max(mates, key=_arrival)
        for mate in mates:
            if mate.tokens_after != newest.tokens_after:
                mate.tokens_after = newest.tokens_after
                self._reenter(mate)

    def _enter(self, seq: Sequence) -> None:
        self._num_unplanned += 1
        seq.ticket += 1
        heapq.heappush(self._order, (self._rank(seq), seq.ticket, next(self._numbers), seq))
        if len(self._order) > 64 + 4 * len(self._by_age):
            self._order = [entry for entry in self._order if entry[1] == entry[-1].ticket]
            heapq.heapify(self._order)

    def _rank(self, seq: Sequence) -> tuple[int, ...]:
        match self._config.policy:
            case "fcfs":
                return (seq.arrival,)
            case "priority":
                return (-seq.priority, seq.arrival)
            case _:
                after = int(seq.tokens_after)
                return (after, seq.program, -seq.hit_estimate, seq.arrival)

    def _next_planned(self) -> Sequence | None:
        """The next of a plan made for all that waited then; made anew when it is used up, or when
        many came since. A plan costs a few microseconds for each that waits."""
        if self._num_unplanned > 16 + len(self._plan) // 4:
            self._plan.clear()
        if not self._plan and len(self._by_age) > self._num_parked + len(self._set_aside):
            self._plan = dfs_order(self._cache, self._index)[::-1]
            self._places = {seq.sid: place for place, seq in enumerate(self._plan)}
            self._num_unplanned = 0
        while self._plan:
            seq = self._plan[-1]
            if seq.is_waiting and seq.parked_on is None and seq not in self._set_aside:
                return seq
            self._plan.pop()
        return None

    # --- what the tree asks and tells -------------------------------------------------------

    def need_of(self, leaf: Node) -> Need | None:
        """What those who wait are going to use of a leaf, and how soon, as the policy has it."""
        if not self._by_age:
            return None
        namespace, path = path_of(leaf)
        concerned = self._index.with_prefix(namespace, path[: (leaf.start + 1) * TOKEN_BYTES])
        if not concerned:
            return None
        uses: dict[int, float] = {}  # by how many tokens of the leaf
        for seq in concerned[:_MOST_CONCERNED]:
            end = min(num_shared(seq.prefix_bytes, path), seq.max_match)
            urgency = self._urgency(seq)
            uses[end] = max(urgency, uses.get(end, urgency))
        end, *others = sorted(uses, reverse=True)
        if end <= leaf.start:
            return None
        sooner = max(others, default=0)
        return Need(end - leaf.start, max(0, sooner - leaf.start), uses[end])

    def _urgency(self, seq: Sequence) -> float:
        match self._config.policy:
            case "lpm":
                return -self._num_turns_before(seq)
            case "dfs-weight":
                return self._places.get(seq.sid, 0)
            case _:
                return -seq.arrival

    def _num_turns_before(self, seq: Sequence) -> int:
        """After about how many admissions it is a sequence's turn with "lpm": by its rank, where
        half of the turns are due to age, or by its own age. Who asks is the order of eviction."""
        now = self.num_admitted + self.num_lookups
        if self._ranked_at < 0 or now - self._ranked_at > len(self) // _RANKS_SHARE:
            self._ranks = sorted(map(self._rank, self._by_age))
            self._ranked_at = now
        assert seq.due_at is not None  # with this policy
        by_rank = 2 * bisect_left(self._ranks, self._rank(seq))
        return min(by_rank, max(0, seq.due_at - self.num_admitted))

    def stored(self, namespace: str, tokens: bytes, start: int) -> None:
        """The tree holds all of `tokens` now, before it did the first `start`."""
        concerned = self._index.with_prefix(namespace, tokens[: (start + 1) * TOKEN_BYTES])
        if not concerned:
            return
        everything = len(tokens) // TOKEN_BYTES
        # In sorted order whoever stands between two that share something shares it, too.
        alike = num_shared(concerned[0].prefix_bytes, concerned[-1].prefix_bytes)
        all_alike = alike >= everything and concerned[0].prefix_bytes.startswith(tokens)
        for seq in concerned:
            shared = everything if all_alike else num_shared(seq.prefix_bytes, tokens)
            self._learn(seq, max(seq.hit_estimate, min(shared, seq.max_match)))

    def evicted(self, namespace: str, tokens: bytes, start: int) -> None:
        """Of `tokens` the tree holds only the first `start` any more."""
        for seq in self._index.with_prefix(namespace, tokens[: (start + 1) * TOKEN_BYTES]):
            self._learn(seq, min(seq.hit_estimate, start))

    def look_up_again(self) -> None:
        """The tree changed without telling."""
        for seq in self._by_age:
            self._learn(seq, self._cache.match_length(seq.namespace, seq.ids[: seq.max_match]))

    def _learn(self, seq: Sequence, hit_estimate: int) -> None:
        if hit_estimate == seq.hit_estimate:
            return
        seq.hit_estimate = hit_estimate
        self._reenter(seq)

    def _reenter(self, seq: Sequence) -> None:
        """What its rank depends on has changed."""
        is_ranked_by_it = self._config.policy == "lpm"
        if is_ranked_by_it and seq.parked_on is None and seq not in self._set_aside:
            self._enter(seq)
