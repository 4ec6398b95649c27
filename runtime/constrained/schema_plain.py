"""The keywords that speak of one type, as conditions, and their opposites; called by
schema_facts.py. Those of arrays and objects are in files of their own.

A rule gives lists of alternatives of which one each must hold. Its opposite gives the alternatives
of which one must hold where the keyword fails; leaving one out would only make a language smaller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .formats import BASE64, WITHOUT_RULES
from .numbers import Bound
from .schema_branch import (
    Alternatives,
    Branch,
    Item,
    type_of,
)
from .schema_check import TYPES, integer_of, number_of, refuse
from .schema_conditions import (
    at_least,
    at_most,
    bounded,
    of_format,
    of_pattern,
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
                if _says_nothing(schema[keyword], upper):
                    yield (lambda branch: True), (lambda branch: False)
                    continue
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


def _says_nothing(bound: Any, upper: bool) -> bool:
    """Whether no number that we write, all of them below 10^118, is beyond a bound."""
    if not isinstance(bound, (int, float)):
        return False
    return bound > 1e118 if upper else bound < -1e118


def sizes(facts: Facts, at: At, noun: str) -> Iterator[tuple[Item, Item]]:
    """What min{noun} and max{noun} say, each with its opposite."""
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
    yield from sizes(facts, at, "Length")
    if "pattern" in at.schema:
        source, where = at.schema["pattern"], at.pointer("pattern")
        if not isinstance(source, str):
            refuse(where, "`pattern` must be a string")
        yield of_pattern(source, where, True), of_pattern(source, where, False)
    kind, where = at.schema.get("format"), at.pointer("format")
    if isinstance(kind, str) and kind not in WITHOUT_RULES:
        yield of_format(kind, where, True), of_format(kind, where, False)
    if facts.document.asserts_content:
        yield from _content_items(facts, at)


def _content_items(facts: Facts, at: At) -> Iterator[tuple[Item, Item]]:
    if at.schema.get("contentEncoding") == "base64":
        where = at.pointer("contentEncoding")
        facts.report.enforced(where)
        yield of_pattern(BASE64, where, True), of_pattern(BASE64, where, False)
    if at.schema.get("contentMediaType") == "application/json":
        where, what = at.pointer("contentMediaType"), "JSON inside a string"

        def untold(branch: Branch) -> bool:
            return unsaid(facts, where, what)

        yield untold, untold


def strings(facts: Facts, at: At) -> Iterator[Alternatives]:
    yield [[*(item for item, _ in _string_items(facts, at))]]


def not_strings(facts: Facts, at: At) -> Alternatives:
    return [[negative] for _, negative in _string_items(facts, at)]


def unsaid(facts: Facts, pointer: str, what: str) -> bool:
    """A condition that the report names in place of enforcing it."""
    facts.report.superset(pointer, f"{what} cannot be enforced while generating")
    return True
