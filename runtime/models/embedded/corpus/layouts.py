"""Rows put together at random from the ways to write each of their parts.

A list of whole rows, however long, is learnt by heart; what to learn is where one value ends and
the next begins. Held-out texts never use these: they keep to the held-out rows, and a row put
together here that is one of them is thrown away.
"""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from .writer import Writer, split_wordings

DELIMITERS = (
    "\t", "\t", " | ", " | ", " / ", "; ", ", ", ", ", "   ", "    ", " - ", " - ", " – ", ": ",
    " -> ", " => ", " .... ", " · ", ". ", " // ", " + ", " > ", " _ ", "|", ";", " :: ",
)
ITEM_NAMES = (
    "{n}", "{n}", "{n}", "{n}", "{n}", "{n}", "Article: {n}", "Product {n}", "item: {n}", "[{n}]",
    "what: {n}", "Name: {n}", "Description: {n}", "<{n}>", "goods: {n}",
)
ITEM_COUNTS = (
    "{q}", "{q}", "{q}", "{q}", "{q} pcs", "{q} pieces", "{q} units", "qty {q}", "Qty: {q}", "{q}x",
    "quantity {q}", "Quantity: {q}", "x{q}", "x {q}", "{q} x", "({q})", "[{q}]", "count {q}",
    "number: {q}", "{q} pc.", "how many: {q}", "{q} items", "{q} off", "pieces: {q}", "units: {q}",
    "ordered: {q}", "{q} ×", "({q} pcs)", "no. {q}", "times {q}", "{q} ordered", "amount: {q}",
)
ITEM_PRICES = (
    "{p}", "{p}", "{p}", "{p}", "{p} each", "at {p}", "@ {p}", "@{p}", "unit price {p}", "({p})",
    "Unit price: {p}", "price {p}", "price: {p}", "{p} apiece", "{p} a piece", "{p} per piece",
    "({p} each)", "at {p} each", "each {p}", "per unit {p}", "{p} per unit", "[{p}]", "for {p}",
    "for {p} each", "cost {p}", "unit cost: {p}", "{p}/pc", "one for {p}", "single price {p}",
    "per piece: {p}", "rate {p}", "costs {p}", "({p} a unit)",
)
ITEM_SUMS = (
    "{s}", "{s}", "= {s}", "sum {s}", "total {s}", "line total: {s}", "({s})", "[{s}]", "makes {s}",
    "together {s}", "in all {s}", "subtotal {s}", "Sum: {s}", "amount {s}",
)
COUNTS_BEFORE = (
    "{q}", "{q}", "{q} x", "{q}x", "{q} ×", "{q} pieces of", "{q} units of", "{q} times", "{q} of",
    "{q} pcs of", "{q} of the", "a total of {q}", "a set of {q}", "{q} items of", "a batch of {q}",
    "a lot of {q}", "{q} pcs", "altogether {q}", "exactly {q}", "{q} boxes of", "{q} packs of",
    "no less than {q}", "as many as {q}", "{q} samples of", "the number of {q}", "about {q}",
)
COUNTS_AFTER = (
    "({q} pieces)", "({q} pcs)", "({q})", ", {q} pieces,", ", {q} units,", "times {q}", "x {q}",
    "x{q}", ", quantity {q},", "to the number of {q}", "amounting to {q} pieces", "numbering {q}",
    "in {q} pieces", "{q} in number", "with a count of {q}", "(quantity: {q})", "({q} of it)",
    "in the quantity {q}", "[{q}]", "({q} times)", ", {q} of them,", "counted {q} times", "- {q} -",
    "in a number of {q}", "of which {q} are wanted", "taken {q} times", "({q} in all)",
)
PRICES_AFTER = (
    "at {p}", "at {p} each", "for {p} each", "for {p}", "({p} each)", "({p})", "@ {p}", "each {p}",
    "priced at {p}", "priced {p} each", "costing {p}", "costing {p} each", "at {p} per piece",
    "at {p} per unit", "at {p} a piece", "at a price of {p}", "for {p} per unit", "for {p} a unit",
    "with a price of {p}", "sold at {p}", "at the price of {p} each", "charged at {p}", "- {p}",
    "[{p}]", "({p} per piece)", "(price {p})", "(one costs {p})", "worth {p} each",
    "which cost {p}",
    "at {p} for one", "valued at {p} a piece", "to be had for {p}", "billed at {p} each",
)
OWNERS = (
    "{owner}", "{owner}", "{owner}", "@{owner}", "({owner})", "[{owner}]", "owner: {owner}",
    "Who: {owner}", "by {owner}", "for {owner}", "responsible: {owner}", "assignee {owner}",
    "person: {owner}", "Owner {owner}", "assigned to {owner}", "lead: {owner}", "done by {owner}",
    "in charge: {owner}", "<{owner}>", "name: {owner}",
)
DUTIES = (
    "{task}", "{task}", "{task}", "{task}", "Task: {task}", "What: {task}", "to do: {task}",
    "Action: {task}", "job: {task}", "todo {task}", "step: {task}", "has to {task}", "to {task}",
)
DEADLINES = (
    "{due}", "{due}", "{due}", "due {due}", "by {due}", "until {due}", "deadline {due}", "({due})",
    "[{due}]", "When: {due}", "due: {due}", "latest {due}", "before {due}", "Deadline: {due}",
    "due on {due}", "(due {due})", "(by {due})", "finish: {due}", "date: {due}", "<{due}>",
    "no later than {due}", "(until {due})", "ready {due}",
)


# fmt: on
def row(
    w: Writer, spoken: tuple[str, ...], *parts: tuple[str, ...], last: tuple[str, ...] = ()
) -> str:
    """A row of the parts in any order with one delimiter, or several; `last`, if given, may close
    the row. `spoken`: the whole rows, of which none that is held out is made."""
    while True:
        texts = [w.pick(ways) for ways in w.shuffled(parts)]
        if last and w.chance(0.4):
            texts.append(w.pick(last))
        delimiter = w.pick(DELIMITERS)
        several = w.chance(0.25)
        made = texts[0]
        for text in texts[1:]:
            made += (w.pick(DELIMITERS) if several else delimiter) + text
        if made not in split_wordings(spoken)[1]:
            return made


def item_row(w: Writer, spoken: tuple[str, ...]) -> str:
    """A line item with slots {n}, {q}, {p} and perhaps {s}."""
    return row(w, spoken, ITEM_NAMES, ITEM_COUNTS, ITEM_PRICES, last=ITEM_SUMS)


def item_phrase(w: Writer, spoken: tuple[str, ...]) -> str:
    """A line item in prose, with slots {n}, {q} and {p}."""
    while True:
        if w.chance(0.5):
            named = f"{w.pick(COUNTS_BEFORE)} {{n}}"
        else:
            named = f"{{n}} {w.pick(COUNTS_AFTER)}".replace(" ,", ",")
        made = f"{named} {w.pick(PRICES_AFTER)}"
        if made not in split_wordings(spoken)[1]:
            return made


def action_row(w: Writer, spoken: tuple[str, ...]) -> str:
    """An action item with slots {owner}, {task} and {due}."""
    return row(w, spoken, OWNERS, DUTIES, DEADLINES)
