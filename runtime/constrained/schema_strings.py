"""Strings that satisfy pattern, format, length and exclusions together; used by schema.py."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import RequestError
from . import automaton, charset
from . import json_text as text
from .automaton import Automaton
from .ecma_regex import python_pattern
from .expr import NEVER, Chars, Expr, Repeat, chars
from .formats import EXACT, format_pattern
from .limits import GrammarLimits
from .regex import Pattern, lookaheads, parse, search
from .schema_branch import Branch
from .schema_check import refuse

if TYPE_CHECKING:
    from .schema import SchemaBuilder

_ANYTHING = Repeat(Chars(charset.ALL), 0, None)


def string_expr(builder: SchemaBuilder, branch: Branch) -> Expr:
    """The quoted strings that the branch allows."""
    low, high = branch.least, branch.most
    if low > builder.limits.max_min_repeat:
        refuse(
            branch.size_pointer,
            f"at least {low} characters is over the limit of {builder.limits.max_min_repeat}",
        )
    holds, fails = conditions(builder, branch)
    excluded = [value for value, _ in branch.excluded]
    if not holds and not fails and not excluded:
        return text.string(low, high)
    if not holds and not fails and low == 0 and high is None:
        return text.string_except(excluded)
    if len(holds) == 1 and not fails and not excluded:
        direct = _direct(holds[0][0], low, high, builder.limits)
        if direct is not None:
            return text.quoted(direct)
    machine = string_automaton(builder, branch)
    return text.quoted(builder.automaton_expr(machine))


def conditions(
    builder: SchemaBuilder, branch: Branch
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The patterns (with their pointers) that must be found in a string, and those that must
    not, with formats as patterns."""
    holds: list[tuple[str, str]] = []
    fails: list[tuple[str, str]] = []
    for source, pointer, positive in branch.patterns:
        if (source, pointer) not in (holds if positive else fails):
            (holds if positive else fails).append((source, pointer))
    for name, pointer, positive in branch.formats:
        pattern = format_pattern(name, builder.closed)
        if pattern is None:
            builder.report.described(pointer, f"the format {name!r} is not known")
            if not positive:
                fails.append(("", pointer))  # every string has it
        elif positive:
            holds.append((pattern, pointer))
        elif name in EXACT:
            fails.append((pattern, pointer))
        else:
            builder.report.superset(pointer, f"the negation of format {name!r} cannot be enforced")
    return holds, fails


def string_automaton(builder: SchemaBuilder, branch: Branch) -> Automaton:
    """The unescaped strings that the branch allows."""
    holds, fails = conditions(builder, branch)
    machine = automaton.ANYTHING
    for source, pointer in holds:
        found = _found(builder, source, pointer)
        machine = machine if found is None else automaton.both(machine, found)
    for source, pointer in fails:
        found = _found(builder, source, pointer)
        machine = machine if found is None else automaton.without(machine, found)
    if branch.excluded:
        names = automaton.words(value for value, _ in branch.excluded)
        machine = automaton.without(machine, names)
    return _of_length(builder, machine, branch)


def _found(builder: SchemaBuilder, source: str, pointer: str) -> Automaton | None:
    try:
        return pattern_automaton(source, builder.limits)
    except RequestError as error:
        if not _is_checkable(source):
            refuse(pointer, error.message)
        builder.report.superset(pointer, error.message)
        return None


def _is_checkable(source: str) -> bool:
    """Whether a finished value can be held against a pattern: `jsonschema` does so with `re`."""
    try:
        re.compile(python_pattern(source))
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _of_length(builder: SchemaBuilder, machine: Automaton, branch: Branch) -> Automaton:
    low, high = branch.least, branch.most
    shortest, longest = automaton.lengths(machine)
    if high is not None and longest is not None and longest <= high:
        high = None
    if low <= shortest:
        low = 0
    if low == 0 and high is None:
        return machine
    count = low if high is None else high
    if count * len(machine.table) > builder.limits.max_length_states:
        builder.report.superset(
            branch.size_pointer, f"a length of {count} together with other conditions is too large"
        )
        return machine
    return automaton.both(machine, automaton.of_length(low, high))


@lru_cache(maxsize=512)
def pattern_automaton(source: str, limits: GrammarLimits) -> Automaton:
    """The strings in which a pattern is found. Raises RequestError("grammar")."""
    parsed = parse(python_pattern(source), limits)
    result = None
    for branch in parsed.branches:
        ahead, rest = lookaheads(branch)
        one = Pattern((rest,), parsed.flags)
        machine = automaton.from_expr(search(one, chars, _ANYTHING, limits))
        for positive, inner in ahead:
            look = Pattern(inner, parsed.flags)
            other = automaton.from_expr(search(look, chars, _ANYTHING, limits))
            machine = (automaton.both if positive else automaton.without)(machine, other)
        result = machine if result is None else automaton.either(result, machine)
    assert result is not None
    return result


def _direct(source: str, low: int, high: int | None, limits: GrammarLimits) -> Expr | None:
    """A pattern written without an automaton, which keeps its own shape: where the pattern
    implies the length, or is one repeated set of characters whose counts can be narrowed."""
    try:
        if low == 0 and high is None:
            return _unbounded(source, limits)
        parsed = _with_length(parse(python_pattern(source), limits), low, high)
        if parsed is None:
            return None
        return (
            NEVER
            if not parsed.branches
            else search(parsed, text.write_chars, text.ANY_CHARS, limits)
        )
    except RequestError:
        return None  # the automaton knows more, or says why not


@lru_cache(maxsize=256)
def _unbounded(source: str, limits: GrammarLimits) -> Expr:
    """Kept, because dates and the like come up in many places of a schema and of many schemas:
    one expression for all of them is also compiled once."""
    return search(parse(python_pattern(source), limits), text.write_chars, text.ANY_CHARS, limits)


def _with_length(parsed: Pattern, low: int, high: int | None) -> Pattern | None:
    least, most = parsed.width()
    if least >= low and (high is None or (parsed.anchored and most <= high)):
        return parsed
    if parsed.anchored and len(parsed.branches) == 1 and len(parsed.branches[0][2]) == 1:
        (code, value) = parsed.branches[0][2][0]
        if str(code) == "MAX_REPEAT" and len(value[2]) == 1:
            inner = str(value[2][0][0])
            if inner in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
                bounds = (max(value[0], low), value[1] if high is None else min(value[1], high))
                if bounds[0] > bounds[1]:
                    return Pattern((), parsed.flags)
                return Pattern(((True, True, ((code, (*bounds, value[2])),)),), parsed.flags)
    return None
