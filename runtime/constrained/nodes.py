"""A language as nodes over bytes, with the least tokens that each takes; walked by walker.py.

Building them takes Python a while, so it is done in a process of its own where there is one
(shaping.py). They cross as bytes, and a node is read from those when a walk first meets it: what is
left to the engine's process does not grow with the grammar.
"""

from __future__ import annotations

import weakref
from array import array
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np

from .charset import CharSet, utf8_sequences
from .distinct import cost_of_any
from .ebnf import counted_by_walker
from .expr import Alt, Chars, Distinct, Expr, Language, Lit, Ref, Repeat, Seq
from .vocabulary import INFINITE, Vocabulary
from .words import Words

_NODE_BYTES = 300
# Fewer texts are as quickly looked at one by one.
_MANY = 16


class Node:
    """A grammar expression over bytes, with the least tokens that it takes."""

    __slots__ = (
        *("cost", "counted", "data", "depth", "high", "items", "kind", "low", "place"),
        *("suffix_costs", "unread", "words"),
    )

    def __init__(self, kind: str) -> None:
        # "bytes", "set", "seq", "alt", "repeat", "words" or "distinct" (see distinct.py)
        self.kind = kind
        self.place = 0  # in the graph
        self.cost = INFINITE
        self.items: tuple[Node, ...] = ()
        self.unread: Callable[[], tuple[Node, ...]] | None = None
        # "bytes": the text; "set": the members; "distinct": the bytes that are tokens
        self.data = b""
        self.suffix_costs: list[int] = []
        self.low = 0
        self.high: int | None = None
        self.counted = False
        # "words": those from `low` to `high` (without), from position `depth` on.
        self.words: Words | None = None
        self.depth = 0

    def parts(self) -> tuple[Node, ...]:
        """What it is made of."""
        if self.unread is not None:
            self.items, self.unread = self.unread(), None
        return self.items


def node_of_words(words: Words, depth: int, low: int, high: int) -> Node:
    """What the texts of a range have from a position on; of one text, its bytes."""
    key = (depth if high - low > 1 else 0, low, high)
    node = words.nodes.get(key)
    if node is None:
        if high - low > 1:
            node = Node("words")
            node.words, node.depth, node.low, node.high = words, depth, low, high
            node.cost = words.least_cost(depth, low, high)
        else:
            node = Node("bytes")
            node.data, node.suffix_costs = words.text(low), words.costs_of(low)
            node.cost = node.suffix_costs[0]
        words.nodes[key] = node
    return node


class NodeGraph:
    """The nodes of one language.

    most: at any point of any text, at most this many tokens are needed to finish.
    """

    def __init__(self, language: Language, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._nodes: list[Node] = []
        self._compiled: dict[int, Node] = {}
        # Equal texts, sets of characters and ranges of bytes are one node each.
        self._shared: dict[bytes | CharSet | tuple[int, int], Node] = {}
        self._rules = {name: self._node("alt") for name in language.rules}
        for name, body in language.rules.items():
            self._rules[name].items = (self._compile(body),)
        self.root = self._compile(language.root)
        self._settle_costs()
        if crowds := [node for node in self._nodes if node.kind == "distinct" and node.low > 1]:
            for node in crowds:
                node.suffix_costs = [cost_of_any(node)]
            for node in self._nodes:
                if node.words is None:
                    node.cost = INFINITE
            self._settle_costs()
        self.most = self._most()

    @property
    def num_bytes(self) -> int:
        return _NODE_BYTES * len(self._nodes)

    def alive(self, expr: Expr) -> bool:
        """Whether anything matches this part of the language."""
        return self._compiled[id(expr)].cost < INFINITE

    def encoded(self) -> bytes:
        """All nodes that the root leads to, for `StoredGraph`."""
        places = {id(self.root): 0}
        order = [self.root]
        ends = array("Q", [0])
        pieces: list[bytes] = []
        for node in order:
            for item in node.items:
                if id(item) not in places:
                    places[id(item)] = len(order)
                    order.append(item)
            inner = [places[id(item)] for item in node.items]
            told = (node.kind, node.cost, node.data, node.suffix_costs)
            counts = (node.low, node.high, node.counted)
            words = None
            if node.words is not None:
                parts = (node.words.starts, node.words.costs)
                words = (node.words.data, *(part.tobytes() for part in parts))
            pieces.append(msgspec.msgpack.encode((*told, *counts, inner, words)))
            ends.append(ends[-1] + len(pieces[-1]))
        return msgspec.msgpack.encode((self.most, ends.tobytes(), b"".join(pieces)))

    def _node(self, kind: str, *items: Node) -> Node:
        return self._with(Node(kind), items)

    def _with(self, node: Node, items: tuple[Node, ...] = ()) -> Node:
        node.items = items
        node.place = len(self._nodes)
        self._nodes.append(node)
        return node

    def _compile(self, expr: Expr) -> Node:
        known = self._compiled.get(id(expr))
        if known is not None:
            return known
        if isinstance(expr, Seq):
            node = self._node("seq", *[self._compile(item) for item in expr.items])
        elif isinstance(expr, Alt):
            node = self._alternatives(expr.items)
        elif isinstance(expr, Lit):
            node = self._shared.get(expr.data) or self._text(expr.data)
        elif isinstance(expr, Chars):
            node = self._shared.get(expr.chars) or self._characters(expr.chars)
        elif isinstance(expr, Ref):
            node = self._rules[expr.name]
        else:
            node = self._repeated(expr)
        self._compiled[id(expr)] = node
        return node

    def _repeated(self, expr: Repeat | Distinct) -> Node:
        if isinstance(expr, Repeat):
            node = self._node("repeat", self._compile(expr.item))
            node.counted = counted_by_walker(expr)
        else:
            node = self._node("distinct", self._compile(expr.item), self._compile(expr.between))
            node.data = bytes(b for b in range(256) if self._vocabulary.has_byte(b))
            # What each of the items that must still come may take.
            node.suffix_costs = [0]
        node.low, node.high = expr.low, expr.high
        return node

    def _alternatives(self, items: tuple[Expr, ...]) -> Node:
        texts = [item for item in items if isinstance(item, Lit) and item.data]
        if len(texts) < _MANY:
            return self._node("alt", *map(self._compile, items))
        # Each has a node of its own only for `alive`.
        costs = {item.data: self._compile(item).suffix_costs for item in texts}
        words = Words.of({data: some for data, some in costs.items() if some[0] < INFINITE})
        others = [item for item in items if not (isinstance(item, Lit) and item.data)]
        if words.count < 2:
            return self._node("alt", *map(self._compile, items))
        node = node_of_words(words, 0, 0, words.count)
        return self._node("alt", self._with(node), *map(self._compile, others))

    def _text(self, data: bytes) -> Node:
        node = self._shared[data] = self._node("bytes")
        node.data = data
        node.suffix_costs = self._vocabulary.suffix_costs(data)
        return node

    def _characters(self, charset: CharSet) -> Node:
        options = [
            self._node("seq", *(self._byte_set(low, high) for low, high in sequence))
            for sequence in utf8_sequences(charset)
        ]
        node = self._shared[charset] = self._node("alt", *options)
        return node

    def _byte_set(self, low: int, high: int) -> Node:
        node = self._shared.get((low, high))
        if node is None:
            node = self._shared[low, high] = self._node("set")
            node.data = bytes(range(low, high + 1))
        return node

    def _settle_costs(self) -> None:
        """Least tokens of every node. Rules may refer to each other in circles, so a node is
        computed again whenever something inside it became cheaper."""
        parents: list[list[int]] = [[] for _ in self._nodes]
        for node in self._nodes:
            for item in node.items:
                parents[item.place].append(node.place)
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
                for parent in parents[place]:
                    if not waits[parent]:
                        waits[parent] = True
                        pending.append(parent)

    def _cost(self, node: Node) -> int:
        kind = node.kind
        if kind == "seq":
            cost = 0
            for item in node.items:
                cost += item.cost
            return cost
        if kind == "alt":
            cost = INFINITE
            for item in node.items:
                if item.cost < cost:
                    cost = item.cost
            return cost
        if kind == "bytes":
            return node.suffix_costs[0]
        if kind == "set":
            single = any(self._vocabulary.has_byte(byte) for byte in node.data)
            return 1 if single else INFINITE - 1
        if kind == "words":
            return node.cost
        if kind == "distinct":
            first, between = node.items
            more = between.cost + max(node.suffix_costs[0], first.cost)
            return first.cost + ((node.low - 1) * more if node.low > 1 else 0)
        return node.low * node.items[0].cost

    def _most(self) -> int:
        """Most tokens that the rest of a text can need, from any place in it; INFINITE where
        nodes nest without end."""
        found = [-1] * len(self._nodes)
        pending = [self.root]
        while pending:
            node = pending[-1]
            if found[node.place] < 0:
                found[node.place] = INFINITE  # what a node that contains itself meets
                pending += [item for item in node.items if found[item.place] < 0]
            else:
                pending.pop()
                found[node.place] = self._most_within(node, found)
        return min(found[self.root.place], INFINITE)

    def _most_within(self, node: Node, found: list[int]) -> int:
        if node.kind == "bytes":
            return max(node.suffix_costs)
        if node.words is not None:
            return min(int(node.words.costs.max()), INFINITE)
        if node.kind == "seq":
            most = after = 0
            for item in reversed(node.items):
                if found[item.place] + after > most:
                    most = found[item.place] + after
                after += item.cost
            return most
        alive = [item for item in node.items if item.cost < INFINITE]
        if node.kind == "alt":
            return max([found[item.place] for item in alive], default=0)
        if node.kind == "repeat" and alive:
            item = alive[0]
            return max(found[item.place], item.cost) + max(node.low - 1, 0) * item.cost
        if node.kind == "distinct":
            return INFINITE  # it is not known before the items are
        return min(node.cost, INFINITE) if node.kind == "set" else 0


class StoredGraph:
    """The nodes that `NodeGraph.encoded` wrote, each read when it is first met."""

    def __init__(self, data: bytes) -> None:
        self.most, ends, self._data = _HEAD.decode(data)
        self._ends = array("Q", ends)
        self._nodes: dict[int, Node] = {}
        self.root = self._node(0)
        weakref.finalize(self, _part, self.root).atexit = False

    @property
    def num_bytes(self) -> int:
        # Half of the nodes are met in the end, or more.
        return len(self._data) + _NODE_BYTES * (len(self._ends) - 1)

    def _node(self, place: int) -> Node:
        node = self._nodes.get(place)
        if node is None:
            told = _NODE.decode(self._data[self._ends[place] : self._ends[place + 1]])
            node = self._nodes[place] = Node(told[0])
            node.cost, node.data, node.suffix_costs, node.low, node.high, node.counted = told[1:7]
            node.unread = partial(_read, weakref.ref(self), told[7])
            if told[8] is not None:
                data, *arrays = told[8]
                node.words = Words(data, *(np.frombuffer(one, np.int64) for one in arrays))
        return node


def _read(graph: weakref.ref[StoredGraph], places: list[int]) -> tuple[Node, ...]:
    held = graph()
    assert held is not None  # by the walker
    return tuple(map(held._node, places))


def _part(root: Node) -> None:
    """Let nodes that lead to each other in circles go, not only at a collection of garbage."""
    pending = [root]
    while pending:
        node = pending.pop()
        pending += node.items
        node.items, node.unread = (), None
        if node.words is not None:
            node.words.nodes.clear()


_HEAD: msgspec.msgpack.Decoder[tuple[int, bytes, bytes]] = msgspec.msgpack.Decoder(
    tuple[int, bytes, bytes]
)
_NODE: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
    tuple[
        str,
        int,
        bytes,
        list[int],
        int,
        int | None,
        bool,
        list[int],
        tuple[bytes, bytes, bytes] | None,
    ]
)
