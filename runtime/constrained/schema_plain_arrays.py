"""The keywords of arrays, as conditions, and their opposites; called by schema_facts.py, see
schema_plain.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .schema_branch import Alternatives, Branch, Contained, Item, Items, Literal
from .schema_check import integer_of, list_of
from .schema_conditions import at_least, at_place, some, unevaluated
from .schema_document import At
from .schema_plain import sizes, unsaid

if TYPE_CHECKING:
    from .schema_facts import Facts


def _lists(facts: Facts, at: At) -> tuple[list[Literal], Literal | None]:
    schema = at.schema
    items = schema.get("items")
    if isinstance(items, list):  # before 2020-12
        first = [facts.below(at, item, "items", i) for i, item in enumerate(items)]
        rest = schema.get("additionalItems")
        return first, None if rest is None else facts.below(at, rest, "additionalItems")
    parts = list_of(schema, "prefixItems", at.place.pointer)
    first = [facts.below(at, part, "prefixItems", i) for i, part in enumerate(parts)]
    return first, facts.below(at, items, "items") if "items" in schema else None


def arrays(facts: Facts, at: At) -> Iterator[Alternatives]:
    if at.kind != "array":
        return
    items: list[Item] = [*(item for item, _ in sizes(facts, at, "Items"))]
    first, rest = _lists(facts, at)
    if first or rest is not None:
        listed = Items(tuple(first), rest, facts.owners(at.owner))
        items.append(lambda branch: branch.items.append(listed) or True)  # type: ignore[func-returns-value]
    if at.schema.get("uniqueItems") is True:
        where = at.pointer("uniqueItems")

        def unique(branch: Branch) -> bool:
            branch.unique = where
            return True

        items.append(unique)
    contained = _contained(facts, at)
    if contained is not None:
        items.append(lambda branch: branch.contained.append(contained) or True)  # type: ignore[func-returns-value]
    if "unevaluatedItems" in at.schema and at.owner is not None:
        items.append(
            unevaluated(
                at.owner,
                facts.below(at, at.schema["unevaluatedItems"], "unevaluatedItems"),
                at.pointer("unevaluatedItems"),
            )
        )
    yield [items]


def _contained(facts: Facts, at: At) -> Contained | None:
    if "contains" not in at.schema:
        return None
    inner = at.schema["contains"]
    low = integer_of(at.schema, "minContains", at.place.pointer)
    high = integer_of(at.schema, "maxContains", at.place.pointer)
    item = facts.below(at, inner, "contains")
    least = 1 if low is None else low
    return Contained(item, (item[0], False, None), 0, least, high, at.pointer("contains"))


def not_arrays(facts: Facts, at: At) -> Alternatives:
    if at.kind != "array":
        return []
    found: Alternatives = [[negative] for _, negative in sizes(facts, at, "Items")]
    first, rest = _lists(facts, at)
    for index, item in enumerate(first):
        found.append([at_place(index, (item[0], False, None)), at_least(index + 1, "#")])
    if rest is not None:
        found.append(
            [
                some(
                    Contained(
                        (rest[0], False, None), rest, len(first), 1, None, at.pointer("items")
                    )
                )
            ]
        )
    if at.schema.get("uniqueItems") is True:
        where = at.pointer("uniqueItems")
        found.append([lambda branch: unsaid(facts, where, "the negation of `uniqueItems`")])
    contained = _contained(facts, at)
    if contained is not None:
        item, negated, low, high = (
            *(contained.item, contained.negated),
            *(contained.low, contained.high),
        )
        where = contained.pointer
        if low > 0:
            found.append([some(Contained(item, negated, 0, 0, low - 1, where))])
        if high is not None:
            found.append([some(Contained(item, negated, 0, high + 1, None, where))])
    if "unevaluatedItems" in at.schema:
        where = at.pointer("unevaluatedItems")
        found.append([lambda branch: unsaid(facts, where, "the negation of `unevaluatedItems`")])
    return found
