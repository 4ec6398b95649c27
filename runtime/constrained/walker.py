"""Runs a language byte by byte; used by the matcher for what a token mask cannot tell.

A state is the set of places in the grammar where the text so far may have arrived, each with a
stack of what must follow and the number of tokens that this takes at least to complete. That
answers three questions: how many tokens are needed to finish, which bytes are forced, and how
often a counted repetition may still repeat. It is also the slow reference for the masks.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ..errors import RequestError
from . import distinct
from .distinct import Writing
from .expr import Language
from .nodes import Node, NodeGraph, node_of_words
from .vocabulary import INFINITE, Vocabulary

# Grammars that recurse or count have no end of states; beyond this many they are forgotten.
_MAX_KEPT = 50_000
# So many places at once are read by no grammar that is meant to be: each doubles the next.
_MAX_FRAMES = 25_000
MAX_FORCED = 512
_FREE = 1 << 30
_FRAME_BYTES, _STATE_BYTES, _CLOSED_BYTES = 350, 1_200, 350


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A node that comes next, and what follows it. For "bytes", `low` is the position; for
    "repeat", `low` and `high` are the counts that are left.

    cost: least tokens from here to the end. slack: least number of times that a repetition
    counted here may still repeat, among those on the stack.
    others: of a frame that stands for several, those (None: the end of the text).
    writing: in a row of items that all differ, what is written of it; `low` and `high` are the
    items that are left.
    """

    node: Node
    low: int
    high: int | None
    following: Frame | None
    cost: int
    slack: int
    others: tuple[Frame | None, ...] = ()
    writing: Writing | None = None


_SEVERAL = Node("several")
_LEAVES = ("set", "words", "distinct")


class Graph(Protocol):
    """What a walker walks on, as of `NodeGraph`."""

    @property
    def root(self) -> Node: ...
    @property
    def most(self) -> int: ...
    @property
    def num_bytes(self) -> int: ...


class State:
    """Where the text may have arrived. Compared by identity."""

    __slots__ = ("_next", "accepting", "cost", "frames", "slack")

    def __init__(self, frames: tuple[Frame, ...], accepting: bool, slack: int) -> None:
        self.frames = frames  # each is at a byte or a set of bytes
        self.accepting = accepting
        self.cost = 0 if accepting else min((frame.cost for frame in frames), default=INFINITE)
        self.slack = min([slack, *(frame.slack for frame in frames)])
        self._next: dict[int, State | None] = {}


_States = dict[tuple[frozenset[int], bool, int], State]


class Walker:
    """The states of one language. Shared by its matchers; states are built as they are met."""

    def __init__(self, language: Language, vocabulary: Vocabulary) -> None:
        self._begin(NodeGraph(language, vocabulary))

    @classmethod
    def over(cls, graph: Graph) -> Walker:
        """The walker of a language whose nodes are there."""
        walker = cls.__new__(cls)
        walker._begin(graph)
        return walker

    def _begin(self, graph: Graph) -> None:
        self._graph = graph
        self.most = graph.most
        """At any point of any text, at most this many tokens are needed to finish."""
        self._frames: dict[tuple[int, int, int | None, int, Writing | None], Frame] = {}
        self._beginnings: dict[int, State] = {}
        self._states: _States = {}
        self._closed: dict[tuple[Frame | None, ...], State] = {}
        self._several: dict[frozenset[int], tuple[Frame | None, tuple[Frame | None, ...]]] = {}
        self.start = self._close([self.entered(graph.root, None)])
        weakref.finalize(self, _part, self._states).atexit = False

    @property
    def num_bytes(self) -> int:
        """Memory that it holds, by what its parts take on average."""
        return (
            self._graph.num_bytes
            + _FRAME_BYTES * len(self._frames)
            + _STATE_BYTES * len(self._states)
            + _CLOSED_BYTES * len(self._closed)
        )

    def step(self, state: State, byte: int) -> State | None:
        """The state after one more byte; None where the byte is not allowed."""
        try:
            return state._next[byte]
        except KeyError:
            pass
        arrived: list[Frame | None] = []
        for frame in state.frames:
            node = frame.node
            if frame.writing is not None:
                arrived += distinct.arrivals(self, frame, byte)
            elif node.kind == "set":
                if node.data[0] <= byte <= node.data[-1]:
                    arrived.append(frame.following)
            elif node.words is not None and node.high is not None:
                low, high, ends = node.words.after(node.depth, node.low, node.high, byte)
                if ends:
                    arrived.append(frame.following)
                if low < high:
                    rest = node_of_words(node.words, node.depth + 1, low, high)
                    position = 0 if rest.words is not None else node.depth + 1
                    arrived.append(self.place(rest, position, None, frame.following))
            elif node.data[frame.low] == byte:
                position = frame.low + 1
                if position < len(node.data):
                    arrived.append(self.place(node, position, None, frame.following))
                else:
                    arrived.append(frame.following)
        following = self._close(arrived) if arrived else None
        state._next[byte] = following
        return following

    def walk(self, state: State | None, data: Iterable[int]) -> State | None:
        """The state after several bytes."""
        for byte in data:
            if state is None:
                return None
            state = self.step(state, byte)
        return state

    def forced(self, state: State) -> bytes:
        """The bytes that must follow, as far as there is no choice and the text is not complete;
        no more of them than take a millisecond."""
        forced = bytearray()
        seen: set[State] = set()
        while len(forced) < MAX_FORCED and not state.accepting and state not in seen:
            seen.add(state)
            options = {_only_byte(frame) for frame in state.frames}
            if len(options) != 1 or -1 in options:
                break
            forced.append(options.pop())
            following = self.step(state, forced[-1])
            if following is None:
                break
            state = following
        return bytes(forced)

    def cost(self, state: State) -> int:
        """Least tokens from there to the end."""
        return state.cost

    def ends(self, state: State) -> bool:
        """Whether the text is complete and nothing can follow."""
        return state.accepting and not state.frames

    def beginning(self, node: Node) -> State:
        """The state before a text of one node, which is all that is read."""
        if id(node) not in self._beginnings:
            self._beginnings[id(node)] = self._close([self.entered(node, None)])
        return self._beginnings[id(node)]

    def entered(self, node: Node, following: Frame | None) -> Frame:
        """The frame of a node that comes next."""
        if node.kind == "repeat":
            return self.place(node, node.low, node.high, following)
        if node.kind == "distinct":
            return self.place(node, node.low, node.high, following, Writing())
        return self.place(node, 0, None, following)

    def place(
        self,
        node: Node,
        low: int,
        high: int | None,
        following: Frame | None,
        writing: Writing | None = None,
    ) -> Frame:
        """The frame of these parts, each made once."""
        key = (id(node), low, high, id(following), writing)
        frame = self._frames.get(key)
        if frame is None:
            if node.kind == "bytes":
                own = node.suffix_costs[low]
            elif node.kind == "repeat":
                own = low * node.parts()[0].cost
            elif writing is not None:
                own = distinct.frame_cost(self, node, low, writing)
            else:
                own = node.cost
            slack = _FREE if following is None else following.slack
            if node.counted and high is not None:
                slack = min(slack, high)
            cost = own + (following.cost if following is not None else 0)
            frame = Frame(node, low, high, following, min(cost, INFINITE), slack, (), writing)
            if len(self._frames) > _MAX_KEPT:
                self._forget()
            self._frames[key] = frame
        return frame

    def _forget(self) -> None:
        _part(self._states)
        self._frames.clear()
        self._several.clear()
        self._states.clear()
        self._closed.clear()
        self._beginnings.clear()

    def _close(self, arrived: list[Frame | None]) -> State:
        """`_opened`, found once for all bytes that lead to the same frames, as most do of those of
        which a text consists."""
        key = tuple(arrived)
        state = self._closed.get(key)
        if state is None:
            state = self._closed[key] = self._opened(arrived)
        return state

    def _opened(self, arrived: list[Frame | None]) -> State:
        """Go down to the bytes: replace each frame by those that can take the next byte."""
        leaves: dict[int, Frame] = {}
        # Not by their ids: frames that are forgotten meanwhile leave theirs to new ones.
        seen: set[Frame] = set()
        accepting = False
        slack = _FREE
        pending = list(arrived)
        while pending:
            frame = pending.pop()
            if frame is None:
                accepting = True
                continue
            if frame in seen:
                continue
            seen.add(frame)
            node, following = frame.node, frame.following
            if frame.others:
                pending += frame.others
                continue
            # In the middle of a token there may be no way to spell the rest of any word.
            if node.cost >= INFINITE and node.words is None:
                continue
            if frame.writing is not None and frame.writing.item is None:
                pending += distinct.openings(self, frame)
            elif node.kind in _LEAVES or (node.kind == "bytes" and node.data):
                leaves[id(frame)] = frame
                if len(leaves) > _MAX_FRAMES:
                    raise RequestError(
                        "grammar",
                        f"the output can be read in over {_MAX_FRAMES} ways at once; make the "
                        "grammar less ambiguous",
                    )
            elif node.kind == "bytes":
                pending.append(following)
            elif node.kind == "seq":
                for item in reversed(node.parts()):
                    following = self.entered(item, following)
                pending.append(following)
            elif node.kind == "alt":
                pending += [self.entered(item, following) for item in node.parts()]
            else:
                slack = min(slack, frame.slack)
                if frame.low == 0:
                    pending.append(following)
                if frame.high is None or frame.high > 0:
                    high = None if frame.high is None else frame.high - 1
                    again = self.place(node, max(frame.low - 1, 0), high, following)
                    pending.append(self.entered(node.parts()[0], again))
        frames = self._joined(leaves.values())
        key = (frozenset(map(id, frames)), accepting, slack)
        state = self._states.get(key)
        if state is None:
            state = State(frames, accepting, slack)
            self._states[key] = state
        return state

    def _joined(self, frames: Iterable[Frame]) -> tuple[Frame, ...]:
        """Frames with those that differ only in what follows as one: of two ways to have come to a
        place the rest is read once, and the number of ways does not double with each of them."""
        places: dict[tuple[int, int, int | None, Writing | None], list[Frame]] = {}
        for frame in frames:
            key = (id(frame.node), frame.low, frame.high, frame.writing)
            places.setdefault(key, []).append(frame)
        return tuple(
            alike[0]
            if len(alike) == 1
            else self.place(
                alike[0].node,
                alike[0].low,
                alike[0].high,
                self._either([frame.following for frame in alike]),
                alike[0].writing,
            )
            for alike in places.values()
        )

    def _either(self, frames: list[Frame | None]) -> Frame | None:
        """One frame for several that may follow; None only where all are the end."""
        flat: dict[int, Frame | None] = {}
        for frame in frames:
            for part in frame.others if frame is not None and frame.others else (frame,):
                flat[id(part)] = part
        if len(flat) == 1:
            return next(iter(flat.values()))
        key = frozenset(flat)
        if key not in self._several:
            parts: list[Frame | None] = [*self._joined(part for part in flat.values() if part)]
            ends = None in flat.values()
            if ends:
                parts.append(None)
            cost = min(0 if part is None else part.cost for part in parts)
            slack = min(_FREE if part is None else part.slack for part in parts)
            made = parts[0]
            if len(parts) > 1:
                made = Frame(_SEVERAL, 0, None, None, cost, slack, tuple(parts))
            # With what it is made of, whose ids would be given to others once they are gone.
            self._several[key] = (made, tuple(flat.values()))
        return self._several[key][0]


def _part(states: _States) -> None:
    """Let states that lead to each other in circles go, not only at a collection of garbage."""
    for state in states.values():
        state._next.clear()


def _only_byte(frame: Frame) -> int:
    """The byte that must come at a place; -1 where there are several."""
    node = frame.node
    if frame.writing is not None and frame.writing.item is not None:
        within = {_only_byte(one) for one in frame.writing.item.frames}
        return within.pop() if len(within) == 1 else -1
    if node.kind == "bytes":
        return node.data[frame.low]
    if node.words is not None and node.high is not None:
        return node.words.next_byte(node.depth, node.low, node.high)
    return node.data[0] if len(node.data) == 1 else -1
