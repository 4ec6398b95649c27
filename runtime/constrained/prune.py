"""Leave out of a language what nothing can match, so that masks lead into no dead end; used by
the engine before it writes EBNF."""

from __future__ import annotations

from .expr import EMPTY, NEVER, Alt, Distinct, Expr, Language, Ref, Repeat, Seq, alt, seq
from .nodes import NodeGraph


def prune(language: Language, graph: NodeGraph) -> Language:
    """The same language without dead alternatives and rules. The root must be alive."""
    done: dict[int, Expr] = {}

    def keep(expr: Expr) -> Expr:
        if not graph.alive(expr):
            return NEVER
        if id(expr) not in done:
            done[id(expr)] = rebuilt(expr)
        return done[id(expr)]

    def rebuilt(expr: Expr) -> Expr:
        match expr:
            case Seq(items):
                return seq(*map(keep, items))
            case Alt(items):
                return alt(keep(item) for item in items if graph.alive(item))
            case Repeat(item, low, high, counted_outside):
                return (
                    Repeat(keep(item), low, high, counted_outside) if graph.alive(item) else EMPTY
                )
            case Distinct(item, between, low, high):
                # Where nothing may stand between there is one item.
                between = keep(between)
                return Distinct(keep(item), between, low, high if between is not NEVER else 1)
            case _:
                return expr

    # Only what the pruned root still leads to: dead rules are referred to by nothing alive.
    rules: dict[str, Expr] = {}
    root = keep(language.root)
    pending = _references(root)
    while pending:
        name = pending.pop()
        if name not in rules:
            rules[name] = keep(language.rules[name])
            pending += _references(rules[name])
    return Language(root, rules)


def _references(root: Expr) -> list[str]:
    """Names of the rules that an expression refers to."""
    names: list[str] = []
    pending = [root]
    while pending:
        match pending.pop():
            case Ref(name):
                names.append(name)
            case Seq(items) | Alt(items):
                pending += items
            case Repeat(item):
                pending.append(item)
            case Distinct(item, between):
                pending += (item, between)
            case _:
                pass
    return names
