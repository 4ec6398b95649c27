"""The keywords that speak of one type, as conditions, and their opposites; called by
schema_facts.py.

A rule gives lists of alternatives of which one each must hold. Its opposite gives the alternatives
of which one must hold where the keyword fails; leaving one out would only make a language smaller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .formats import WITHOUT_RULES
from .numbers import Bound
from .schema_branch import (
    Alternatives,
    Branch,
    Contained,
    Item,
    Items,
    Literal,
    Members,
    Present,
    type_of,
)
from .schema_check import TYPES, integer_of, list_of, number_of, object_of, refuse
from .schema_conditions import (
    at_least,
    at_most,
    at_place,
    bounded,
    forbid,
    holding,
    negated,
    of_format,
    of_pattern,
    present,
    requires,
    some,
    unevaluated,
)
from .schema_document import At, Schema

if TYPE_CHECKING:
    from .schema_facts import Facts


def types(facts: Facts, at: At) -> Iterator[Alternatives]:
    names = at.schema["type"]
    alternatives: Alternatives = []
    for index, name in enumerate(names if isinstance(names, list) else [names]):
        if isinstance(name, dict):  # draft 3
            alternatives.append([facts.inner(at, name, "type", index)])
        elif name == "any":
            alternatives.append([])
        elif name not in TYPES:
            known = ", ".join(TYPES)
            refuse(at.pointer("type"), f"unknown type {name!r}; known: {known}")
        elif name == at.kind:
            alternatives.append([])
        elif name == "integer" and at.kind == "number":
            alternatives.append([lambda branch: branch.whole()])
    yield [[]] if [] in alternatives else alternatives


def not_types(facts: Facts, at: At) -> Alternatives:
    names = at.schema.get("type")
    if names is None:
        return []
    items: list[Item] = []
    for index, name in enumerate(names if isinstance(names, list) else [names]):
        if isinstance(name, dict):
            items.append(facts.inner(at, name, "type", index, holds=False))
        elif name in ("any", at.kind):
            return []
        elif name == "integer" and at.kind == "number":
            items.append(lambda branch: branch.broken(at.pointer("type")))
    return [items]


def constants(facts: Facts, at: At) -> Iterator[Alternatives]:
    for values in _listed(facts, at):
        mine = [value for value in values if type_of(value) == at.kind]
        yield [[lambda branch, mine=mine: branch.only(mine)]] if mine else []  # type: ignore[misc]


def not_constants(facts: Facts, at: At) -> Alternatives:
    found: Alternatives = []
    for keyword, values in zip(
        [word for word in ("enum", "const") if word in at.schema],
        _listed(facts, at),
        strict=True,
    ):
        pointer = at.pointer(keyword)
        mine = [value for value in values if type_of(value) == at.kind]
        found.append([_other_than(facts, at, value, pointer) for value in mine])
    return found


def _listed(facts: Facts, at: At) -> Iterator[list[Any]]:
    if "enum" in at.schema:
        values = at.schema["enum"]
        if not isinstance(values, list) or not values:
            refuse(at.pointer("enum"), "`enum` must be a list with something in it")
        yield values
    if "const" in at.schema:
        yield [at.schema["const"]]


def _other_than(facts: Facts, at: At, value: Any, pointer: str) -> Item:
    """Not this value: for arrays and objects spelled out as a schema."""
    made: Schema
    if isinstance(value, list):
        made = {
            "type": "array",
            "prefixItems": [{"const": item} for item in value],
            "items": False,
            "minItems": len(value),
        }
        if not value:
            del made["prefixItems"]
        return facts.document.number(made, pointer), False, None
    if isinstance(value, dict):
        made = {
            "type": "object",
            "properties": {name: {"const": inner} for name, inner in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
        return facts.document.number(made, pointer), False, None

    def exclude(branch: Branch) -> bool:
        branch.excluded.append((value, pointer))
        return True

    return exclude


def numbers(facts: Facts, at: At) -> Iterator[Alternatives]:
    yield [[*(item for item, _ in _number_items(facts, at))]]


def not_numbers(facts: Facts, at: At) -> Alternatives:
    return [[negative] for _, negative in _number_items(facts, at)]


def _number_items(facts: Facts, at: At) -> Iterator[tuple[Item, Item]]:
    """Each condition with its opposite."""
    if at.kind != "number":
        return
    schema, pointer = at.schema, at.place.pointer
    for plain, sharp, upper in (
        ("minimum", "exclusiveMinimum", False),
        ("maximum", "exclusiveMaximum", True),
    ):
        for keyword in (plain, sharp):
            if keyword in schema and not isinstance(schema[keyword], bool):
                value = number_of(schema, keyword, pointer)
                # Draft 4 says `exclusiveMinimum: true` beside `minimum`.
                exclusive = keyword == sharp or schema.get(sharp) is True
                here, there = Bound(value, exclusive), Bound(value, not exclusive)
                yield bounded(here, upper), bounded(there, not upper)
    for keyword in ("multipleOf", "divisibleBy"):
        if keyword in schema:
            step = number_of(schema, keyword, pointer)
            if step <= 0:
                refuse(at.pointer(keyword), f"`{keyword}` must be above 0")
            where = at.pointer(keyword)
            yield (
                lambda b, s=step, w=where: b.steps.append((s, w)) or True,  # type: ignore[misc]
                lambda b, s=step, w=where: b.no_steps.append((s, w)) or True,  # type: ignore[misc]
            )


def _sizes(facts: Facts, at: At, noun: str) -> Iterator[tuple[Item, Item]]:
    for keyword, upper in ((f"min{noun}", False), (f"max{noun}", True)):
        count = integer_of(at.schema, keyword, at.place.pointer)
        if count is None:
            continue
        where = at.pointer(keyword)
        if upper:
            yield at_most(count, where), at_least(count + 1, where)
        else:
            yield at_least(count, where), at_most(count - 1, where)


def _string_items(facts: Facts, at: At) -> Iterator[tuple[Item, Item]]:
    if at.kind != "string":
        return
    yield from _sizes(facts, at, "Length")
    if "pattern" in at.schema:
        source, where = at.schema["pattern"], at.pointer("pattern")
        if not isinstance(source, str):
            refuse(where, "`pattern` must be a string")
        yield of_pattern(source, where, True), of_pattern(source, where, False)
    kind, where = at.schema.get("format"), at.pointer("format")
    if isinstance(kind, str) and kind not in WITHOUT_RULES:
        yield of_format(kind, where, True), of_format(kind, where, False)


def strings(facts: Facts, at: At) -> Iterator[Alternatives]:
    yield [[*(item for item, _ in _string_items(facts, at))]]


def not_strings(facts: Facts, at: At) -> Alternatives:
    return [[negative] for _, negative in _string_items(facts, at)]


# --- arrays -------------------------------------------------------------------------------


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
    items: list[Item] = [*(item for item, _ in _sizes(facts, at, "Items"))]
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
    found: Alternatives = [[negative] for _, negative in _sizes(facts, at, "Items")]
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
        found.append([lambda branch: _unsaid(facts, where, "the negation of `uniqueItems`")])
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
        found.append([lambda branch: _unsaid(facts, where, "the negation of `unevaluatedItems`")])
    return found


def _unsaid(facts: Facts, pointer: str, what: str) -> bool:
    facts.report.superset(pointer, f"{what} cannot be enforced while generating")
    return True


# --- objects ------------------------------------------------------------------------------


def _members_of(facts: Facts, at: At) -> Members | None:
    schema, pointer = at.schema, at.place.pointer
    words = ("properties", "patternProperties", "additionalProperties")
    if not any(word in schema for word in words):
        return None
    return Members(
        {
            name: facts.below(at, inner, "properties", name)
            for name, inner in object_of(schema, "properties", pointer).items()
        },
        tuple(
            (
                pattern,
                at.pointer("patternProperties", pattern),
                facts.below(at, inner, "patternProperties", pattern),
            )
            for pattern, inner in object_of(schema, "patternProperties", pointer).items()
        ),
        facts.below(at, schema["additionalProperties"], "additionalProperties")
        if "additionalProperties" in schema
        else None,
        facts.owners(at.owner),
    )


def _required(facts: Facts, at: At) -> list[str]:
    names = at.schema.get("required", [])
    if isinstance(names, bool):
        return []  # draft 3 says it inside the property
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        refuse(at.pointer("required"), "`required` must be a list of names")
    return names


def objects(facts: Facts, at: At) -> Iterator[Alternatives]:
    if at.kind != "object":
        return
    items: list[Item] = [*(item for item, _ in _sizes(facts, at, "Properties"))]
    where = at.pointer("required")
    items += [requires(name, where) for name in _required(facts, at)]
    members = _members_of(facts, at)
    if members is not None:
        items.append(lambda branch: branch.members.append(members) or True)  # type: ignore[func-returns-value]
        items += [
            requires(name, where)
            for name, inner in object_of(at.schema, "properties", at.place.pointer).items()
            if isinstance(inner, dict) and inner.get("required") is True
        ]
    if "propertyNames" in at.schema:
        key = facts.below(at, at.schema["propertyNames"], "propertyNames")
        pointer = at.pointer("propertyNames")
        items.append(lambda branch: branch.names.add((key, pointer)) or True)  # type: ignore[func-returns-value]
    if "unevaluatedProperties" in at.schema and at.owner is not None:
        items.append(
            unevaluated(
                at.owner,
                facts.below(at, at.schema["unevaluatedProperties"], "unevaluatedProperties"),
                at.pointer("unevaluatedProperties"),
            )
        )
    yield [items]
    for name, needed in _dependencies(facts, at):
        yield [[forbid(name)], needed]


def _dependencies(facts: Facts, at: At) -> Iterator[tuple[str, list[Item]]]:
    """Names with what must hold where they are present."""
    for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        for name, needed in object_of(at.schema, keyword, at.place.pointer).items():
            where = at.pointer(keyword, name)
            if isinstance(needed, str):  # draft 3
                needed = [needed]
            if isinstance(needed, list):
                yield name, [requires(name, where), *(requires(n, where) for n in needed)]
            else:
                inner = facts.inner(at, needed, keyword, name)
                yield name, [requires(name, where), inner]


def not_objects(facts: Facts, at: At) -> Alternatives:
    if at.kind != "object":
        return []
    found: Alternatives = [[negative] for _, negative in _sizes(facts, at, "Properties")]
    found += [[forbid(name)] for name in _required(facts, at)]
    members = _members_of(facts, at)
    if members is not None:
        found += [
            [requires(name, at.pointer("properties", name)), holding(name, negated(value))]
            for name, value in members.properties.items()
        ]
        found += [
            [present(Present(negated(value), pattern=pattern, pointer=where))]
            for pattern, where, value in members.patterns
        ]
        if members.additional is not None:
            where = at.pointer("additionalProperties")
            value = negated(members.additional)
            found.append([present(Present(value, beside=members, pointer=where))])
    if "propertyNames" in at.schema:
        wrong = facts.below(at, at.schema["propertyNames"], "propertyNames", holds=False)
        where = at.pointer("propertyNames")
        found.append([present(Present(None, name=wrong, pointer=where))])
    for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        for name, needed in object_of(at.schema, keyword, at.place.pointer).items():
            have = requires(name, at.pointer(keyword, name))
            if isinstance(needed, (list, str)):
                names = [needed] if isinstance(needed, str) else needed
                found += [[have, forbid(other)] for other in names]
            else:
                found.append([have, facts.inner(at, needed, keyword, name, holds=False)])
    if "unevaluatedProperties" in at.schema:
        where = at.pointer("unevaluatedProperties")
        what = "the negation of `unevaluatedProperties`"
        found.append([lambda branch: _unsaid(facts, where, what)])
    return found
