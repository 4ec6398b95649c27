"""Runs a language byte by byte; used by the matcher for what a token mask cannot tell.

A state is the set of places in the grammar where the text so far may have arrived, each with a
stack of what must follow and the number of tokens that this takes at least to complete. That
answers three questions: how many tokens are needed to finish, which bytes are forced, and how
often a counted repetition may still repeat. It is also the slow reference for the masks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import RequestError
from .charset import utf8_sequences
from .ebnf import counted_by_walker
from .expr import Alt, Chars, Expr, Language, Lit, Ref, Repeat, Seq
from .vocabulary import INFINITE, Vocabulary

# Grammars that recurse or count have no end of states; beyond this many they are forgotten.
_MAX_KEPT = 50_000
# So many places at once are read by no grammar that is meant to be: each doubles the next.
_MAX_FRAMES = 25_000
_MAX_FORCED = 512
_FREE = 1 << 30
_NODE_BYTES, _FRAME_BYTES, _STATE_BYTES = 300, 350, 1_200


class Node:
    """A grammar expression over bytes, with the least tokens that it takes."""

    __slots__ = ("cost", "counted", "data", "high", "items", "kind", "low", "suffix_costs")

    def __init__(self, kind: str) -> None:
        self.kind = kind  # "bytes", "set", "seq", "alt" or "repeat"
        self.cost = INFINITE
        self.items: tuple[Node, ...] = ()
        self.data = b""  # "bytes": the text; "set": the members
        self.suffix_costs: list[int] = []
        self.low = 0
        self.high: int | None = None
        self.counted = False


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A node that comes next, and what follows it. For "bytes", `low` is the position; for
    "repeat", `low` and `high` are the counts that are left.

    cost: least tokens from here to the end. slack: least number of times that a repetition
    counted here may still repeat, among those on the stack.
    """

    node: Node
    low: int
    high: int | None
    following: Frame | None
    cost: int
    slack: int


class State:
    """Where the text may have arrived. Compared by identity."""

    __slots__ = ("_next", "accepting", "cost", "frames", "slack")

    def __init__(self, frames: tuple[Frame, ...], accepting: bool, slack: int) -> None:
        self.frames = frames  # each is at a byte or a set of bytes
        self.accepting = accepting
        self.cost = 0 if accepting else min((frame.cost for frame in frames), default=INFINITE)
        self.slack = min([slack, *(frame.slack for frame in frames)])
        self._next: dict[int, State | None] = {}


class Walker:
    """The states of one language. Shared by its matchers; states are built as they are met."""

    def __init__(self, language: Language, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._nodes: list[Node] = []
        self._compiled: dict[int, Node] = {}
        self._rules = {name: self._node("alt") for name in language.rules}
        for name, body in language.rules.items():
            self._rules[name].items = (self._compile(body),)
        self._root = self._compile(language.root)
        self._settle_costs()
        self._dead = {id(node) for node in self._nodes if node.cost >= INFINITE}
        self.most = self._most()
        """At any point of any text, at most this many tokens are needed to finish."""
        self._frames: dict[tuple[int, int, int | None, int], Frame] = {}
        self._states: dict[tuple[frozenset[int], bool, int], State] = {}
        self.start = self._close([self._frame(self._root, None)])

    # --- building -----------------------------------------------------------------------------

    def _node(self, kind: str, *items: Node) -> Node:
        node = Node(kind)
        node.items = items
        self._nodes.append(node)
        return node

    def _compile(self, expr: Expr) -> Node:
        known = self._compiled.get(id(expr))
        if known is not None:
            return known
        match expr:
            case Lit(data):
                node = self._node("bytes")
                node.data = data
                node.suffix_costs = self._vocabulary.suffix_costs(data)
            case Chars(charset):
                options = [
                    self._node("seq", *(self._byte_set(low, high) for low, high in sequence))
                    for sequence in utf8_sequences(charset)
                ]
                node = self._node("alt", *options)
            case Seq(items):
                node = self._node("seq", *map(self._compile, items))
            case Alt(items):
                node = self._node("alt", *map(self._compile, items))
            case Ref(name):
                node = self._rules[name]
            case Repeat(item, low, high):
                node = self._node("repeat", self._compile(item))
                node.low, node.high = low, high
                node.counted = counted_by_walker(expr)
        self._compiled[id(expr)] = node
        return node

    def _byte_set(self, low: int, high: int) -> Node:
        node = self._node("set")
        node.data = bytes(range(low, high + 1))
        return node

    def _settle_costs(self) -> None:
        """Least tokens of every node. Rules may refer to each other in circles, so a node is
        computed again whenever something inside it became cheaper."""
        parents: dict[int, list[int]] = {}
        for place, node in enumerate(self._nodes):
            for item in node.items:
                parents.setdefault(id(item), []).append(place)
        # Each at most once: of ten thousand alternatives, every one would bring its parent along.
        pending = deque(range(len(self._nodes)))
        waits = [True] * len(self._nodes)
        while pending:
            place = pending.popleft()
            waits[place] = False
            node = self._nodes[place]
            cost = min(self._cost(node), INFINITE)
            if cost < node.cost:
                node.cost = cost
                for parent in parents.get(id(node), []):
                    if not waits[parent]:
                        waits[parent] = True
                        pending.append(parent)

    def _cost(self, node: Node) -> int:
        if node.kind == "bytes":
            return node.suffix_costs[0]
        if node.kind == "set":
            single = any(self._vocabulary.has_byte(byte) for byte in node.data)
            return 1 if single else INFINITE - 1
        if node.kind == "seq":
            return sum(item.cost for item in node.items)
        if node.kind == "alt":
            return min((item.cost for item in node.items), default=INFINITE)
        return node.low * node.items[0].cost

    def _most(self) -> int:
        """Most tokens that the rest of a text can need, from any place in it; INFINITE where
        nodes nest without end."""
        found: dict[int, int] = {}
        pending = [self._root]
        while pending:
            node = pending[-1]
            if id(node) not in found:
                found[id(node)] = INFINITE  # what a node that contains itself meets
                pending += [item for item in node.items if id(item) not in found]
            else:
                pending.pop()
                found[id(node)] = self._most_within(node, found)
        return min(found[id(self._root)], INFINITE)

    def _most_within(self, node: Node, found: dict[int, int]) -> int:
        if node.kind == "bytes":
            return max(node.suffix_costs)
        if node.kind == "seq":
            most = after = 0
            for item in reversed(node.items):
                most = max(most, found[id(item)] + after)
                after += item.cost
            return most
        alive = [item for item in node.items if item.cost < INFINITE]
        if node.kind == "alt":
            return max((found[id(item)] for item in alive), default=0)
        if node.kind == "repeat" and alive:
            item = alive[0]
            return max(found[id(item)], item.cost) + max(node.low - 1, 0) * item.cost
        return min(node.cost, INFINITE) if node.kind == "set" else 0

    @property
    def num_bytes(self) -> int:
        """Memory that it holds, by what its parts take on average."""
        return (
            _NODE_BYTES * len(self._nodes)
            + _FRAME_BYTES * len(self._frames)
            + _STATE_BYTES * len(self._states)
        )

    def alive(self, expr: Expr) -> bool:
        """Whether anything matches this part of the language."""
        return self._compiled[id(expr)].cost < INFINITE

    # --- walking ------------------------------------------------------------------------------

    def step(self, state: State, byte: int) -> State | None:
        """The state after one more byte; None where the byte is not allowed."""
        try:
            return state._next[byte]
        except KeyError:
            pass
        arrived: list[Frame | None] = []
        for frame in state.frames:
            node = frame.node
            if node.kind == "set":
                if node.data[0] <= byte <= node.data[-1]:
                    arrived.append(frame.following)
            elif node.data[frame.low] == byte:
                position = frame.low + 1
                if position < len(node.data):
                    arrived.append(self._make(node, position, None, frame.following))
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
        seen: set[int] = set()
        while len(forced) < _MAX_FORCED and not state.accepting and id(state) not in seen:
            seen.add(id(state))
            options = {
                frame.node.data[frame.low]
                if frame.node.kind == "bytes"
                else frame.node.data[0]
                if len(frame.node.data) == 1
                else -1
                for frame in state.frames
            }
            if len(options) != 1 or -1 in options:
                break
            forced.append(options.pop())
            following = self.step(state, forced[-1])
            if following is None:
                break
            state = following
        return bytes(forced)

    def _frame(self, node: Node, following: Frame | None) -> Frame:
        if node.kind == "repeat":
            return self._make(node, node.low, node.high, following)
        return self._make(node, 0, None, following)

    def _make(self, node: Node, low: int, high: int | None, following: Frame | None) -> Frame:
        key = (id(node), low, high, id(following))
        frame = self._frames.get(key)
        if frame is None:
            if node.kind == "bytes":
                own = node.suffix_costs[low]
            elif node.kind == "repeat":
                own = low * node.items[0].cost
            else:
                own = node.cost
            slack = _FREE if following is None else following.slack
            if node.counted and high is not None:
                slack = min(slack, high)
            cost = own + (following.cost if following is not None else 0)
            frame = Frame(node, low, high, following, min(cost, INFINITE), slack)
            if len(self._frames) > _MAX_KEPT:
                self._frames.clear()
                self._states.clear()
            self._frames[key] = frame
        return frame

    def _close(self, arrived: list[Frame | None]) -> State:
        """Go down to the bytes: replace each frame by those that can take the next byte."""
        leaves: dict[int, Frame] = {}
        seen: set[int] = set()
        accepting = False
        slack = _FREE
        pending = list(arrived)
        while pending:
            frame = pending.pop()
            if frame is None:
                accepting = True
                continue
            if id(frame) in seen:
                continue
            seen.add(id(frame))
            node, following = frame.node, frame.following
            if id(node) in self._dead:
                continue
            if node.kind == "set" or (node.kind == "bytes" and node.data):
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
                for item in reversed(node.items):
                    following = self._frame(item, following)
                pending.append(following)
            elif node.kind == "alt":
                pending += [self._frame(item, following) for item in node.items]
            else:
                slack = min(slack, frame.slack)
                if frame.low == 0:
                    pending.append(following)
                if frame.high is None or frame.high > 0:
                    high = None if frame.high is None else frame.high - 1
                    again = self._make(node, max(frame.low - 1, 0), high, following)
                    pending.append(self._frame(node.items[0], again))
        key = (frozenset(leaves), accepting, slack)
        state = self._states.get(key)
        if state is None:
            state = State(tuple(leaves.values()), accepting, slack)
            self._states[key] = state
        return state
