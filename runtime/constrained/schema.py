"""JSON Schema to a language of JSON texts, exact or refused; called by compiler.py.

A schema is taken apart into alternatives per type (schema_facts.py), and each becomes the
expression of the compact JSON texts that satisfy it, which json_layout.py lays out at the end.
Where JSON Schema leaves a choice that does not matter to a reader, one way is taken: properties
come in the order in which they are declared.
In the closed reading, which is for generating, an object that declares properties has no others
unless `additionalProperties` is given, and a keyword that speaks of one type implies it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import RequestError
from . import automaton
from . import json_text as text
from .automaton import Automaton
from .automaton_expr import to_expr
from .charset import CharSet
from .expr import Expr, Language, Ref, alt
from .json_layout import Layout
from .limits import GrammarLimits
from .schema_arrays import array_expr
from .schema_branch import Branch, Goal
from .schema_check import load, refuse, refuse_malformed
from .schema_document import Document
from .schema_facts import KINDS, Facts
from .schema_numbers import number_expr
from .schema_objects import Keys, object_expr
from .schema_report import Report
from .schema_single import NotSingleError, Single
from .schema_strings import pattern_automaton, string_automaton, string_expr
from .schema_values import Values


@dataclass(frozen=True, slots=True)
class Reading:
    """How a schema is read.

    closed: as a request for what it declares, see above; otherwise as the specification says.
    any_order: members of objects with few properties may come in any order.
    lenient: what cannot be enforced makes the language larger (the report names it) instead of
    being refused.
    layout: separators and white space of the texts.
    """

    closed: bool = True
    any_order: bool = False
    lenient: bool = False
    layout: Layout = field(default_factory=Layout)


def schema_language(source: str, limits: GrammarLimits, reading: Reading | None = None) -> Language:
    """The language of a JSON Schema given as JSON text. Raises RequestError("grammar")."""
    document = load(source, limits)
    reading = reading or Reading()
    builder = SchemaBuilder(document, limits, reading)
    try:
        root = builder.value(frozenset({builder.facts.literal(document, "#")}))
    except (TypeError, AttributeError, ValueError, KeyError, IndexError):
        # Keywords with values of the wrong kind meet code that trusts them; the metaschema says
        # which. If it finds nothing, the defect is ours and is reported as such.
        refuse_malformed(document)
        raise
    compact = Language(root, builder.rules, builder.report.entries)
    return reading.layout.laid_out(compact, limits)


class SchemaBuilder:
    """Converts one schema document; holds its rules by name."""

    def __init__(self, document: Any, limits: GrammarLimits, reading: Reading) -> None:
        self.limits = limits
        self.closed = reading.closed
        self.any_order = reading.any_order
        self.report = Report(reading.lenient)
        self.facts = Facts(Document(document), limits, self.report)
        self.values = Values(self)
        self.rules: dict[str, Expr] = dict(text.ANY_VALUE_RULES)
        self.has_free_space = reading.layout.max_whitespace > 0
        # While items are written that must all differ; what is found then is kept apart.
        self.single: Single | None = None
        self._done: dict[tuple[Goal, Single | None], Expr] = {}
        self._open: dict[tuple[Goal, Single | None], str | None] = {}
        # Schemas with many choices ask for the same names again and again.
        self.classes_of_names: dict[object, list[Keys]] = {}
        self.other_names: dict[frozenset[str], Expr] = {}
        self._names = 0
        self._optional_pairs = 0

    def fresh(self, kind: str) -> str:
        """A name that no rule begins with yet."""
        self._names += 1
        return f"{kind} {self._names}"

    def value(self, goal: Goal) -> Expr:
        """The texts of the values that satisfy a goal."""
        key = (goal, self.single)
        found = self._done.get(key)
        if found is not None:
            return found
        if key in self._open:  # it contains itself
            name = self._open[key] = self._open[key] or self.fresh("schema")
            return Ref(name)
        self.facts.spend()
        if len(self._open) >= self.limits.max_depth:
            pointer = self.facts.document.places[min(goal)[0]].pointer
            refuse(pointer, f"the schema nests deeper than {self.limits.max_depth} schemas")
        self._open[key] = None
        try:
            result = self._converted(goal)
        finally:
            used = self._open.pop(key)
        if used is not None:
            self.rules[used] = result
            result = Ref(used)
        self._done[key] = result
        return result

    def spelled_once(self, goal: Goal) -> tuple[Expr, bool] | None:
        """The texts of the values that satisfy a goal, each value spelled in one way, and whether
        some values were left out for that; None where it cannot be."""
        outer, any_order = self.single, self.any_order
        single = self.single = outer or Single()
        self.any_order = False
        single.narrowed = single.narrowed or any_order
        try:
            found = self.value(goal)
        except NotSingleError:
            if outer is not None:
                raise
            return None
        finally:
            self.single, self.any_order = outer, any_order
        return (found, single.narrowed) if single.agrees else None

    def branches(self, goal: Goal, kind: str) -> list[Branch]:
        """The alternatives of a goal, in this reading."""
        branches = self.facts.branches(goal, kind)
        if not self.closed:
            return branches
        return [b for b in branches if b.typed or not b.implied or kind in b.implied]

    def _converted(self, goal: Goal) -> Expr:
        per_kind = {kind: self.branches(goal, kind) for kind in KINDS}
        free = [kind for kind in KINDS if any(map(_unbounded, per_kind[kind]))]
        if self.single is not None:
            return alt(
                self.single.whole(kind, self.rules) or _WHOLE[kind]
                if kind in free
                else self._of_kind(kind, branches)
                for kind, branches in per_kind.items()
            )
        if len(free) == len(KINDS):
            return text.ANY_VALUE
        return alt(
            _WHOLE[kind] if kind in free else self._of_kind(kind, branches)
            for kind, branches in per_kind.items()
        )

    def _of_kind(self, kind: str, branches: list[Branch]) -> Expr:
        options: list[Expr] = []
        constants: list[Any] = []
        for branch in branches:
            listed = self.values.constants(branch)
            if listed is not None:
                constants += listed
            elif kind != "null" or not branch.excluded:
                options.append(_WRITERS[kind](self, branch))
        if self.single is not None and kind in ("array", "object"):
            self.single.choices(len(constants) + len(options))
            self.single.constant(constants)
        try:
            return alt([*map(text.constant, constants), *options])
        except UnicodeEncodeError:
            refuse("#", "a constant holds half a surrogate pair, which has no UTF-8 form")

    # --- what the writers of single types ask -------------------------------------------------

    def never(self, goal: Goal) -> bool:
        """Whether a goal is seen to be impossible without looking into members."""
        return not any(self.facts.branches(goal, kind) for kind in KINDS)

    def satisfied(self, goal: Goal, value: Any) -> bool:
        return self.values.satisfied(goal, value)

    def listed(self, goal: Goal) -> list[Any] | None:
        """The values that satisfy a goal, if all of them are listed."""
        return self.values.listed(goal)

    def pattern(self, source: str, pointer: str) -> Automaton:
        try:
            return pattern_automaton(source, self.limits)
        except RequestError as error:
            refuse(pointer, error.message)

    def names(self, goal: Goal, pointer: str) -> Automaton:
        """The property names that satisfy a goal."""
        result: Automaton | None = None
        for branch in self.facts.branches(goal, "string"):
            listed = self.values.constants(branch)
            if listed is not None:
                machine = automaton.words(listed)
            else:
                machine = string_automaton(self, branch)
            result = machine if result is None else automaton.either(result, machine)
        return automaton.words([]) if result is None else result

    def automaton_expr(
        self, machine: Automaton, write: Callable[[CharSet], Expr] = text.write_chars
    ) -> Expr:
        return to_expr(machine, write, self.rules, self.fresh("state"))

    def count_optional(self, count: int, branch: Branch) -> None:
        """xgrammar's compile time grows with the square of the optional properties."""
        self._optional_pairs += count**2
        bound = self.limits.max_optional
        if self._optional_pairs > bound**2:
            pointer = next(
                (
                    self.facts.document.places[value[0]].pointer.rsplit("/", 1)[0]
                    for members in branch.members
                    for value in members.properties.values()
                ),
                "#",
            )
            refuse(
                pointer,
                f"too many optional properties: at most {bound} in one object, and at most "
                f"{bound**2} for the sum of squares over all objects; make some required",
            )


def _unbounded(branch: Branch) -> bool:
    """Whether a branch says nothing but the type."""
    plain = Branch(branch.kind, branch.typed, branch.implied)
    return branch == plain


def _boolean(builder: SchemaBuilder, branch: Branch) -> Expr:
    left_out = [value for value, _ in branch.excluded]
    return alt(text.constant(value) for value in (True, False) if value not in left_out)


_WHOLE: dict[str, Expr] = {
    "null": text.NULL,
    "boolean": text.BOOLEAN,
    "number": text.NUMBER,
    "string": text.ANY_STRING,
    "array": text.ANY_ARRAY,
    "object": text.ANY_OBJECT,
}
_WRITERS: dict[str, Callable[[SchemaBuilder, Branch], Expr]] = {
    "null": lambda builder, branch: text.NULL,
    "boolean": _boolean,
    "number": number_expr,
    "string": string_expr,
    "array": array_expr,
    "object": object_expr,
}
