"""Short texts with a label, and label sets to choose from."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import values
from .chat import Message, Sample
from .class_sentences import INTENT, LANGUAGE_LIKE, SENTIMENT, SPAM, TOPIC
from .cues import SHIPPING_CUES, STATUS_CUES, URGENCY_CUES, plain, problem
from .mails import PROBLEMS, URGENCY
from .meetings import STATUS_CLAUSES
from .order_wordings import SHIPPING_CLAUSES
from .topics import (
    INTENT_ACTS,
    SPAM_CUES,
    TOPIC_WORDS,
    feeling_text,
    intent_text,
    topic_text,
)
from .writer import Writer, capital

# label set name -> (texts per class, label synonyms per class)
SETS: tuple[tuple[str, dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]], ...] = (
    ("category", PROBLEMS, {"billing": ("billing", "payment", "invoice", "billing and payment"), "shipping": ("shipping", "delivery", "shipping and delivery"), "technical": ("technical", "tech support", "technical problem"), "returns": ("returns", "return", "returns and exchanges")}),
    ("sentiment", SENTIMENT, {"positive": ("positive", "good", "happy", "satisfied", "praise"), "negative": ("negative", "bad", "unhappy", "dissatisfied", "criticism"), "neutral": ("neutral", "neither", "average")}),
    ("topic", TOPIC, {"sports": ("sports", "sport"), "finance": ("finance", "business", "money"), "food": ("food", "cooking"), "technology": ("technology", "tech"), "health": ("health", "medicine"), "travel": ("travel", "tourism", "holidays"), "education": ("education", "school"), "animals": ("animals", "pets and animals"), "cars": ("cars", "driving"), "weather": ("weather", "weather report")}),
    ("intent", INTENT, {"cancel": ("cancel", "cancellation"), "order_status": ("order_status", "order status", "track order"), "book": ("book", "booking", "reservation"), "thanks": ("thanks", "thank you"), "refund": ("refund", "money back"), "price": ("price", "price question"), "change_address": ("change_address", "address change"), "opening_hours": ("opening_hours", "opening hours")}),
    ("urgency", {k: v for k, v in URGENCY.items() if k != "normal"}, {"low": ("low", "not urgent", "can wait"), "high": ("high", "urgent")}),
    ("spam", SPAM, {"not_spam": ("not_spam", "ham", "not spam", "normal")}),
    ("shipping method", SHIPPING_CLAUSES, {"pickup": ("pickup", "collect"), "express": ("express", "fast"), "standard": ("standard", "normal")}),
    ("status", STATUS_CLAUSES, {"planned": ("planned", "not started"), "on_track": ("on_track", "on track", "on time"), "delayed": ("delayed", "late"), "done": ("done", "finished")}),
    ("type", LANGUAGE_LIKE, {}),
)
_WEIGHTS = (5, 4, 5, 4, 2, 2, 1, 1, 1)
INSTRUCTIONS = (
    "Classify the text. Labels: {labels}", "Choose the right label: {labels}", "Which label fits? {labels}", "Answer with one of these labels: {labels}.", "Sort the message into one of: {labels}", "Label the text as one of {labels}.", "Pick one: {labels}", "What is the {kind} of the text? Labels: {labels}", "Determine the {kind}: {labels}", "Classify the {kind} of the message. Options: {labels}",
    "You are a classifier. Possible answers: {labels}", "Tell the {kind}. One of: {labels}", "Categories: {labels}. Reply with the category only.", "Classify the [message|text|input] as one of: {labels}.", "Assign [one|exactly one] label: {labels}.", "Choose one of [the following|these] labels: {labels}.", "Select the [best|right|fitting] label from {labels}.", "Give the {kind} of the [text|message|input]: {labels}.", "Reply with [exactly one|one] of: {labels}.", "Answer only with the label. Labels: {labels}.",
    "Decide on the {kind}. Possible values: {labels}.", "Which {kind} does the [text|message] have? {labels}", "Which of these is the {kind}: {labels}?", "[Read the text and choose|Read the message and pick] one of {labels}.", "Your task is to classify texts. The labels are: {labels}.", "You sort messages. Allowed labels: {labels}.", "You label texts by their {kind}. Labels: {labels}.", "Put the text into one of these classes: {labels}.", "Classes: {labels}. [Name the right one.|Which one is it?]", "Options: {labels}. [Pick the one that fits.|Choose one.]",
    "Label: {labels}?", "Name the {kind}. Choices: {labels}.", "Identify the {kind} of this [text|message]. Choose from {labels}.", "Find the [best|matching|right] category: {labels}.", "Categorise the [text|message]. Categories: {labels}", "Possible labels: {labels}. Give the one that fits the text.", "Output a single label out of {labels}.", "For the [text|message] output its {kind}, one of {labels}.", "The {kind} can be {labels}. Which one is it?", "Please classify: {labels}.", "Please choose the {kind} of the [text|message] from {labels}.", "Please tag the text with one of {labels}.",
    "Tag the message. Tags: {labels}", "[Give|Return|Write] the label only. Labels: {labels}", "Text classification by {kind}. Labels: {labels}", "One word is enough: which of {labels} fits the text?", "Determine which label applies to the text: {labels}.", "Judge the {kind} of the message: {labels}.", "Does the text belong to {labels}? Name the class.", "Respond with one of the labels [below|given here]: {labels}.", "Set of labels: {labels}. Which one describes the text?", "Mark the text with its {kind}: {labels}.", "What {kind} is this? {labels}", "The label must be one of: {labels}.", "Match the message to a label. Labels are {labels}.",
)


# fmt: on
def _topic_values(w: Writer) -> dict[str, object]:
    """Values for the slots of the texts."""
    it = w.pick(
        (
            "it",
            "the order",
            "this",
            "the product",
            f"the {values.product(w)}",
            "the service",
            "my new one",
        )
    )
    return {
        "it": it,
        "It": capital(it),
        "thing": "order",
        "amount": values.amount(w),
        "amount2": values.amount(w),
        "date": values.date(w),
        "street": values.street(w),
        "city": values.city(w),
        "num": values.digits(w, 2, 3),
        "agent": values.first_name(w),
        "person": values.person(w),
        "team": values.capitalised(w),
        "n": w.rng.randint(2, 90),
        "code": values.code(w),
    }


def _sentence(w: Writer, kind: str, right: str, fill: dict[str, object]) -> str:
    """A sentence of the class: one of its own, or class words in a general sentence."""
    table = next(texts for name, texts, _ in SETS if name == kind)
    own = table.get(right, ())
    if own and w.chance(0.35):
        return w.say(own, **fill)
    if kind == "category":
        return problem(w, right, fill, own)
    if kind == "sentiment":
        return feeling_text(w, right, fill, own)
    if kind == "topic":
        return topic_text(w, right, fill)
    if kind == "intent" and right in INTENT_ACTS:
        return intent_text(w, right, fill)
    cues = {
        "urgency": URGENCY_CUES,
        "spam": SPAM_CUES,
        "shipping method": SHIPPING_CUES,
        "status": STATUS_CUES,
    }.get(kind)
    return plain(w, cues[right], fill, own) if cues else w.say(own, **fill)


def labelled_text(w: Writer) -> tuple[str, str, list[str], str]:
    """Return a text, the kind of label, the labels to choose from and the right one."""
    kind, texts, names = w.rng.choices(SETS, _WEIGHTS)[0]
    more = {"topic": tuple(TOPIC_WORDS), "intent": tuple(INTENT_ACTS)}.get(kind, ())
    every = tuple(dict.fromkeys((*texts, *more)))
    classes = w.some(every, 2, min(len(every), 9))
    if len(every) <= 4 and w.chance(0.6):
        classes = w.shuffled(every)
    right = w.pick(classes)
    shown = {c: w.pick(names.get(c, (c,))) if w.chance(0.35) else c for c in classes}
    fill = _topic_values(w)
    sentences = [_sentence(w, kind, right, fill) for _ in range(w.pick((1, 1, 2, 2, 3)))]
    sentences = list(dict.fromkeys(sentences))
    if kind == "category" and w.chance(0.3):
        sentences.append(w.say(URGENCY[w.pick(tuple(URGENCY))], **fill))
    return " ".join(s for s in sentences if s), kind, list(shown.values()), shown[right]


def classify(w: Writer) -> Sample:
    """One to three texts with the same or changing labels."""
    text, kind, labels, right = labelled_text(w)
    joint = w.pick((", ", ", ", ", ", " | ", " or ", "; "))
    told = w.say(INSTRUCTIONS, labels=joint.join(labels), kind=kind)
    if w.chance(0.7):
        messages = [Message("system", told), Message("user", text)]
    elif w.chance(0.5):
        messages = [Message("user", f"{told}\n\n{text}")]
    else:
        messages = [Message("user", f"{w.pick(('', 'Text: '))}{text}\n\n{told}")]
    messages.append(Message("assistant", right))
    return Sample("classification", messages, [len(messages) - 1], tuple(labels))
