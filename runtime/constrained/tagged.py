"""Tagged values in free text (tool calls) as a language; called by compiler.py.

Literals of the format are marked first (control_tokens.py), so the language of a tokenizer that
has `<tool_call>` as one token differs from that of one which spells it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from ..errors import RequestError
from ..protocol import MAX_CONSTRAINT_CHARS, Tag, Tagged
from . import charset
from .charset import CharSet
from .control_tokens import TEXT, TextOnly
from .expr import EMPTY, Chars, Expr, Language, Ref, Repeat, alt, chars, lit, seq
from .limits import GrammarLimits
from .schema import schema_language

Mark = Callable[[str], str]


def tagged_language(constraint: Tagged, limits: GrammarLimits, mark: Mark) -> Language:
    """The language of a Tagged constraint. Raises RequestError("grammar").

    mark: gives a format's text with control tokens as the characters that stand for them.
    """
    if sum(len(tag.schema) for tag in constraint.tags) > MAX_CONSTRAINT_CHARS:
        _refuse(f"the schemas have over {MAX_CONSTRAINT_CHARS} characters together", "tags")
    rules: dict[str, Expr] = {}
    text_only = TextOnly()
    for index, tag in enumerate(constraint.tags):
        rules |= _tag_rules(tag, index, limits, mark, text_only)
    options: list[Expr] = []
    if constraint.tags:
        options.append(_values(constraint, mark))
    if constraint.text == "instead":
        options.append(_text_instead(constraint.trigger))
    elif constraint.text == "before":
        text = _text_before(constraint.trigger)
        options = [seq(text, alt([EMPTY, *options]))]
    if not options:
        _refuse("neither tags nor text are allowed; allow one of them", "tags")
    return Language(alt(options), rules)


def _tag_rules(
    tag: Tag, index: int, limits: GrammarLimits, mark: Mark, text_only: TextOnly
) -> dict[str, Expr]:
    try:
        inner = text_only.language(schema_language(tag.schema, limits), f"{index} ")
    except RequestError as error:
        pointer = f"/constraint/tags/{index}/schema"
        if error.pointer is not None:
            pointer += error.pointer if error.pointer.startswith("#") else f" {error.pointer}"
        raise RequestError(error.code, f"{tag.begin!r}: {error.message}", pointer=pointer) from None
    body = seq(lit(mark(tag.begin)), inner.root, lit(mark(tag.end)))
    return {**inner.rules, f"tag {index}": body}


def _values(constraint: Tagged, mark: Mark) -> Expr:
    tag = alt(Ref(f"tag {index}") for index in range(len(constraint.tags)))
    most = constraint.max_values
    further = Repeat(
        seq(lit(mark(constraint.separator)), tag), 0, None if most is None else most - 1
    )
    several = EMPTY if most == 1 else further
    return seq(lit(mark(constraint.opening)), tag, several, lit(mark(constraint.closing)))


def _text_instead(trigger: str) -> Expr:
    """Text that does not begin like a trigger."""
    first = chars(_without(_required(trigger)[0]))
    return alt([EMPTY, seq(first, Repeat(Chars(TEXT), 0, None))])


def _text_before(trigger: str) -> Expr:
    """Text in which the trigger does not occur.

    The first character of the trigger occurs in it once, so the text falls into stretches that
    begin with that character, each of which goes on like the trigger up to some place and no
    further. Side by side, the alternatives cost xgrammar under 10 us per mask.
    """
    first = _required(trigger)[0]
    if first in trigger[1:]:
        _refuse(
            f"the trigger {trigger!r} repeats its first character; choose one that does not",
            "trigger",
        )
    other = Repeat(Chars(_without(first)), 0, None)
    stretches: list[Expr] = []
    for length in range(1, len(trigger)):
        begun = lit(trigger[:length])
        stretches += [begun, seq(begun, Chars(_without(first + trigger[length])), other)]
    return seq(other, Repeat(alt(stretches), 0, None)) if stretches else other


def _without(characters: str) -> CharSet:
    return charset.intersect(charset.negate(charset.of(characters)), TEXT)


def _required(trigger: str) -> str:
    if not trigger:
        _refuse("free text needs a trigger by which its end is known", "trigger")
    return trigger


def _refuse(message: str, field: str) -> NoReturn:
    raise RequestError("grammar", message, pointer=f"/constraint/{field}")
