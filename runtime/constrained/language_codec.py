"""Languages as bytes, so that they cross a process boundary; used by worker.py and compiler.py."""

from __future__ import annotations

from typing import Any

import msgspec

from .expr import Alt, Chars, Distinct, Expr, Language, Lit, Ref, Repeat, Seq
from .schema_report import Entry

_Node = list[Any]


def encode_language(language: Language) -> bytes:
    """Expressions that stand in several places are written once, and are one again when read."""
    writer = _Writer()
    return msgspec.msgpack.encode(
        (
            writer.place(language.root),
            [(name, writer.place(body)) for name, body in language.rules.items()],
            writer.nodes,
            [(entry.pointer, entry.state, entry.reason) for entry in language.report],
        )
    )


def decode_language(data: bytes) -> Language:
    root, rules, nodes, report = msgspec.msgpack.decode(data)
    made: list[Expr] = []
    for node in nodes:
        made.append(_made(node, made))
    return Language(
        made[root],
        {name: made[place] for name, place in rules},
        tuple(Entry(*entry) for entry in report),
    )


class _Writer:
    """Every node comes after what it is made of."""

    def __init__(self) -> None:
        self.nodes: list[_Node] = []
        self._places: dict[int, int] = {}

    def place(self, root: Expr) -> int:
        pending = [root]
        while pending:
            expr = pending[-1]
            missing = [part for part in _parts(expr) if id(part) not in self._places]
            if missing:
                pending += missing
                continue
            pending.pop()
            if id(expr) not in self._places:
                self._places[id(expr)] = len(self.nodes)
                self.nodes.append(self._node(expr))
        return self._places[id(root)]

    def _node(self, expr: Expr) -> _Node:
        match expr:
            case Lit(data):
                return ["lit", data]
            case Chars(members):
                return ["chars", members]
            case Seq(items) | Alt(items):
                kind = "seq" if isinstance(expr, Seq) else "alt"
                return [kind, [self._places[id(item)] for item in items]]
            case Repeat(item, low, high, counted_outside):
                return ["repeat", self._places[id(item)], low, high, counted_outside]
            case Distinct(item, between, low, high):
                places = [self._places[id(part)] for part in (item, between)]
                return ["distinct", places, low, high]
            case Ref(name):
                return ["ref", name]


def _parts(expr: Expr) -> tuple[Expr, ...]:
    if isinstance(expr, Seq | Alt):
        return expr.items
    if isinstance(expr, Distinct):
        return (expr.item, expr.between)
    return (expr.item,) if isinstance(expr, Repeat) else ()


def _made(node: _Node, made: list[Expr]) -> Expr:
    kind, first = node[0], node[1]
    if kind == "lit":
        return Lit(first)
    if kind == "chars":
        return Chars(tuple((low, high) for low, high in first))
    if kind == "seq":
        return Seq(tuple(made[place] for place in first))
    if kind == "alt":
        return Alt(tuple(made[place] for place in first))
    if kind == "repeat":
        return Repeat(made[first], *node[2:])
    if kind == "distinct":
        return Distinct(made[first[0]], made[first[1]], *node[2:])
    return Ref(first)
