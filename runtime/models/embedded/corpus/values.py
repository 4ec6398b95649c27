"""Open sets of values: names, codes, dates, amounts. Built from random letters and syllables, so
that a model can only learn to copy them, never to recall them."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

import datetime
from decimal import Decimal

from .words import (
    ADJECTIVES,
    CITIES,
    COMMON_NOUNS,
    COMPANY_TAILS,
    FIRST_NAMES,
    LAST_NAMES,
    MATERIALS,
    PAST_VERBS,
    PRODUCT_NOUNS,
    TASK_OBJECTS,
    TASK_TAILS,
    TASK_VERBS,
)
from .writer import Writer

_ONSETS = ["b", "br", "c", "ch", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kr", "l", "m", "n", "p", "ph", "pl", "qu", "r", "s", "sch", "sh", "sk", "st", "sw", "t", "th", "tr", "v", "vl", "w", "y", "z", "zh"]
_VOWELS = ["a", "a", "a", "e", "e", "e", "i", "i", "o", "o", "u", "ai", "au", "ea", "ei", "ie", "oo", "ou", "y", "ä", "é", "í", "ó", "ö", "ü"]
_CODAS = ["l", "m", "n", "nd", "ng", "r", "rn", "rt", "s", "ss", "st", "t", "th", "x", "k", "ck", "v", "b", "d"] + [""] * 14
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CODE_HEADS = (
    ["INV", "ORD", "PO", "SO", "RMA", "REF", "CASE", "TCK", "SKU", "NR", "BK", "RES", "ID", "DOC", "WO", "SN", "AB", "QT", "CUS", "JOB", "RX", "LOT", "BX", "FX", "DN"]
)
_MAIL_HOSTS = ["example", "mailbox", "post", "inbox", "webmail", "fastnet", "office", "home"]
_MAIL_ENDS = ["com", "net", "org", "de", "fr", "it", "co.uk", "eu", "io", "pl", "ch", "nl", "example"]


# fmt: on
def syllables(w: Writer, low: int = 1, high: int = 3) -> str:
    """A made-up lower-case word."""
    parts = (
        w.pick(_ONSETS) + w.pick(_VOWELS) + w.pick(_CODAS) for _ in range(w.rng.randint(low, high))
    )
    return "".join(parts)


def capitalised(w: Writer) -> str:
    """A made-up capitalised word."""
    return syllables(w, 1, 3 if w.chance(0.2) else 2).capitalize()


def first_name(w: Writer) -> str:
    return w.pick(FIRST_NAMES) if w.chance(0.6) else capitalised(w)


def last_name(w: Writer) -> str:
    name = w.pick(LAST_NAMES) if w.chance(0.3) else capitalised(w)
    if w.chance(0.05):
        name += "-" + w.pick(LAST_NAMES)
    if w.chance(0.03):
        name = w.pick(("Mc", "O'", "De ", "van ", "von ", "Di ", "al-")) + name
    return name


def person(w: Writer) -> str:
    """A full name, sometimes with an initial or a title."""
    middle = f" {w.pick(_UPPER)}." if w.chance(0.06) else ""
    title = w.pick(("Dr. ", "Prof. ")) if w.chance(0.02) else ""
    return f"{title}{first_name(w)}{middle} {last_name(w)}"


def plain_word(w: Writer) -> str:
    """A lower-case word, common or made up."""
    if w.chance(0.3):
        return syllables(w)
    return w.pick(w.pick((COMMON_NOUNS, ADJECTIVES, MATERIALS, PAST_VERBS)))


def phrase(w: Writer, low: int, high: int) -> str:
    """Any words in a row, so that no list of words bounds what has to be copied."""
    return " ".join(plain_word(w) for _ in range(w.rng.randint(low, high)))


def title(w: Writer) -> str:
    """Two or three capitalised words, such as Cedar Lane Theatre."""
    return phrase(w, 2, 3).title()


def company(w: Writer) -> str:
    if w.chance(0.3):
        return w.pick(("", "", "", "The ", "St ", f"{w.pick(CITIES)} ")) + title(w)
    if w.chance(0.15):
        return f"{last_name(w)} {w.pick(('&', 'and'))} {w.pick(('Sons', 'Partners', last_name(w)))}"
    head = capitalised(w) if w.chance(0.7) else w.pick(ADJECTIVES).capitalize()
    if w.chance(0.25):
        head += " " + w.pick(MATERIALS).capitalize()
    return f"{head} {w.pick(COMPANY_TAILS)}"


def email(w: Writer, name: str | None = None) -> str:
    """An address, usually made from the person's name."""
    ascii_name = (name or person(w)).encode("ascii", "ignore").decode().lower()
    parts = [p for p in ascii_name.replace(".", "").replace("'", "").split() if p] or ["info"]
    local = w.pick(
        (
            ".".join(parts),
            parts[0][0] + parts[-1],
            parts[-1],
            parts[0] + str(w.rng.randint(1, 99)),
            "_".join(parts),
            syllables(w).encode("ascii", "ignore").decode() or "contact",
        )
    )
    host = w.pick(_MAIL_HOSTS) if w.chance(0.4) else syllables(w).encode("ascii", "ignore").decode()
    return f"{local}@{host or 'mail'}.{w.pick(_MAIL_ENDS)}"


def digits(w: Writer, low: int, high: int) -> str:
    return "".join(w.pick("0123456789") for _ in range(w.rng.randint(low, high)))


def letters(w: Writer, low: int, high: int) -> str:
    return "".join(w.pick(_UPPER) for _ in range(w.rng.randint(low, high)))


def code(w: Writer, heads: tuple[str, ...] = ()) -> str:
    """An identifier such as INV-20931, PO 77-3A, KX4-99812 or 48213."""
    head = w.pick(heads or tuple(_CODE_HEADS)) if w.chance(0.55) else letters(w, 1, 4)
    shape = w.rng.randrange(9)
    if shape <= 2:
        return f"{head}-{digits(w, 3, 6)}"
    if shape == 3:
        return f"{head}-20{digits(w, 2, 2)}-{digits(w, 3, 4)}"
    if shape == 4:
        return f"{head}{digits(w, 3, 6)}"
    if shape == 5:
        return f"{head} {digits(w, 2, 4)}-{digits(w, 1, 2)}{letters(w, 1, 1)}"
    if shape == 6:
        return f"{w.pick(_UPPER)}{digits(w, 1, 2)}{letters(w, 1, 2)}-{digits(w, 3, 5)}"
    if shape == 7:
        return f"{head}/{digits(w, 2, 4)}/{digits(w, 2, 3)}"
    return digits(w, 4, 8).lstrip("0") or "4071"


def model_code(w: Writer) -> str:
    return w.pick(
        (
            f"{letters(w, 1, 2)}{digits(w, 1, 3)}",
            f"{letters(w, 1, 3)}-{digits(w, 2, 4)}",
            f"{digits(w, 2, 3)}{letters(w, 1, 1)}",
            f"{capitalised(w)} {digits(w, 1, 2)}",
        )
    )


def product(w: Writer) -> str:
    """A product name: mostly starts with a capital, sometimes with a lower-case word."""
    noun = w.pick(PRODUCT_NOUNS)
    if w.chance(0.4):
        text = phrase(w, 2, 4)
        return text.capitalize() if w.chance(0.85) else text
    shape = w.rng.randrange(10)
    if shape <= 2:
        return f"{w.pick(ADJECTIVES).capitalize()} {noun}"
    if shape == 3:
        return f"{w.pick(MATERIALS).capitalize()} {noun}"
    if shape == 4:
        return f"{capitalised(w)} {noun}"
    if shape == 5:
        return f"{capitalised(w)} {model_code(w)}"
    if shape == 6:
        return f"{capitalised(w)} {' '.join(part.capitalize() for part in noun.split())}"
    if shape == 7:
        return f"{capitalised(w)} {model_code(w)} {noun}"
    if shape == 8:
        return f"{w.pick(MATERIALS)} {noun}"
    return f"{w.pick(ADJECTIVES).capitalize()} {w.pick(MATERIALS)} {noun}"


def item_name(w: Writer) -> str:
    """What a line of an order names: a product, sometimes with a size or a code."""
    name = product(w)
    if w.chance(0.12):
        tails = (f" {digits(w, 1, 2)}mm", f" ({w.pick(MATERIALS)})", f", {w.pick(ADJECTIVES)}")
        name += w.pick((*tails, f" {digits(w, 2, 3)} cm", " set", " A4"))
    return name


def task(w: Writer) -> str:
    """What a person has to do, without a full stop."""
    if w.chance(0.35):
        return f"{w.pick(TASK_VERBS)} {w.pick(('the', 'a', 'all', 'our', 'two'))} {phrase(w, 1, 6)}"
    obj = w.pick(TASK_OBJECTS)
    if w.chance(0.2):
        obj = f"{w.pick(('the', 'the new', 'our'))} {capitalised(w)} {obj.split(' ')[-1]}"
    tail = ""
    if w.chance(0.4):
        tail = " " + w.pick(TASK_TAILS).format(
            person=first_name(w), company=company(w), n=digits(w, 1, 2)
        )
    return f"{w.pick(TASK_VERBS)} {obj}{tail}"


def date(w: Writer, year: int | None = None) -> str:
    """An ISO date."""
    first = datetime.date(year or w.rng.randint(2019, 2031), 1, 1)
    return (first + datetime.timedelta(days=w.rng.randrange(365))).isoformat()


def later(w: Writer, day: str, low: int = 2, high: int = 60) -> str:
    """An ISO date some days after another."""
    start = datetime.date.fromisoformat(day)
    return (start + datetime.timedelta(days=w.rng.randint(low, high))).isoformat()


def amount(w: Writer, high: int = 900) -> str:
    """A decimal amount with two digits, as it stands in the text."""
    whole = w.rng.randint(1, high) if w.chance(0.8) else w.rng.randint(1, high * 6)
    cents = w.pick(("00", "50", "90", "99", "95")) if w.chance(0.5) else digits(w, 2, 2)
    return f"{whole}.{cents}"


def total_of(quantities_and_prices: list[tuple[int, str]]) -> str:
    """The sum of the lines."""
    return f"{sum((q * Decimal(p) for q, p in quantities_and_prices), Decimal(0)):.2f}"


def quantity(w: Writer) -> int:
    return w.rng.randint(1, 12) if w.chance(0.8) else w.rng.randint(13, 400)


def city(w: Writer) -> str:
    return w.pick(CITIES) if w.chance(0.5) else capitalised(w)


def street(w: Writer) -> str:
    tail = w.pick(("Street", "Road", "Lane", "Avenue", "Square", "Way"))
    return f"{w.rng.randint(1, 240)} {capitalised(w)} {tail}"


def phone(w: Writer) -> str:
    return w.pick(
        (
            f"+{digits(w, 2, 2)} {digits(w, 3, 3)} {digits(w, 4, 4)}",
            f"0{digits(w, 2, 3)}-{digits(w, 5, 6)}",
            f"({digits(w, 3, 3)}) {digits(w, 3, 3)}-{digits(w, 4, 4)}",
        )
    )


def clock(w: Writer) -> str:
    return f"{w.rng.randint(7, 20):02d}:{w.pick(('00', '15', '30', '45'))}"
