"""Documents of many other domains, made from the tables in domains.py."""

from __future__ import annotations

from .concepts import Concept
from .domains import DOMAINS
from .scene import Fact, Scene, join_sentences, labelled
from .statements import statement
from .writer import Writer


def varied(w: Writer) -> Scene:
    """One document of one of the domains; left-out concepts become absent facts."""
    domain = w.pick(DOMAINS)
    count = w.rng.randint(3, min(7, len(domain.concepts)))
    told = sorted(w.rng.sample(range(len(domain.concepts)), count))
    if w.chance(0.5):
        told = w.shuffled(told)
    form = w.chance(0.35)
    facts, sentences, rows = [], [], []
    for index in told:
        concept = domain.concepts[index]
        fact, shown, clause = _state(w, concept)
        if w.chance(0.35):
            others = [Fact(c.keys, c.kind, None) for c in domain.concepts if c is not concept]
            clause = statement(w, concept, fact, others, shown) or clause
        facts.append(fact)
        sentences.append(clause)
        if form and concept.labels:
            rows.append((w.pick(concept.labels), shown))
            sentences.pop()
    opening = w.say(domain.openings) if w.chance(0.85) else ""
    tail = " ".join(sentences)
    if form:
        blocks = [opening, labelled(w, rows), tail]
        text = w.pick(("\n", "\n\n")).join(block for block in blocks if block)
    else:
        text = join_sentences(w, [s for s in (opening, *sentences) if s])
    for index, concept in enumerate(domain.concepts):
        if index not in told and ":" not in concept.kind:
            facts.append(Fact(concept.keys, concept.kind, None, concept.asks))
    return Scene(domain.name, text, facts)


def _state(w: Writer, concept: Concept) -> tuple[Fact, str, str]:
    """Return the fact, its value as a form shows it, and a sentence that states it."""
    value = concept.make(w)
    kind, _, detail = concept.kind.partition(":")
    if kind == "boolean":
        affirmed, denied = detail.split(":")
        is_true = value == "yes"
        clause = w.say(tuple((affirmed if is_true else denied).split("|")))
        return Fact(concept.keys, kind, is_true, concept.asks), str(value), clause
    if kind == "enum":
        options = tuple(detail.split("|"))
        fact = Fact(concept.keys, kind, value, concept.asks, (options, tuple(w.shuffled(options))))
        return fact, str(value), w.say(concept.clauses, v=value)
    if isinstance(value, list):
        names = [str(part) for part in value]
        joint = w.pick((", ", ", ", " and " if len(names) == 2 else ", "))
        shown = joint.join(names)
        if len(names) > 2 and w.chance(0.5):
            shown = ", ".join(names[:-1]) + " and " + names[-1]
        return Fact(concept.keys, kind, value, concept.asks), shown, w.say(concept.clauses, v=shown)
    return (
        Fact(concept.keys, kind, value, concept.asks),
        str(value),
        w.say(concept.clauses, v=value),
    )
