"""Sentences that have nothing to do with the facts of a document, as real documents hold many."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from . import values
from .words import ADJECTIVES, COMMON_NOUNS, PAST_VERBS, PRODUCT_NOUNS
from .writer import Writer, capital

_TIMES = (
    "last week", "yesterday", "in spring", "on Monday", "on Friday", "in July", "last year",
    "two days ago", "in the morning", "at noon", "after lunch", "this winter", "for hours",
    "every Tuesday", "in November", "before the holidays", "at the end of the month", "so far",
)
SENTENCES = (
    "The {n1} {v1} the {a1} {n2} {t}.", "A {n1} and a {n2} {v1} {t}.",
        "{T}, the {n1} {v1} and the {n2} {v2}.",
    "We {v1} that the {n1} is too {a1} for the {n2}.",
        "The {n1} of the {n2} {v1} {t}, so nobody {v2}.",
    "Please tell the {n1} if the {n2} is {a1}.", "As you know, our {n1} {v1} the {n2} {t}.",
    "If the {n1} is not {a1}, take the {a2} {n2}.", "{person} {v1} the {n1} {t}.",
        "{person} from the {n1} {v1} a {a1} {n2}.",
    "There are {num} places in the {n1}, and {num2} of them are {a1}.",
        "It is a pity that the {n1} {v1}.",
    "My {n1} says that the {n2} {v1} {t}.", "The {p1} next to the {n1} is {a1}.",
        "Nobody {v1} the {n1}, although it was {a1}.",
    "The {n1} is open from {num} to {num2}.", "Thank you for the {a1} {n1}!",
        "I hope that the {n1} {v1} the {n2}.",
    "The {n1} in {city} {v1} {t}.", "Our {n1} moved to {city} {t} and {v1} a {a1} {n2}.",
        "Until then the {n1} stays {a1}.",
    "The phone number of the {n1} is {phone}.", "On {date} the {n1} {v1}.",
        "Since {date} the {n1} is {a1}.",
    "The {n1} needs about {num} {p1}s.", "When the {n1} {v1}, the {n2} was already {a1}.",
        "One {n1} costs roughly {amount}.",
    "The {a1} {n1} {v1} because of the {n2}.", "{person} is on holiday, so ask the {n1}.",
        "They {v1} and {v2} the {n1} {t}.",
    "A friend of mine {v1} a {n1} once and {v2}.", "You can find the {n1} behind the {n2}.",
        "This time the {n1} was {a1} and {a2}.",
    "Should the {n1} be {a1}, the {n2} is free of charge.", "By the way, the {n1} {v1} the {n2}.",
        "The old {n1} has the code {code}.",
    "For {num} years the {n1} {v1} there.", "Have you {v1} the {n1} yet?", "Was the {n1} {a1}?",
        "What a {a1} {n1}!",
    "The {n1} rings {num} times, then the {n2} {v1}.", "In the {n1} there is still a {a1} {p1}.",
        "{company} {v1} our {n1} {t}.",
)
# fmt: on


def filler(w: Writer, low: int, high: int) -> str:
    """Between low and high unrelated sentences."""
    return " ".join(_sentence(w) for _ in range(w.rng.randint(low, high)))


def _sentence(w: Writer) -> str:
    time = w.pick(_TIMES)
    return w.say(
        SENTENCES,
        n1=w.pick(COMMON_NOUNS),
        n2=w.pick(COMMON_NOUNS),
        v1=w.pick(PAST_VERBS),
        v2=w.pick(PAST_VERBS),
        a1=w.pick(ADJECTIVES),
        a2=w.pick(ADJECTIVES),
        p1=w.pick(PRODUCT_NOUNS),
        t=time,
        T=capital(time),
        person=w.pick((values.first_name(w), values.person(w))),
        num=w.rng.randint(2, 60),
        num2=w.rng.randint(2, 60),
        city=values.city(w),
        phone=values.phone(w),
        date=values.date(w),
        amount=values.amount(w),
        code=values.code(w),
        company=values.company(w),
    )
