"""The keywords of objects, as conditions, and their opposites; called by schema_facts.py, see
schema_plain.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .schema_branch import Alternatives, Item, Members, Present
from .schema_check import object_of, refuse
from .schema_conditions import forbid, holding, negated, present, requires, unevaluated
from .schema_document import At
from .schema_plain import sizes, unsaid

if TYPE_CHECKING:
    from .schema_facts import Facts


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
        facts.document.place_in_text(schema),
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
    items: list[Item] = [*(item for item, _ in sizes(facts, at, "Properties"))]
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
    found: Alternatives = [[negative] for _, negative in sizes(facts, at, "Properties")]
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
        found.append([lambda branch: unsaid(facts, where, what)])
    return found
