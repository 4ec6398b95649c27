"""A JSON Schema document: its schemas by number, and what their references point to; used by
schema_facts.py. Nothing is ever fetched: references stay inside the document or name one of the
official metaschemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from .schema_check import pointer_to, refuse

Schema = dict[str, Any]

# Keywords whose values are schemas or lists of them, and those that name schemas. Under others,
# unknown ones too, an `$id` or `$anchor` names nothing.
_SCHEMAS = frozenset(
    {
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "extends", "disallow", "type"),
        *("items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"),
        *("additionalProperties", "propertyNames", "unevaluatedProperties", "contentSchema"),
    }
)
_NAMED_SCHEMAS = frozenset(
    {
        *("properties", "patternProperties", "$defs", "definitions", "dependencies"),
        "dependentSchemas",
    }
)
_BASE = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A schema with the pointer at which it stands and the address that its references are
    relative to. siblings: whether keywords beside `$ref` count (they do not before 2019-09)."""

    schema: Any
    pointer: str
    base: str
    siblings: bool


@dataclass(frozen=True, slots=True)
class At:
    """A schema while it is taken apart for one kind of value."""

    schema: Schema
    place: Place
    owner: int | None
    kind: str

    def pointer(self, *names: str | int) -> str:
        return pointer_to(self.place.pointer, *names)


class Document:
    """Numbers every schema that is asked for; equal objects at one place have one number."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.places: list[Place] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._resources: dict[str, tuple[Any, str, bool]] = {}
        self._anchors: dict[str, tuple[Any, str, str, bool]] = {}
        self._dynamic: dict[str, int] = {}
        self._targets: dict[tuple[str, str], int] = {}
        self._bases: dict[int, tuple[str, bool]] = {}
        self._order: dict[int, int] = {}
        # Draft 7 lets contentEncoding and contentMediaType be asserted, later ones do not.
        declared = root.get("$schema") if isinstance(root, dict) else None
        self.asserts_content = isinstance(declared, str) and "draft-07" in declared
        self._index(root, "#", _BASE, True)

    def number(self, schema: Any, pointer: str, parent: Place | None = None) -> int:
        """The number of a schema below `parent`, or of one that was made up."""
        base, siblings = (_BASE, True) if parent is None else (parent.base, parent.siblings)
        if isinstance(schema, dict):
            base, siblings = self._bases.get(id(schema), (base, siblings))
        elif not isinstance(schema, bool):
            refuse(pointer, f"a schema is an object or a boolean, not {type(schema).__name__}")
        key = (id(schema), base if isinstance(schema, dict) else "")
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.places)
            # The place keeps the object alive, so its id stays its own.
            self.places.append(Place(schema, pointer, base, siblings))
        return found

    def _index(self, node: Any, pointer: str, base: str, siblings: bool) -> None:
        """Note the addresses of the schemas below a node, in the order of the text; iterative
        because documents nest."""
        pending = [(node, pointer, base, siblings, True)]
        self._resources[base] = (node, pointer, siblings)
        while pending:
            node, pointer, base, siblings, is_schema = pending.pop()
            if isinstance(node, list):
                pending += [
                    (item, pointer_to(pointer, place), base, siblings, True)
                    for place, item in reversed([*enumerate(node)])
                ]
            if not isinstance(node, dict):
                continue
            if is_schema:
                base, siblings = self._names(node, pointer, base, siblings)
                self._bases[id(node)] = (base, siblings)
                self._order[id(node)] = len(self._order)
            pending += [
                (value, pointer_to(pointer, key), base, siblings, key not in names_below)
                for names_below in [_NAMED_SCHEMAS if is_schema else frozenset[str]()]
                for key, value in reversed(node.items())
                if not is_schema or key in _SCHEMAS or key in names_below
            ]

    def place_in_text(self, schema: Any) -> int:
        """Where a schema stands among those of the document; behind them where it was made up."""
        return self._order.get(id(schema), len(self._order))

    def _names(self, node: Schema, pointer: str, base: str, siblings: bool) -> tuple[str, bool]:
        """Enter a schema's own address and anchors; what is below is relative to it."""
        declared = node.get("$schema")
        if isinstance(declared, str):
            siblings = not any(f"draft-0{digit}" in declared for digit in "34567")
        own = node.get("$id", node.get("id"))
        if isinstance(own, str) and (siblings or "$ref" not in node):
            address, fragment = urldefrag(_joined(base, own))
            if fragment and not fragment.startswith("/"):
                self._anchors.setdefault(
                    f"{address}#{fragment}", (node, pointer, address, siblings)
                )
            if address != base:
                base = address
                self._resources.setdefault(base, (node, pointer, siblings))
        for keyword in ("$anchor", "$dynamicAnchor"):
            name = node.get(keyword)
            if isinstance(name, str):
                self._anchors.setdefault(f"{base}#{name}", (node, pointer, base, siblings))
                if keyword == "$dynamicAnchor":
                    self._dynamic[name] = self._dynamic.get(name, 0) + 1
        return base, siblings

    def target(self, place: Place, keyword: str) -> int:
        """The number of the schema that `$ref` (or `$dynamicRef`, `$recursiveRef`) names."""
        reference = place.schema[keyword]
        where = pointer_to(place.pointer, keyword)
        if not isinstance(reference, str):
            refuse(where, f"{keyword} must be a string, not {reference!r}")
        key = (place.base, reference)
        if key not in self._targets:
            self._targets[key] = self._resolved(place, keyword, reference, where)
        return self._targets[key]

    def _resolved(self, place: Place, keyword: str, reference: str, where: str) -> int:
        address, fragment = urldefrag(_joined(place.base, reference))
        if keyword != "$ref" and self._dynamic.get(fragment, 0) > 1:
            refuse(
                where, f"{reference!r} has several targets, chosen by how it is reached; use $ref"
            )
        if address not in self._resources and not self._known(address):
            refuse(
                where,
                f"{keyword} {reference!r} leads out of this document; nothing is fetched: copy "
                "what it names into $defs",
            )
        if fragment and not fragment.startswith("/"):
            anchor = self._anchors.get(f"{address}#{unquote(fragment)}")
            if anchor is None:
                refuse(where, f"{keyword} {reference!r} names an anchor that is not there")
            node, pointer, base, siblings = anchor
            return self.number(node, pointer, Place(node, pointer, base, siblings))
        node, pointer, siblings = self._resources[address]
        for name in unquote(fragment).split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node = node[name]
            elif isinstance(node, list) and name.isdigit() and int(name) < len(node):
                node = node[int(name)]
            else:
                refuse(where, f"{keyword} {reference!r} points to nothing")
            pointer = pointer_to(pointer, name)
        return self.number(node, pointer, Place(node, pointer, address, siblings))

    def _known(self, address: str) -> bool:
        """Whether an address is an official metaschema, which is then part of the document."""
        if "json-schema.org/" not in address:
            return False
        # Comes with jsonschema; it has no type hints.
        from jsonschema_specifications import REGISTRY

        for name in (address, address + "#"):
            if name in REGISTRY:
                contents = REGISTRY[name].contents
                self._index(contents, f"{address}#", address, True)
                return True
        return False


def _joined(base: str, reference: str) -> str:
    """An address relative to another one. `urljoin` knows no fragments of `urn:` and its like."""
    if not reference or reference.startswith("#"):
        return urldefrag(base).url + reference
    return urljoin(base, reference)
