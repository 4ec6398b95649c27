"""Members of objects in the order in which a schema declares them: what bench.grammar gives to
grammars that have one order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
from jsonschema_specifications import REGISTRY


class SchemaOrder:
    """By what stands first in the schema's text: the names of `properties`, then those that are
    only `required`. A validator says which parts of the schema speak of an object; where no part
    does, because the value is wrong, the names that it has tell."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._declared: list[dict[str, None]] = []
        self._required: list[dict[str, None]] = []
        self._places: dict[int, int] = {}
        constants: list[dict[str, None]] = []
        pending = [(schema, False)]
        while pending:
            node, constant = pending.pop()
            if isinstance(node, dict):
                self._places[id(node)] = len(self._places)
                if constant:
                    constants.append(dict.fromkeys(node))
                else:
                    self._declared.append(_names(node.get("properties")))
                    self._required.append(_names(node.get("required")))
                pending += [
                    (inner, constant or name in ("const", "enum"))
                    for name, inner in reversed(node.items())
                ]
            elif isinstance(node, list):
                pending += [(inner, constant) for inner in reversed(node)]
        self._declared += constants

    def of(self, value: Any) -> Any:
        return self._ordered(value, _spoken_of(self._schema, value))

    def _ordered(self, value: Any, spoken: dict[int, list[dict[str, Any]]]) -> Any:
        if isinstance(value, list):
            return [self._ordered(item, spoken) for item in value]
        if not isinstance(value, dict):
            return value
        schemas = sorted(
            spoken.get(id(value), []),
            key=lambda schema: self._places.get(id(schema), len(self._places)),
        )
        order: dict[str, None] = {}
        for word in ("properties", "required"):
            for schema in schemas:
                order |= _names(schema.get(word))
        left = value.keys() - order.keys()
        for lists in (self._declared, self._required):
            for names in _covering(lists, left):
                order |= names
        # Names that are not declared come last, as they stood.
        names = [*(name for name in order if name in value), *(n for n in value if n not in order)]
        return {name: self._ordered(value[name], spoken) for name in names}


def _names(declared: Any) -> dict[str, None]:
    return dict.fromkeys(n for n in declared if isinstance(n, str)) if declared else {}


def _covering(lists: list[dict[str, None]], left: set[str]) -> list[dict[str, None]]:
    """Few lists that have as many of the names as any, in their order; takes them from `left`."""
    chosen = set[int]()
    while left:
        counts = [len(names.keys() & left) for names in lists]
        if not any(counts):
            break
        best = counts.index(max(counts))
        chosen.add(best)
        left -= lists[best].keys()
    return [lists[place] for place in sorted(chosen)]


# --- which schemas speak of an object -------------------------------------------------------------


def _spoken_of(schema: Any, value: Any) -> dict[int, list[dict[str, Any]]]:
    """For every object in a value, by its id, the schemas that it satisfies; nothing where the
    schema is too much for the validator."""
    found: list[tuple[int, dict[str, Any]]] = []

    def note(validator: Any, names: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if isinstance(instance, dict):
            found.append((id(instance), schema))
        yield from known["properties"](validator, names, instance, schema)

    def demand(validator: Any, names: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if isinstance(instance, dict):
            found.append((id(instance), schema))
        yield from known["required"](validator, names, instance, schema)

    def holds(validator: Any, part: Any, instance: Any) -> bool:
        """Whether a part holds; what a part that does not hold has noted is forgotten."""
        before = len(found)
        right = not [*validator.descend(instance, part)]
        if not right:
            del found[before:]
        return right

    def some(validator: Any, parts: Any, instance: Any, schema: Any) -> Iterator[Any]:
        # All of them: each that holds says what it knows.
        if not sum(holds(validator, part, instance) for part in parts):
            yield jsonschema.ValidationError("none holds")

    def condition(validator: Any, part: Any, instance: Any, schema: Any) -> Iterator[Any]:
        following = "then" if holds(validator, part, instance) else "else"
        if following in schema:
            yield from validator.descend(instance, schema[following])

    def never(validator: Any, part: Any, instance: Any, schema: Any) -> Iterator[Any]:
        before = len(found)
        right = holds(validator, part, instance)
        del found[before:]
        if right:
            yield jsonschema.ValidationError("it holds")

    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    known = kind.VALIDATORS
    own = {"properties": note, "required": demand, "anyOf": some, "oneOf": some, "if": condition}
    own = {word: rule for word, rule in own.items() if word in known}
    noting = jsonschema.validators.extend(kind, own | {"not": never})
    try:
        for _ in noting(schema, registry=REGISTRY).iter_errors(value):
            pass
    except Exception:  # whatever a validator, a pattern or a reference raises
        return {}
    spoken: dict[int, list[dict[str, Any]]] = {}
    for place, one in found:
        spoken.setdefault(place, []).append(one)
    return spoken
