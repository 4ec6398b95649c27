"""Items of which no two are spelled alike: what a place in such a row remembers, and what it takes
to complete it. Used by walker.py; src/distinct.h is the same for masks.

An item is read by the states of its own language, and its text is kept beside them. Where that text
begins like items that are there, what completes it may be forbidden, and so may be what leaves no
other way: the language of an item may be finite.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from .vocabulary import INFINITE

if TYPE_CHECKING:
    from .nodes import Node
    from .walker import Frame, State, Walker

# Shortest items are looked for in so many steps.
_MAX_TRIED = 200_000


class Writing(NamedTuple):
    """seen: the items before. item: within an item, the place in its language, which `text` led to;
    otherwise None, and an item was completed (`done`) or must begin."""

    seen: frozenset[bytes] = frozenset()
    text: bytes = b""
    item: State | None = None
    done: bool = False


class _Part(NamedTuple):
    """A node as the graph of a walker."""

    root: Node
    most: int = INFINITE
    num_bytes: int = 0


def cost_of_any(node: Node) -> int:
    """So many tokens suffice for one more item, whichever others were written, as long as more are
    required: the bytes of the longest of as many shortest items. INFINITE where there are fewer."""
    from .walker import Walker  # which reads nodes, and they come here

    walker = Walker.over(_Part(node.parts()[0]))
    order = count()
    heap = [(walker.start.cost, next(order), b"", walker.start)]
    tried = found = 0
    while heap and tried <= _MAX_TRIED:
        _, _, text, state = heapq.heappop(heap)
        if state.accepting:
            found += 1
            if found == node.low:
                return len(text)
        allowed = {byte for low, high in ranges(state) for byte in range(low, high + 1)}
        steps = [(walker.step(state, byte), byte) for byte in node.data if byte in allowed]
        tried += 1 + len(steps)
        ways = [(after.cost, byte, after) for after, byte in steps if after is not None]
        # As many as there must be items, those that are soonest completed.
        for cost, byte, after in heapq.nsmallest(node.low + 1, ways, key=itemgetter(0)):
            if cost < INFINITE:
                heapq.heappush(
                    heap, (len(text) + 1 + cost, next(order), text + bytes([byte]), after)
                )
    return INFINITE


def frame_cost(walker: Walker, node: Node, low: int, writing: Writing) -> int:
    """Least tokens of the item at hand and those that must follow; `low`: so many must be written
    from here on, this one included."""
    item, between = node.parts()
    more = between.cost + node.suffix_costs[0]
    if writing.done:
        return low * more
    if writing.item is None and not writing.seen:
        own = item.cost  # what stands before any item is not opened: it may contain itself
    else:
        state = writing.item or walker.beginning(item)
        own = _completion(walker, node, state, writing, thorough=low > 0)
    return own + (low - 1) * more if low > 1 else own


def _completion(walker: Walker, node: Node, state: State, writing: Writing, thorough: bool) -> int:
    """Tokens that complete the item as none before it: at least so many where `thorough`, enough
    otherwise. By single bytes as far as its text goes along with others."""
    seen, text = writing.seen, writing.text
    spent, best = 0, INFINITE
    while True:
        if state.accepting and text not in seen:
            return min(best, spent)
        ahead = {one[len(text)] for one in seen if len(one) > len(text) and one.startswith(text)}
        if not ahead and not state.accepting:
            return min(best, spent + state.cost)
        for low, high in ranges(state):
            byte = next((b for b in node.data if low <= b <= high and b not in ahead), None)
            after = None if byte is None else walker.step(state, byte)
            if after is not None:
                best = min(best, spent + 1 + after.cost)
        if best < INFINITE and not thorough:
            return best
        ways = [(byte, walker.step(state, byte)) for byte in sorted(ahead) if byte in node.data]
        open_ways = [(byte, after) for byte, after in ways if after is not None]
        if len(open_ways) != 1:
            for byte, after in open_ways:
                rest = writing._replace(text=text + bytes([byte]))
                found = spent + 1 + _completion(walker, node, after, rest, thorough)
                best = min(best, found)
            return best
        byte, state = open_ways[0]
        text += bytes([byte])
        spent += 1


def ranges(state: State) -> Iterator[tuple[int, int]]:
    """The bytes that may follow, as ranges."""
    for frame in state.frames:
        node, writing = frame.node, frame.writing
        if writing is not None and writing.item is not None:
            yield from ranges(writing.item)
        elif node.words is not None and node.high is not None:
            yield from (
                (b, b) for b in range(256) if node.words.has(node.depth, node.low, node.high, b)
            )
        elif node.kind == "set":
            yield node.data[0], node.data[-1]
        else:
            yield node.data[frame.low], node.data[frame.low]


def arrivals(walker: Walker, frame: Frame, byte: int) -> Iterator[Frame]:
    """Where a byte leads from within an item."""
    node, low, high, writing = frame.node, frame.low, frame.high, frame.writing
    assert writing is not None
    assert writing.item is not None
    assert high is not None
    state = walker.step(writing.item, byte)
    if state is None:
        return
    text = writing.text + bytes([byte])
    if state.accepting and text not in writing.seen:
        done = Writing(writing.seen | {text}, done=True)
        yield walker.place(node, max(low - 1, 0), high - 1, frame.following, done)
    if state.frames:
        within = walker.place(node, low, high, frame.following, Writing(writing.seen, text, state))
        # What only leads to items that are there leads nowhere.
        if within.cost < INFINITE or not any(one.startswith(text) for one in writing.seen):
            yield within


def openings(walker: Walker, frame: Frame) -> Iterator[Frame | None]:
    """What may come before or behind an item."""
    node, low, high, writing = frame.node, frame.low, frame.high, frame.writing
    assert writing is not None
    assert high is not None
    item, between = node.parts()
    if not writing.done:
        start = Writing(writing.seen, b"", walker.beginning(item))
        within = walker.place(node, low, high, frame.following, start)
        if within.cost < INFINITE or not writing.seen:
            yield within
        return
    if low == 0:
        yield frame.following
    if high > 0:
        again = walker.place(node, low, high, frame.following, Writing(writing.seen))
        if again.cost < INFINITE:
            yield walker.entered(between, again)
