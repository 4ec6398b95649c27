"""Short conversations: what the user told earlier, greetings and follow-up questions."""

from __future__ import annotations

from .chat import Message, Sample
from .memories import MEMORIES
from .memory import Memory
from .phrases import (
    ASK_OPENINGS,
    ASKS,
    CLAUSE_ASKS,
    CLAUSE_FOLLOW_UPS,
    FOLLOW_UPS,
    TELL_OPENINGS,
    TELLS,
)
from .small_talk import SMALL_TALK
from .writer import Writer, capital, reads_like

# fmt: off
SYSTEMS = ("You are a helpful assistant.", "You are a friendly assistant.", "Be brief.",
    "You are a kind companion.", "Chat with the user.", "Answer in one short sentence.",
    "Talk with the user and remember what is said.", "You remember what the user tells you.",
    "You are a chat assistant.", "You are a polite assistant.", "You are a companion for a chat.",
    "Keep your answers short.", "Answer briefly and kindly.", "Have a friendly conversation.",
    "You are an attentive listener.", "Listen to the user and answer.", "You are a chatbot.",
    "Remember the facts the user gives.", "Help the user.", "Be friendly.", "Be polite and short.",
    "You are a personal assistant.", "You talk with one user.", "Answer the user's questions.",
    "You are a small assistant with a good memory.", "Give short, friendly answers.",
    "You hold a conversation with the user.", "Use what the user told you earlier.",
    "Reply in plain words.", "Reply with one sentence.", "You are a careful assistant.",
    "Keep track of what the user says.", "You are there to chat.", "Be a good listener.",
    "Stay friendly and brief.", "Your task is to chat with the user.", "You are a digital helper.",
    "Pay attention to what the user says.", "Be helpful.", "You assist one person in a chat.",
)
# fmt: on
def _general(w: Writer, memory: Memory, table: tuple[str, ...], clauses: tuple[str, ...]) -> str:
    """A wording that fits any noun, or any clause where clauses are open; {v} still open."""
    if clauses and memory.clauses and (not memory.nouns or w.chance(0.45)):
        return w.template(clauses).replace("{c}", w.pick(memory.clauses))
    if not memory.nouns:
        return ""
    noun = w.pick(memory.nouns)
    return w.template(table).replace("{n}", noun).replace("{N}", capital(noun))


def _worded(
    w: Writer,
    memory: Memory,
    own: tuple[str, ...],
    table: tuple[str, ...],
    clauses: tuple[str, ...] = (),
    openings: tuple[str, ...] = (),
) -> str:
    """One of the memory's own wordings, or a general one; {v} still open.

    A general one that reads like one of its own is not used: that one may be held out.
    """
    if w.chance(0.55):
        text = _general(w, memory, table, clauses)
        if text and not reads_like(text, (*memory.tells, *memory.asks, *memory.follow_ups)):
            return text
    text = w.template(own)
    if openings and w.chance(0.25):
        return w.template(openings).replace("{t}", text)
    return text


def dialogue(w: Writer) -> Sample:
    """Two to five things told, some small talk, then questions about what was told."""
    told = w.some(MEMORIES, 1, 5)
    made = {index: memory.make(w) for index, memory in enumerate(told)}
    messages: list[Message] = []
    gold: list[int] = []
    # Not by an empty wording: among so many it would hardly ever be drawn.
    if w.chance(0.65):
        messages.append(Message("system", w.say(SYSTEMS)))

    def small_talk(chance: float) -> None:
        if w.chance(chance):
            says, reply = w.pick(SMALL_TALK)
            messages.extend((Message("user", w.say(says)), Message("assistant", reply)))
            gold.append(len(messages) - 1)

    small_talk(0.25)
    index = 0
    while index < len(told):
        count = 2 if index + 1 < len(told) and w.chance(0.35) else 1
        group = range(index, index + count)
        said = [
            _worded(w, told[i], told[i].tells, TELLS, openings=TELL_OPENINGS).format(v=made[i])
            for i in group
        ]
        replies = [told[i].reply.format(v=made[i]) for i in group]
        messages.append(
            Message("user", said[0] if count == 1 else " ".join(capital(s) for s in said))
        )
        reply = replies[-1]
        messages.append(Message("assistant", capital(reply)))
        index += count
        small_talk(0.1)
    for number, i in enumerate(w.some(range(len(told)), 1, 4)):
        memory = told[i]
        if number and w.chance(0.35):
            asking = _worded(w, memory, memory.follow_ups, FOLLOW_UPS, CLAUSE_FOLLOW_UPS)
        else:
            asking = _worded(w, memory, memory.asks, ASKS, CLAUSE_ASKS, ASK_OPENINGS)
        messages.append(Message("user", asking))
        messages.append(Message("assistant", memory.answer.format(v=made[i])))
        gold.append(len(messages) - 1)
    small_talk(0.1)
    return Sample("dialogue", messages, gold)
