"""Sentences that state any attribute of a document: {n} noun, {N} with a capital, {v} value.

{be} is "is" or "are" and {was} "was" or "were", as the noun needs.
"""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from .concepts import Concept, expanded
from .questions import _nouns
from .scene import Fact
from .writer import Writer, reads_like

STATEMENTS = (
    "The {n} {be} {v}.", "{N}: {v}.", "{N}: {v}", "{N} - {v}.", "{N} = {v}.", "{v} {be} the {n}.",
    "As {n} they named {v}.", "We have {v} noted as the {n}.", "The {n} {was} given as {v}.",
    "For the {n} we noted {v}.", "Under {n} it says {v}.", "The {n} on file {be} {v}.",
    "The file shows {v} as the {n}.", "Please note the {n}: {v}.", "Please note that the {n} {be} {v}.",
    "Our records list {v} as the {n}.", "Listed as {n}: {v}.", "Entered as {n}: {v}.",
    "{v} {was} entered as the {n}.", "{v} {was} put down as the {n}.", "The {n} would be {v}.",
    "The {n}, as [stated|agreed|told], {be} {v}.", "As for the {n}, it says {v}.",
    "Regarding the {n}, please take {v}.", "Concerning the {n}: {v}.", "About the {n}: {v}.",
    "With {v} as the {n}.", "This one has {v} as the {n}.", "The {n} [reads|says] {v}.",
    "The field {n} holds {v}.", "In the field for the {n} stands {v}.", "{N} according to the form: {v}.",
    "According to our [records|notes|list], the {n} {be} {v}.", "For your information, the {n} {be} {v}.",
    "For the record, the {n} {be} {v}.", "{N} (as noted): {v}.", "Known {n}: {v}.", "{N} as given: {v}.",
    "It was noted that the {n} {be} {v}.", "They told us that the {n} {be} {v}.",
    "We were told {v} when we asked for the {n}.", "When asked about the {n}, they said {v}.",
    "You will find {v} under {n}.", "Here {be} the {n}: {v}.", "Now the {n}: {v}.", "Also, the {n} {be} {v}.",
    "The {n} here {be} {v}.", "The {n}? That would be {v}.", "The {n}? {v}.", "{N}? It says {v}.",
    "Somebody wrote down {v} as the {n}.", "The {n} has been recorded as {v}.", "Recorded {n}: {v}.",
    "The {n} in question {be} {v}.", "Let me add that the {n} {be} {v}.", "I can confirm {v} as the {n}.",
    "We can confirm that the {n} {be} {v}.", "Confirmed {n}: {v}.", "{v} (this {be} the {n}).",
    "{v} has been registered as the {n}.", "{v} stands as the {n}.", "{v} appears as the {n}.",
    "The [sheet|card|form|note] gives {v} as the {n}.", "We keep {v} as the {n}.", "{N} set to {v}.",
    "The {n} {was} set to {v}.", "The {n} we have {be} {v}.", "The {n} in our system {be} {v}.",
    "The system shows the {n} as {v}.", "The entry for {n} {be} {v}.", "Our note on the {n} says {v}.",
    "Just so you know, the {n} {be} {v}.", "By the way, the {n} {be} {v}.", "One detail: the {n} {be} {v}.",
    "We use {v} as the {n}.", "Take {v} as the {n}.", "Please take down {v} as the {n}.",
    "Please remember {v}, the {n}.", "The {n}, {v}, has been checked.", "The {n} ({v}) has been noted.",
    "The {n} in this case {be} {v}.", "In this case {v} {be} the {n}.", "Stated {n}: {v}.",
    "Stated as the {n}: {v}.", "{N} [is|reads] as follows: {v}.", "What we have for the {n} is {v}.",
    "What was written under {n} is {v}.", "On the line for the {n} you can read {v}.",
    "The box marked {n} contains {v}.", "Someone filled in {v} for the {n}.", "{v} is what they gave as {n}.",
    "It lists the {n} as {v}.", "It gives {v} for the {n}.", "It has {v} down as the {n}.",
    "No change to the {n}: {v}.", "The {n} remains {v}.", "The {n} should read {v}.", "Valid {n}: {v}.",
)
STATED_KINDS = frozenset(("string", "integer", "decimal", "date", "strings"))


# fmt: on
def statement(w: Writer, concept: Concept, fact: Fact, others: list[Fact], shown: object) -> str:
    """A general sentence that states the fact; "" where no noun fits or the concept says the same.

    A sentence that reads like one of the concept's own is not used: that may be held out.
    """
    nouns = _nouns(fact, others) if concept.kind in STATED_KINDS else []
    if not nouns:
        return ""
    noun = w.pick(nouns).replace("_", " ")
    many = fact.kind == "strings" and noun.endswith("s")
    be, was = ("are", "were") if many else ("is", "was")
    frame = w.template(STATEMENTS)
    text = frame.format(n=noun, N=noun.capitalize(), v="{v}", be=be, was=was)
    return "" if reads_like(text, expanded(concept.clauses)) else text.format(v=shown)
