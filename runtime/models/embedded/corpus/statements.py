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
    "With {v} as the {n}.", "This one has {v} as the {n}.", "The {n} can be given as {v}.",
    "The field {n} holds {v}.", "In the field for the {n} stands {v}.", "{N} according to the form: {v}.",
    "According to our [records|notes|list], the {n} {be} {v}.", "For your information, the {n} {be} {v}.",
    "For the record, the {n} {be} {v}.", "{N} (as noted): {v}.", "Known {n}: {v}.", "{N} as given: {v}.",
    "It was noted that the {n} {be} {v}.", "They told us that the {n} {be} {v}.",
    "We were told {v} when we asked for the {n}.", "When asked about the {n}, they said {v}.",
    "You will find {v} under {n}.", "Here {be} the {n}: {v}.", "Now the {n}: {v}.", "Also, the {n} {be} {v}.",
    "The {n} here {be} {v}.", "The {n}? That would be {v}.", "The {n}? {v}.", "{N}? It says {v}.",
    "Somebody wrote down {v} as the {n}.", "The {n} {was} recorded as {v}.", "Recorded {n}: {v}.",
    "The {n} in question {be} {v}.", "Let me add that the {n} {be} {v}.", "I can confirm {v} as the {n}.",
    "We can confirm that the {n} {be} {v}.", "Confirmed {n}: {v}.", "{v}, that {be} the {n}.",
    "{v} {was} registered as the {n}.", "{v} {be} filed as the {n}.", "Next to the {n} we read {v}.",
    "The [sheet|card|form|note] gives {v} as the {n}.", "We keep {v} as the {n}.", "{N} set to {v}.",
    "The {n} {was} set to {v}.", "The {n} we have {be} {v}.", "The {n} in our system {be} {v}.",
    "The system shows the {n} as {v}.", "The entry for {n} {be} {v}.", "Our note on the {n} says {v}.",
    "Just so you know, the {n} {be} {v}.", "By the way, the {n} {be} {v}.", "One detail: the {n} {be} {v}.",
    "We use {v} as the {n}.", "Take {v} as the {n}.", "Please take down {v} as the {n}.",
    "Please remember the {n}, {v}.", "The {n}, {v}, {was} checked twice.", "The {n} ({v}) {was} noted.",
    "The {n} in this case {be} {v}.", "In this case {v} {be} the {n}.", "Stated {n}: {v}.",
    "Stated as the {n}: {v}.", "The {n} {be} as follows: {v}.", "What we have for the {n} is {v}.",
    "What was written under {n} is {v}.", "On the line for the {n} you can read {v}.",
    "The box marked {n} contains {v}.", "Someone filled in {v} for the {n}.", "{v} is what they gave as {n}.",
    "It lists the {n} as {v}.", "It gives {v} for the {n}.", "It has {v} down as the {n}.",
    "In short, the {n} {be} {v}.", "So the {n} {be} {v}.", "Note on the {n}: {v}.", "As the {n} we were given {v}.", "As the {n}, {v} {was} chosen.",
    "Someone called to say that the {n} {be} {v}.", "I noted {v} as the {n}.", "I have {v} here as the {n}.", "On the {n}: {v}.", "With regard to the {n}, we have {v}.",
    "To be clear, the {n} {be} {v}.", "If anyone asks for the {n}, that {be} {v}.", "Should you need the {n}: {v}.", "In case you need the {n}, take {v}.",
    "The {n} turned out to be {v}.", "The {n} will be {v}.", "Let us write {v} for the {n}.", "The paper names {v} as the {n}.", "Our copy has {v} for the {n}.", "Printed as {n}: {v}.",
    "They filled in the {n} as {v}.", "Both sides agreed on {v} as the {n}.", "It is known that the {n} {be} {v}.", "A word on the {n}: {v}.", "The {n} that was given {be} {v}.",
    "No change to the {n}: {v}.", "The {n} {be} still {v}.", "The {n} should read {v}.", "Valid {n}: {v}.",
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
