"""The mixture of all tasks, from which training and evaluation draw."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from collections.abc import Callable

from .chat import Message, Sample
from .classification import classify
from .dialogue import dialogue
from .extraction import instruction, make_record, record_text
from .filler import filler
from .invoices import invoice
from .jitter import jitter
from .lookup import lookup
from .mails import support_mail
from .meetings import meeting
from .orders import order
from .questions import answer_text, askable, question, reading
from .scene import Scene
from .tool_calls import choose_tool
from .varied import varied
from .writer import Writer

SCENES: tuple[tuple[Callable[[Writer], Scene], int], ...] = (
    (support_mail, 4), (invoice, 5), (order, 5), (meeting, 5), (varied, 5), (lookup, 4),
)
TASKS: tuple[tuple[str, float], ...] = (
    ("extraction", 0.46), ("tools", 0.21), ("classification", 0.14), ("reading", 0.13),
    ("dialogue", 0.06),
)


# fmt: on
def some_scene(w: Writer) -> Scene:
    """A document of any domain."""
    make = w.rng.choices([s for s, _ in SCENES], [weight for _, weight in SCENES])[0]
    scene = make(w)
    if w.chance(0.4):
        scene.text = jitter(w, scene)
    if w.chance(0.4):
        high = 30 if w.chance(0.06) else 5
        gap = w.pick((" ", "\n", "\n\n", "\n\n"))
        if w.chance(0.3):
            scene.text = filler(w, 1, 3) + gap + scene.text
        if w.chance(0.85):
            scene.text += gap + filler(w, 1, high)
    return scene


def extraction(w: Writer, scene: Scene) -> Sample:
    """A record of a document, sometimes followed by a question or a second document."""
    fields, record = make_record(w, scene)
    messages = [
        Message("system", instruction(w, fields)),
        Message("user", scene.text),
        Message("assistant", record_text(record)),
    ]
    if w.chance(0.2):
        for fact in w.some([f for f in askable(scene) if f.value is not None], 1, 2):
            messages.append(Message("user", question(w, fact, may_be_generic=False)))
            messages.append(Message("assistant", answer_text(fact.value)))
    return Sample("extraction", messages, [2], fields=fields)


def chain(w: Writer) -> Sample:
    """Several documents with their questions in one long conversation."""
    parts = [reading(w, some_scene(w), False) for _ in range(w.rng.randint(2, 5))]
    messages = [m for part in parts if part for m in part.messages if m.role != "system"]
    gold = [index for index, m in enumerate(messages) if m.role == "assistant"]
    return Sample("reading", messages, gold)


def sample(w: Writer, task: str | None = None) -> Sample:
    """One sample of the task, or of the whole mixture."""
    if task is None:
        task = w.rng.choices([name for name, _ in TASKS], [weight for _, weight in TASKS])[0]
    if task == "lookup":
        return (
            extraction(w, lookup(w, 4))
            if w.chance(0.6)
            else reading(w, lookup(w, 4)) or dialogue(w)
        )
    if task == "tools":
        return choose_tool(w)
    if task == "classification":
        return classify(w)
    if task == "dialogue":
        return dialogue(w)
    if task == "reading":
        if w.chance(0.04):
            return chain(w)
        made = reading(w, some_scene(w))
        return made if made is not None else dialogue(w)
    return extraction(w, some_scene(w))
