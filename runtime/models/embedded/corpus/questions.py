"""Questions about a paragraph, with short answers."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from .chat import Message, Sample
from .phrases import DOCUMENT_ASKS
from .scene import Fact, Scene
from .schema import Value
from .writer import Writer, reads_like

SYSTEMS = (
    "Answer from the text.", "Answer the question from the text.",
    "Read the text and answer briefly.", "Give a short answer.",
    "Answer with words from the document.", "Use only the paragraph to answer.",
    "You answer questions about a text.", "Answer the user's question.",
    "Reply with a few words.", "Keep your answers short.", "Short answers only.",
    "Answer in as few words as possible.", "Be brief and exact.", "Be precise.",
    "Reply with the [value|fact] only.", "Only give the answer, nothing else.",
    "Answer without a full sentence.", "No explanations, just the answer.",
    "Quote the text where you can.", "Copy the answer from the [text|document|paragraph].",
    "Take your answers from the [text|document|message].", "Use the document to answer.",
    "Rely on the text alone.", "Do not use anything but the text.", "Do not guess.",
    "Say so if the text does not tell.", "If the text does not say it, say that.",
    "The user asks about a document.", "The user has questions about the text.",
    "You will be asked about a [text|document|paragraph].", "Questions about this text follow.",
    "Help the user to understand the [text|document].", "Help the reader find facts.",
    "You are a careful reader.", "You are a reading assistant.", "You look things up in documents.",
    "You are an assistant that answers from documents.", "You find facts in [texts|documents].",
    "Find the answer in the text.", "Locate the answer in the [document|paragraph].",
    "Look up what the user asks.", "Look for the answer in what the user sends.",
    "Reading test: answer each question.", "Task: question answering.", "Reading comprehension.",
    "Document questions. Answer shortly.", "Respond with the exact words of the text.",
    "Respond briefly.", "Respond with facts from the text.", "Please answer from the document.",
    "Please keep to what is written.", "Stick to the text.", "Everything you need is in the text.",
    "The answers stand in the [text|document].", "Each answer can be found in the text.",
    "Read carefully, then answer.", "First read the text, then answer the questions.",
    "Answer each question with a [word|name|value] or a few.", "Use the wording of the text.",
    "Answer truthfully from the given document.", "Base your answer on the [text|document].",
    "Consult the document for every answer.", "Extract the answer to the question.",
    "Tell the user what the text says.", "Inform the user from the document.",
    "Your answers come from the text below or above.", "Give the fact that is asked for.",
)
# Keys that no question with "the" can hold: "What is the lives in?"
NO_NOUNS = frozenset(
    ("due", "joined", "since", "speaks", "remote", "fragile", "to", "start", "eta", "temp",
        "charge", "years", "number", "pay_by", "years_old", "age_years", "battery_percent", "held"))
_NO_NOUN_ENDS = ("_by", "_on", "_to", "_in", "_at", "_for", "_from", "_since", "_old", "_kg", "_c",
    "_no", "_due")
_BEFORE_QUESTION = ("", "", "", "", "", "", "Question: ", "Q: ", "My question: ")
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


def _nouns(fact: Fact, others: list[Fact]) -> list[str]:
    """The keys that read as a noun and that no other fact may go by."""
    if fact.kind == "boolean" or len(fact.keys) < 2 or "{" in fact.keys[0]:
        return []
    taken = {key for other in others if other is not fact for key in other.keys}
    return [
        key
        for key in fact.keys[:3]
        if key not in taken
        and key not in NO_NOUNS
        and not key.endswith(_NO_NOUN_ENDS)
        and not (fact.kind == "integer" and key.endswith("s") and "_of_" not in key)
    ]


def question(
    w: Writer, fact: Fact, may_be_generic: bool = True, others: list[Fact] | None = None
) -> str:
    """A question that the fact answers; others: facts it must not be mistaken for.

    A general question that reads like one of the fact's own is not used: that may be held out.
    """
    nouns = _nouns(fact, others or []) if may_be_generic and w.chance(0.5) else []
    if nouns:
        noun = w.pick(nouns).replace("_", " ")
        many = fact.kind == "strings" and (noun.endswith("s") or noun == "people")
        text = w.say(DOCUMENT_ASKS, n=noun, N=noun.capitalize(), be="are" if many else "is")
        if not reads_like(text, fact.asks):
            return text
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
        asking = question(w, fact, id(fact) not in parts, told + absent)
        first = number == 0 and not text_in_system
        if first:
            asking = f"{scene.text}\n\n{w.pick(_BEFORE_QUESTION)}{asking}"
        messages.append(Message("user", asking))
        messages.append(
            Message("assistant", UNKNOWN if fact.value is None else answer_text(fact.value))
        )
        gold.append(len(messages) - 1)
    return Sample("reading", messages, gold)
