"""Left recursion out of a grammar's rules; used by gbnf.py, and by json_layout.py for which rules
may be empty. The walker goes down a rule before it reads a byte, so a rule that begins with itself
would never arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from ..errors import RequestError
from .expr import NEVER, Alt, Distinct, Expr, Lit, Ref, Repeat, Seq, alt, seq


def without_left_recursion(rules: dict[str, Expr]) -> dict[str, Expr]:
    """The same language with `a ::= a x | y` written as `a ::= y x*`. Raises RequestError where a
    rule begins with itself by way of others or of parts that may be empty."""
    nullable = nullable_rules(rules)
    result = {name: _direct(name, body) for name, body in rules.items()}
    following = {name: list(_first(body, nullable)) for name, body in result.items()}
    done: set[str] = set()
    for name in result:
        # The way to the current rule, and for each rule on it those not yet looked at.
        path = [name]
        pending = [(name, iter(following[name]))] if name not in done else []
        while pending:
            current, rest = pending[-1]
            child = next((c for c in rest if c not in done), None)
            if child is None:
                done.add(current)
                pending.pop()
                path.pop()
            elif child in path:
                _refuse([*path[path.index(child) :], child])
            else:
                path.append(child)
                pending.append((child, iter(following[child])))
    return result


def _direct(name: str, body: Expr) -> Expr:
    tails: list[Expr] = []
    others: list[Expr] = []
    for option in body.items if isinstance(body, Alt) else (body,):
        if isinstance(option, Ref) and option.name == name:
            continue  # `a ::= a` adds nothing
        head = option.items[0] if isinstance(option, Seq) else None
        if isinstance(option, Seq) and isinstance(head, Ref) and head.name == name:
            tails.append(seq(*option.items[1:]))
        else:
            others.append(option)
    if not tails:
        return body if len(others) == _count(body) else alt(others)
    return seq(alt(others), Repeat(alt(tails), 0, None)) if others else NEVER


def _count(body: Expr) -> int:
    return len(body.items) if isinstance(body, Alt) else 1


def nullable_rules(rules: dict[str, Expr]) -> set[str]:
    """The rules that match the empty text."""
    found: set[str] = set()
    while True:
        more = {name for name, body in rules.items() if _empty(body, found)} - found
        if not more:
            return found
        found |= more


def _empty(expr: Expr, nullable: set[str]) -> bool:
    match expr:
        case Lit(data):
            return not data
        case Seq(items):
            return all(_empty(item, nullable) for item in items)
        case Alt(items):
            return any(_empty(item, nullable) for item in items)
        case Repeat(item, low, _):
            return low == 0 or _empty(item, nullable)
        case Distinct(item, _, low, _):
            return low == 1 and _empty(item, nullable)
        case Ref(name):
            return name in nullable
        case _:
            return False


def _first(expr: Expr, nullable: set[str]) -> Iterator[str]:
    """The rules that the text of an expression may begin with."""
    match expr:
        case Seq(items):
            for item in items:
                yield from _first(item, nullable)
                if not _empty(item, nullable):
                    break
        case Alt(items):
            for item in items:
                yield from _first(item, nullable)
        case Repeat(item, _, _):
            yield from _first(item, nullable)
        case Ref(name):
            yield name
        case _:
            pass


def _refuse(circle: list[str]) -> NoReturn:
    way = " -> ".join(circle)
    raise RequestError(
        "grammar",
        f"left recursion: {way}; a rule may begin with itself only directly (`a ::= a x | y`), "
        "otherwise write a repetition",
        pointer="/constraint/grammar",
    )
