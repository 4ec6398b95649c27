"""Object schemas: properties in their declared order, then others; used by schema.py."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import json_text as text
from .expr import EMPTY, NEVER, Expr, Ref, Repeat, alt, lit, optional, seq
from .schema_check import integer_of, list_of, object_of, pointer_to, refuse
from .schema_strings import pattern_expr, string_expr

if TYPE_CHECKING:
    from .schema import SchemaBuilder

Schema = dict[str, Any]
Member = tuple[Expr, bool]  # `"name":value`, and whether it is required


def object_expr(builder: SchemaBuilder, schema: Schema, pointer: str) -> Expr:
    """The objects that the schema's object keywords allow."""
    properties = object_of(schema, "properties", pointer)
    required = list_of(schema, "required", pointer)
    if not all(isinstance(name, str) for name in required):
        refuse(pointer_to(pointer, "required"), "`required` must be a list of names")
    extra = _other_members(builder, schema, properties, pointer)
    members: list[Member] = []
    for name, inner in properties.items():
        value = builder.convert(inner, pointer_to(pointer, "properties", name))
        members.append((seq(_key(name, pointer), value), name in required))
    for name in dict.fromkeys(required):
        if name not in properties:
            members.append((_undeclared(builder, schema, name, pointer), True))
    optionals = sum(not is_required for _, is_required in members)
    builder.optional_pairs += optionals**2
    if builder.optional_pairs > builder.limits.max_optional**2:
        bound = builder.limits.max_optional
        refuse(
            pointer_to(pointer, "properties"),
            f"too many optional properties: at most {bound} in one object, and at most "
            f"{bound**2} for the sum of squares over all objects; make some required",
        )
    low, high = _counts(schema, members, extra is not None, pointer)
    if not members:
        return text.separated(extra, low, high, opening="{", closing="}") if extra else lit("{}")
    most = None if high is None else high - len(members)
    tail: Expr = EMPTY
    if extra is not None and most != 0:
        tail = Repeat(seq(lit(","), extra), 0, most, counted_outside=True)
    first = extra if extra is not None and most != 0 else None
    return seq(lit("{"), _members(builder, members, tail, first, most), lit("}"))


def _key(name: str, pointer: str) -> Expr:
    try:
        return text.key(name)
    except UnicodeEncodeError:
        refuse(pointer, "a property name holds half a surrogate pair, which has no UTF-8 form")


def _undeclared(builder: SchemaBuilder, schema: Schema, name: str, pointer: str) -> Expr:
    """A property that is required but not declared: whatever additionalProperties says."""
    if schema.get("patternProperties"):
        refuse(
            pointer_to(pointer, "required"),
            f"property {name!r} is required but not declared; declare it in properties",
        )
    rest = schema.get("additionalProperties", True)
    if rest is False:
        return NEVER
    value = builder.convert(rest, pointer_to(pointer, "additionalProperties"))
    return seq(_key(name, pointer), value)


def _other_members(
    builder: SchemaBuilder, schema: Schema, properties: Schema, pointer: str
) -> Expr | None:
    """`"name":value` for names that are not declared; None where there may be none."""
    patterns = object_of(schema, "patternProperties", pointer)
    declared = [*properties, *schema.get("required", [])]
    rest = schema.get("additionalProperties", not (properties or patterns))
    if schema.get("required") and "additionalProperties" not in schema:
        rest = False
    if patterns:
        return _by_pattern(builder, patterns, rest, declared, pointer)
    names = schema.get("propertyNames", True)
    where = pointer_to(pointer, "propertyNames")
    if names is not True and names != {}:
        if declared:
            refuse(
                where,
                "`propertyNames` beside declared properties is not supported; leave it "
                "out or use patternProperties alone",
            )
        if rest is False:
            return None
        key = _key_schema(builder, names, where)
    elif rest is False:
        return None
    else:
        key = text.key_except(declared) if declared else text.ANY_STRING
    return seq(key, lit(":"), builder.convert(rest, pointer_to(pointer, "additionalProperties")))


def _key_schema(builder: SchemaBuilder, names: Any, pointer: str) -> Expr:
    names = builder.resolve(names, pointer)
    if isinstance(names, dict) and names.get("type", "string") == "string":
        if "enum" in names or "const" in names:
            return builder.convert({**names, "type": "string"}, pointer)
        if not names.keys() - {"type", "pattern", "minLength", "maxLength", "format", "title"}:
            return string_expr(names, pointer, builder.limits)
    return refuse(pointer, "`propertyNames` may hold enum, pattern, format and lengths only")


def _by_pattern(
    builder: SchemaBuilder, patterns: Schema, rest: Any, declared: list[str], pointer: str
) -> Expr:
    where = pointer_to(pointer, "patternProperties")
    if len(patterns) > 1:
        refuse(where, "several patterns may match one name; use one pattern")
    if rest is not False and rest != {} and rest is not True:
        refuse(where, "patternProperties beside a schema in additionalProperties is not supported")
    [(pattern, inner)] = patterns.items()
    key = pattern_expr(pattern, 0, None, pointer_to(where, pattern), builder.limits)
    for name in declared:
        if re.search(pattern, name):
            refuse(where, f"the pattern also matches the declared property {name!r}")
    value = builder.convert(inner, pointer_to(where, pattern))
    return seq(text.quoted(key), lit(":"), value)


def _counts(
    schema: Schema, members: list[Member], open_ended: bool, pointer: str
) -> tuple[int, int | None]:
    """minProperties and maxProperties, where they say more than the members do."""
    low = integer_of(schema, "minProperties", pointer) or 0
    high = integer_of(schema, "maxProperties", pointer)
    certain = sum(required for _, required in members)
    if low <= certain:
        low = 0
    # A name may come twice and counts once then, so only one other member is sure to count.
    if low > certain and (members or low > 1):
        refuse(
            pointer_to(pointer, "minProperties"),
            "`minProperties` over the number of required properties cannot be enforced; require "
            "the properties by name",
        )
    if high is None or (high >= len(members) and not open_ended):
        return low, None
    if high < len(members):
        refuse(
            pointer_to(pointer, "maxProperties"),
            "`maxProperties` under the number of declared properties cannot be enforced",
        )
    return low, high


def _members(
    builder: SchemaBuilder, members: list[Member], tail: Expr, first: Expr | None, most: int | None
) -> Expr:
    """Members in order with commas between those that are there.

    tail: further members, each with its comma. first: one further member without, in case none
    of the declared ones is there.
    """
    # after[i]: members i and on when something stands before them. A rule each, so that the size
    # stays linear in the number of members.
    after = [tail]
    for member, required in reversed(members):
        item = seq(lit(","), member)
        after.append(seq(item if required else optional(item), after[-1]))
        if not required and len(members) > 1:
            name = f"members {len(builder.rules)}"
            builder.rules[name] = after[-1]
            after[-1] = Ref(name)
    after.reverse()
    options: list[Expr] = []
    for index, (member, required) in enumerate(members):
        options.append(seq(member, after[index + 1]))
        if required:
            return alt(options)
    if first is not None:
        fewer = None if most is None else most - 1
        rest = Repeat(seq(lit(","), first), 0, fewer, counted_outside=True)
        options.append(seq(first, rest if fewer != 0 else EMPTY))
    return alt([*options, EMPTY])
