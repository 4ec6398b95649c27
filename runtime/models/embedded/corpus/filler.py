"""Sentences that have nothing to do with the facts of a document, as real documents hold many."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import values
from .words import ADJECTIVES, COMMON_NOUNS, PAST_VERBS, PRODUCT_NOUNS
from .writer import Writer, capital

_TIMES = (
    "last week", "yesterday", "in spring", "on Monday", "on Friday", "in July", "last year", "two days ago", "in the morning", "at noon", "after lunch", "this winter", "for hours", "every Tuesday", "in November", "before the holidays", "at the end of the month", "so far",
    "in autumn", "on Sunday", "on Thursday", "in March", "in February", "in August", "a month ago", "a week ago", "some years ago", "in the evening", "at midnight", "before breakfast", "all summer", "all day", "every morning", "every weekend", "after the break", "in the first week", "during the night", "long ago", "earlier today", "this morning", "once again", "many times",
    "over the weekend", "since the summer", "for a while", "in the last days", "at the last moment", "the other day", "on a rainy day", "without a word",
)
SENTENCES = (
    "The {n1} {v1} the {a1} {n2} {t}.", "A {n1} and a {n2} {v1} {t}.", "{T}, the {n1} {v1} and the {n2} {v2}.", "We {v1} that the {n1} is too {a1} for the {n2}.", "The {n1} of the {n2} {v1} {t}, so nobody {v2}.", "Please tell the {n1} if the {n2} is {a1}.", "As you know, our {n1} {v1} the {n2} {t}.",
    "If the {n1} is not {a1}, take the {a2} {n2}.", "{person} {v1} the {n1} {t}.", "{person} from the {n1} {v1} a {a1} {n2}.", "There are {num} places in the {n1}, and {num2} of them are {a1}.", "It is a pity that the {n1} {v1}.", "My {n1} says that the {n2} {v1} {t}.", "The {p1} next to the {n1} is {a1}.",
    "Nobody {v1} the {n1}, although it was {a1}.", "The {n1} is open from {num} to {num2}.", "Thank you for the {a1} {n1}!", "I hope that the {n1} {v1} the {n2}.", "The {n1} in {city} {v1} {t}.", "Our {n1} moved to {city} {t} and {v1} a {a1} {n2}.", "Until then the {n1} stays {a1}.", "The phone number of the {n1} is {phone}.",
    "On {date} the {n1} {v1}.", "Since {date} the {n1} is {a1}.", "The {n1} needs about {num} {p1}s.", "When the {n1} {v1}, the {n2} was already {a1}.", "One {n1} costs roughly {amount}.", "The {a1} {n1} {v1} because of the {n2}.", "{person} is on holiday, so ask the {n1}.", "They {v1} and {v2} the {n1} {t}.",
    "A friend of mine {v1} a {n1} once and {v2}.", "You can find the {n1} behind the {n2}.", "This time the {n1} was {a1} and {a2}.", "Should the {n1} be {a1}, the {n2} is free of charge.", "By the way, the {n1} {v1} the {n2}.", "The old {n1} has the code {code}.", "For {num} years the {n1} {v1} there.", "Have you {v1} the {n1} yet?",
    "Was the {n1} {a1}?", "What a {a1} {n1}!", "The {n1} rings {num} times, then the {n2} {v1}.", "In the {n1} there is still a {a1} {p1}.", "{company} {v1} our {n1} {t}.",
    "[I|We|They] [saw|heard|read|believe] that the {n1} {v1} {t}.", "[Somebody|Someone|Everybody|Hardly anyone] {v1} the {a1} {n1} {t}.", "{T} [somebody|a neighbour|a colleague] {v1} the {n1}.", "The {n1} [looks|seems|feels|remains|became] {a1}.", "[Between|Near|Behind|Beside] the {n1} and the {n2} there [is|was|stands] a {a1} {p1}.",
    "{person} [likes|loves|misses|remembers] the {a1} {n1}.", "{person} [dreamt of|talked about|read about] {city} [and|but] {v1} the {n1} {t}.", "In {city} [people|they|many] {v1} the {n1} {t}.", "[It is said|Rumour has it|People say] that the {n1} {v1} the {n2}.", "The {n1}, [which|that] was {a1}, {v1} {t}.", "[No|Not every|Every|Each] {n1} is {a1}.",
    "Without the {n1} the {n2} [would be|is|was] {a1}.", "[Do you know|Can you tell me|I wonder] why the {n1} {v1}?", "How {a1} is your {n1}?", "Who {v1} the {n1} {t}?", "Where is the {a1} {n1} now?", "[Why|How|When] did the {n1} become {a1}?", "The {n1} and the {n2} are both {a1}.", "Neither the {n1} nor the {n2} {v1} {t}.",
    "[Some|Many|Few|Most] of us {v1} the {n1} {t}.", "About {num} of {num2} people {v1} the {n1}.", "[Almost|More than|Less than|Exactly] {num} people came to the {n1}.", "{num} [guests|visitors|children|neighbours] {v1} the {n1} {t}.", "The {n1} has {num} [rooms|doors|windows|floors] and a {a1} {n2}.",
    "[Only|Just|At least] {num} minutes later the {n1} {v1}.", "The {n1} is {num} [metres|kilometres|steps] from the {n2}.", "In {city} a {n1} [costs|is worth] around {amount}.", "[I|We|She|He] once paid {amount} for a {a1} {n1}.", "The {a1} {n1} used to cost {amount}.", "A ticket for the {n1} was {amount} {t}.",
    "[A café|A pool|A bakery] in {city} reopened on {date}.", "On {date} it [rained|snowed|was sunny|was foggy] in {city}.", "The photo of the {n1} was taken on {date}.", "[Nothing|Not much|A lot] has changed in the {n1} since {date}.", "The {n1} [closed|burned down|was painted|was rebuilt] on {date}.",
    "{company} [once|never|often|also] {v1} a {n1} in {city}.", "The {n1} next door belongs to {company}.", "[An advert|A poster|A leaflet] of {company} hangs in the {n1}.", "{company} and the {n1} have nothing to do with each other.", "The locker of {person} has the code {code}.", "The {n1} is stored in box {code}.", "A sign on the {n1} reads {code}.",
    "The {n1} can be reached at {phone} {t}.", "Somebody left the number {phone} in the {n1}.", "To hear about the {n1}, dial {phone}.", "[Sorry|Excuse me], the {n1} {v1} again.", "[Luckily|Sadly|Strangely|Of course], the {n1} was {a1}.", "[Anyway|Well|Besides|Meanwhile], the {n1} {v1} {t}.",
    "The weather is {a1}.", "[My|Your|Our|Their] {n1} is as {a1} as the {n2}.", "The {a1} {n1} is better than the {a2} {n2}.", "More about the {n1} {t}.", "[Note|Fun fact|Side note|Aside]: the {n1} was {a1}.", "PS: the {n1} {v1} {t}.", "A {n1}, a {n2} and a {p1}.", "Nice {n1}!", "The {n1}: {a1} and {a2}.",
    "[He|She|It] {v1} and {v2} {t}.", "It was {person} who {v1} the {n1}.", "{person} and the {n1} {v1} {t}.", "{person}, a [friend|cousin|neighbour] of the {n1}, {v1} {t}.", "[Greetings|Best wishes] from the {n1} in {city}!", "[To be honest|Frankly|In my view|I think], the {n1} is {a1}.",
    "[Although|Because|While|Since|After|Before] the {n1} {v1}, the {n2} {v2}.", "The {n1} {v1}; the {n2} did not.", "First the {n1} {v1}, then the {n2} {v2}.", "The {n1} {v1} so much that the {n2} was {a1}.", "Either the {n1} or the {n2} {v1} {t}.", "The more the {n1} {v1}, the more {a1} the {n2}.",
    "It [took|lasted] {num} days until the {n1} {v1}.", "[Imagine|Remember], the {n1} was {a1}!", "You should have seen the {a1} {n1}.", "I [forgot|lost|found] the {p1} in the {n1}.", "The {p1} [lay|stood|was left] on the {a1} {n1} {t}.", "Some {a1} {p1}s [were|lay] in the {n1}.", "The book about the {n1} has {num} pages.",
    "There [was|is] no {n1} in {city}.", "The road to {city} is {a1} {t}.", "[Trains|Buses|Boats] to {city} leave every {num} minutes.", "From the {n1} you can see {city}.", "The {n1} at {street} is {a1}.", "The {n1} has been {a1} for {num} weeks.", "My brother's {n1} is more {a1} than ours.",
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
        street=values.street(w),
    )
