"""Documents whose labels are arbitrary: looking up a value by its key, whatever the key is."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from collections.abc import Callable

from . import values
from .phrases import DOCUMENT_ASKS
from .scene import Fact, Scene, join_sentences, labelled
from .schema import Value
from .words import ADJECTIVES, CITIES, MATERIALS, PRODUCT_NOUNS
from .writer import Writer

_LABEL_NOUNS = ("account", "agent", "amount", "author", "badge", "batch", "branch", "budget",
    "building", "captain", "category", "chapter", "client", "coach", "color", "contact", "contract",
    "cost", "country", "course", "crew", "deadline", "degree", "depot", "doctor", "driver",
    "editor", "engine", "entry", "farm", "field", "file", "floor", "gate", "grade", "group",
    "guest", "height", "house", "index", "invoice", "key", "kitchen", "label", "language", "leader",
    "length", "level", "license", "lot", "manager", "mark", "member", "model", "month", "name",
    "note", "number", "office", "operator", "origin", "owner", "page", "parcel", "part", "partner",
    "patient", "period", "phone", "place", "plan", "plate", "player", "port", "price", "project",
    "rank", "rate", "region", "room", "route", "sample", "school", "score", "seat", "section",
    "seller", "sender", "series", "shelf", "ship", "size", "source", "speaker", "stage", "station",
    "status", "store", "street", "student", "subject", "supplier", "table", "team", "terminal",
    "ticket", "title", "tool", "topic", "tower", "track", "unit", "user", "value", "vendor",
    "version", "village", "volume", "warehouse", "weight", "winner", "worker", "year", "zone")
_LABEL_HEADS = ("first", "second", "last", "next", "main", "backup", "home", "north", "south",
    "old", "new", "final", "total", "average", "local", "chief", "senior", "lower", "upper",
    "inner", "outer", "daily", "weekly", "monthly", "annual", "early", "late", "primary", "spare",
    "public", "private", "open", "closed", "target", "source")
SENTENCES = (
    "The {l} is {v}.", "{L}: {v}.", "{v} is the {l}.", "As {l} we have {v}.",
        "For the {l} they chose {v}.", "The {l} was set to {v}.",
    "Its {l} is {v}.", "They list {v} as the {l}.", "Under {l} it says {v}.", "{L} is {v}.",
        "We note {v} for the {l}.", "The {l} reads {v}.",
    "The {l} of this is {v}.", "One finds {v} as {l}.", "With {v} as {l}.",
        "The {l} changed to {v}.", "The value of the {l} is {v}.",
    "The {l} remains {v}.", "The {l} shows {v}.", "{L} = {v}.", "{L} - {v}.", "{L}, {v}.",
        "They gave {v} as the {l}.", "It has {v} as {l}.", "{v} was chosen as {l}.",
    "{v} serves as the {l}.", "The {l} now is {v}.", "Today the {l} is {v}.", "{v} stands as {l}.",
        "The {l} turned out to be {v}.", "We know that the {l} is {v}.", "The {l} became {v}.",
    "Everybody knows the {l}: {v}.", "Please note the {l}: {v}.", "Note {v} as the {l}.",
        "According to the list, the {l} is {v}.", "The {l} given is {v}.", "{v} is listed as {l}.",
    "They entered {v} for the {l}.", "In the line {l} there is {v}.", "The {l} says {v}.",
        "The current {l} is {v}.", "The {l} is known to be {v}.", "Its {l}: {v}.",
    "We recorded {v} as {l}.", "The {l} stays at {v}.", "And the {l} is {v}.",
)


# fmt: on
def _string(w: Writer) -> Value:
    makers: tuple[Callable[[Writer], str], ...] = (
        values.person,
        values.code,
        values.company,
        values.city,
        values.product,
        values.capitalised,
        values.code,
        values.first_name,
        values.street,
        values.email,
        values.model_code,
        values.phone,
        values.clock,
    )
    return w.pick(makers)(w)


def _lower(w: Writer) -> Value:
    return w.pick(
        (*MATERIALS, *ADJECTIVES, *PRODUCT_NOUNS, values.syllables(w), values.syllables(w))
    )


_MAKERS: tuple[tuple[str, Callable[[Writer], Value]], ...] = (
    ("string", _string),
    ("string", _string),
    ("string", _lower),
    ("integer", lambda w: int(values.digits(w, 1, 4))),
    ("decimal", values.amount),
    ("date", values.date),
    ("strings", lambda w: [_string(w) for _ in range(w.rng.randint(1, 3))]),
)


def random_label(w: Writer) -> str:
    """A label of one or two plain words."""
    noun = w.pick(_LABEL_NOUNS) if w.chance(0.85) else values.syllables(w, 2, 2)
    return f"{w.pick(_LABEL_HEADS)} {noun}" if w.chance(0.45) else noun


def lookup(w: Writer, most: int = 8) -> Scene:
    """A form or a text of unrelated facts with arbitrary labels."""
    labels = list(dict.fromkeys(random_label(w) for _ in range(w.rng.randint(2, most))))
    facts, rows, sentences = [], [], []
    for label in labels:
        kind, make = w.pick(_MAKERS)
        value = make(w)
        shown = ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
        fill = {"l": label, "L": label.capitalize(), "v": shown}
        rows.append((label.capitalize() if w.chance(0.7) else label, shown))
        sentences.append(w.say(SENTENCES, **fill))
        asking = w.say(DOCUMENT_ASKS, n=label, N=label.capitalize(), be="is")
        facts.append(Fact((label.replace(" ", "_"),), kind, value, (asking,)))
    text = labelled(w, rows) if w.chance(0.5) else join_sentences(w, sentences)
    label = random_label(w)
    if label not in labels:
        facts.append(Fact((label.replace(" ", "_"),), "string", None))
    if w.chance(0.3):
        text = (
            f"{w.pick(CITIES)}, {values.date(w)}\n{text}"
            if w.chance(0.3)
            else f"{w.pick(('Record', 'Note', 'Entry', 'Card'))} {values.code(w)}\n{text}"
        )
    return Scene("record", text, facts)
