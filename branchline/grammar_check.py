"""`bl.check_grammar`: what would be enforced of a constraint, without a model. Also behind
`branchline grammar check` (grammar_command.py)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from .runtime.constrained.jobs import Build
from .runtime.constrained.language_codec import decode_language
from .runtime.constrained.limits import GrammarLimits
from .runtime.constrained.vocabulary import INFINITE, Vocabulary
from .runtime.constrained.walker import Walker
from .runtime.constrained.workers import Workers
from .runtime.errors import RequestError
from .runtime.protocol import Constraint, Ebnf, JsonSchema, Regex

State = Literal["enforced", "described", "superset", "refused"]


@dataclass(frozen=True)
class Keyword:
    """A keyword of a schema by its JSON pointer.

    enforced: every output satisfies it. described: it limits nothing. superset: outputs may break
    it while they are generated; the finished value is checked. refused: as superset, but this
    constraint does not ask for the check (`on_unsupported="validate"`).
    """

    pointer: str
    state: State
    reason: str = ""


@dataclass(frozen=True)
class GrammarReport:
    """What becomes of a constraint. `refusal` says why it is refused, at `pointer`; `shortest` is
    the length of the shortest output in bytes."""

    keywords: tuple[Keyword, ...] = ()
    refusal: str | None = None
    pointer: str | None = None
    shortest: int | None = None

    @property
    def ok(self) -> bool:
        """Whether a generation with it would begin."""
        return self.refusal is None


def check_grammar(
    *,
    json_schema: str | dict[str, Any] | None = None,
    schema: Any = None,
    regex: str | None = None,
    grammar: str | None = None,
    reading: Literal["closed", "specification"] = "closed",
    any_order: bool = False,
    on_unsupported: Literal["refuse", "validate"] = "refuse",
) -> GrammarReport:
    """What a runtime would make of a form, given as to `gen`. It takes the same limits of time and
    memory. What only a model decides is not checked: whether its tokens can spell the outputs, and
    how many of them the shortest takes.

    Raises ValueError unless exactly one form is given.
    """
    forms = {"json_schema": json_schema, "schema": schema, "regex": regex, "grammar": grammar}
    given = [name for name, value in forms.items() if value is not None]
    if len(given) != 1:
        told = " and ".join(given) or "none"
        raise ValueError(f"check_grammar: give one of {', '.join(forms)}; given: {told}")
    if regex is not None:
        return _report(Regex(regex))
    if grammar is not None:
        return _report(Ebnf(grammar))
    if schema is not None:
        from .lang.schema import json_schema_of

        json_schema = json_schema_of(schema)
    text = json_schema if isinstance(json_schema, str) else json.dumps(json_schema)
    constraint = JsonSchema(
        text, reading=reading, any_order=any_order, on_unsupported=on_unsupported
    )
    report = _report(constraint)
    if report.ok or on_unsupported == "validate":
        return report
    # Which keywords are to blame: those that only a check of the finished value can see to.
    lenient = _report(JsonSchema(text, "auto", reading, any_order, "validate"))
    keywords = tuple(
        Keyword(one.pointer, "refused" if one.state == "superset" else one.state, one.reason)
        for one in lenient.keywords
    )
    if not any(one.state == "refused" for one in keywords) and report.pointer is not None:
        keywords = (*keywords, Keyword(report.pointer, "refused", report.refusal or ""))
    return GrammarReport(keywords, report.refusal, report.pointer)


def _report(constraint: Constraint) -> GrammarReport:
    limits = GrammarLimits()
    workers = Workers(limits)
    try:
        language = decode_language(workers.run(Build(constraint, limits)))
    except RequestError as error:
        return GrammarReport(refusal=error.message, pointer=error.pointer)
    finally:
        workers.close()
    keywords = tuple(Keyword(one.pointer, one.state, one.reason) for one in language.report)
    walker = Walker(language, Vocabulary([bytes([byte]) for byte in range(256)]))
    shortest = walker.start.cost
    if shortest >= INFINITE:
        return GrammarReport(keywords, "nothing satisfies it: its conditions contradict each other")
    return GrammarReport(keywords, shortest=shortest)
