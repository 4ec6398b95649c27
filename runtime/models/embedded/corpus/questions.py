"""Questions about a paragraph, with short answers."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from .chat import Message, Sample
from .scene import Fact, Scene
from .schema import Value
from .writer import Writer

SYSTEMS = (
    "Answer from the text.", "Answer the question from the text.",
        "Read the text and answer briefly.", "Give a short answer.",
    "Answer with words from the document.", "Use only the paragraph to answer.",
        "You answer questions about a text.", "Answer the user's question.",
)
GENERIC_ASKS = (
    "What is the {key}?", "What is the {key}?", "Give the {key}.", "Tell me the {key}.",
        "Which {key} is given?", "And the {key}?", "{Key}?", "Please name the {key}.",
        "What does it say about the {key}?",
)
UNKNOWN = "The text does not say."


# fmt: on
def answer_text(value: Value) -> str:
    """A value as an answer."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return str(value)


def askable(scene: Scene) -> list[Fact]:
    """The facts, lines included, that a question can be asked about."""
    facts = [fact for fact in scene.facts if fact.asks]
    for fact in scene.facts:
        for part in fact.parts:
            facts.extend(piece for piece in part if piece.asks)
    return facts


def question(w: Writer, fact: Fact, may_be_generic: bool = True) -> str:
    """A question that the fact answers."""
    if may_be_generic and len(fact.keys) > 1 and w.chance(0.2) and "{" not in fact.keys[0]:
        key = w.pick(fact.keys[:3]).replace("_", " ")
        return w.say(GENERIC_ASKS, key=key, Key=key.capitalize())
    return fact.asks[0] if len(fact.asks) == 1 else w.say(fact.asks)


def reading(w: Writer, scene: Scene, text_in_system: bool | None = None) -> Sample | None:
    """One to four questions about a document."""
    told = [f for f in askable(scene) if f.value is not None]
    absent = [f for f in askable(scene) if f.value is None]
    if not told:
        return None
    asked = w.some(told, 1, 4)
    if absent and w.chance(0.25):
        asked.insert(w.rng.randint(0, len(asked)), w.pick(absent))
    parts = {id(piece) for fact in scene.facts for part in fact.parts for piece in part}
    messages: list[Message] = []
    gold: list[int] = []
    text_in_system = w.chance(0.2) if text_in_system is None else text_in_system
    if text_in_system:
        messages.append(
            Message("system", f"{scene.text}\n\n{w.say(SYSTEMS)}" if w.chance(0.6) else scene.text)
        )
    elif w.chance(0.3):
        messages.append(Message("system", w.say(SYSTEMS)))
    for number, fact in enumerate(asked):
        asking = question(w, fact, id(fact) not in parts)
        first = number == 0 and not text_in_system
        if first:
            asking = f"{scene.text}\n\n{w.pick(('', '', '', 'Question: '))}{asking}"
        messages.append(Message("user", asking))
        messages.append(
            Message("assistant", UNKNOWN if fact.value is None else answer_text(fact.value))
        )
        gold.append(len(messages) - 1)
    return Sample("reading", messages, gold)
