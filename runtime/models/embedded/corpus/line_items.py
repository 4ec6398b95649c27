"""Line items of invoices and orders: values, their facts, and the many ways to write them."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from dataclasses import dataclass

from . import layouts, values
from .scene import Fact
from .writer import Writer

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF"}

ROWS = (
    "{q} x {n} at {p}",
    "{q}x {n} @ {p}",
    "{q} × {n}, {p} each",
    "{q} pcs {n}, {p} each",
    "{q} pieces of {n}, unit price {p}",
    "{n}, {q} pcs, {p} per piece",
    "{n} - qty {q} - {p}",
    "{n} (qty {q}) {p}",
    "{n} | {q} | {p}",
    "{n} | {q} | {p} | {s}",
    "{q} | {n} | {p} | {s}",
    "{n}: {q} at {p} each",
    "{n}: {q} x {p} = {s}",
    "{q} {n} at {p} = {s}",
    "{q} units {n}, unit price {p}, sum {s}",
    "{n} x{q}, {p}",
    "{n}, quantity {q}, price {p}",
    "Item: {n}; Quantity: {q}; Unit price: {p}",
    "{n}\t{q}\t{p}\t{s}",
    "{n}   {q}   {p}",
    "{p} per unit, {q} units: {n}",
    "{q} of {n} ({p} a piece)",
    "{n} ({q} @ {p}): {s}",
    "{q} {n} for {p} each",
    "{n} .... {q} x {p}",
    "Qty {q}: {n}, {p} each ({s})",
    "{n} / {q} / {p}",
    "{q} / {n} / {p}",
    "{n}; {q}; {p}",
    "{n}: qty {q}, unit price {p}",
    "{n}: {p} each, quantity {q}",
    "{n} - {q} pcs at {p} each",
    "{q} pcs of {n} at {p} = {s}",
    "Article: {n}, pieces: {q}, price each: {p}",
    "Product: {n} | Qty: {q} | Price: {p}",
    "{n} ({p} each), {q} pieces",
    "{n}, {p} each, {q} ordered",
    "{q} times {n}, {p} apiece",
    "{n} [{q}] {p}",
    "{n}, count {q}, unit cost {p}, line total {s}",
    "Quantity {q} - {n} - unit price {p}",
    "{n} -> {q} x {p}",
)
PHRASES = (
    "{q} x {n} at {p} each",
    "{q} {n} at {p} each",
    "{q} {n} for {p} apiece",
    "{q} pieces of {n} priced at {p} each",
    "{q} units of {n} ({p} each)",
    "{q} of the {n} at {p}",
    "{n}, {q} pieces at {p}",
    "{n} ({q} at {p})",
    "{q} times {n} at a unit price of {p}",
    "{q}x {n} for {p} each",
    "{q} pcs of {n}, each {p}",
    "{q} pieces of {n} for {p} per piece",
    "{q} {n} ({p} apiece)",
    "{q} units of {n} at {p} per unit",
    "{n} ({q} pieces, {p} each)",
    "{n}, quantity {q}, at {p} each",
    "{q} of {n}, each costing {p}",
    "{q} {n} costing {p} each",
    "{n} in a quantity of {q} for {p} apiece",
    "{q} x {n}, unit price {p}",
    "{q} times {n} at {p} a piece",
    "{n} (quantity {q}, unit price {p})",
    "{q} {n}, priced {p} each",
    "{n}: {q} pieces for {p} each",
    "{q} pcs {n} @ {p}",
    "{q} items of {n}, one for {p}",
    "{q} {n} with a unit price of {p}",
)
COUNT_ASKS = (
    "How many {n} were ordered?",
    "What quantity of {n} is listed?",
    "How many {n} are there?",
    "How many pieces of {n}?",
    "What is the quantity of {n}?",
    "{n}: how many?",
    "How many {n} are listed?",
    "How many units of {n} are there?",
    "What number of {n} is given?",
    "Which quantity is given for {n}?",
    "What is the count of {n}?",
    "Give the quantity of {n}.",
    "Tell me how many {n} there are.",
    "How many times is {n} on the list?",
    "How often was {n} taken?",
    "Quantity of {n}?",
    "How many of {n}?",
    "How many items of {n} does it list?",
    "What is the number of {n}?",
    "State the number of pieces for {n}.",
    "How large is the quantity of {n}?",
    "In which quantity is {n} listed?",
    "Number of units of {n}?",
    "The quantity of {n}, please.",
    "And {n}, how many of it?",
    "Can you tell me the quantity of {n}?",
)
PRICE_ASKS = (
    "What is the unit price of {n}?",
    "How much does one {n} cost?",
    "What does a single {n} cost?",
    "What is the price per piece of {n}?",
    "At what price is {n} sold?",
    "How much is {n} per piece?",
    "What is the price of one {n}?",
    "What does one piece of {n} cost?",
    "How much is one {n}?",
    "How expensive is a single {n}?",
    "Give the unit price of {n}.",
    "Unit price of {n}?",
    "Which price per unit is given for {n}?",
    "What is charged for one {n}?",
    "Tell me what one {n} costs.",
    "What is the price each for {n}?",
    "How much per unit of {n}?",
    "At which unit price is {n} listed?",
    "What is the single price of {n}?",
    "The price per piece of {n}, please.",
    "What do you pay for one {n}?",
    "How much does {n} cost per unit?",
    "{n}: what does one cost?",
    "What would a single piece of {n} cost?",
    "State the unit price for {n}.",
    "What is {n} priced at per piece?",
)
ITEMS_KEYS = ("items", "lines", "line_items", "products", "positions", "articles", "order_lines",
    "goods")
NAME_KEYS = ("description", "name", "item", "product", "article", "title", "product_name")
QUANTITY_KEYS = ("quantity", "qty", "count", "units", "amount_ordered", "pieces", "number")
PRICE_KEYS = ("unit_price", "price", "price_each", "unit_cost", "price_per_unit", "cost")


# fmt: on
@dataclass(frozen=True)
class Lines:
    """The lines of one document: (name, quantity, unit price), and their sum."""

    rows: tuple[tuple[str, int, str], ...]
    total: str


def make_lines(w: Writer, most: int = 5) -> Lines:
    """One to `most` lines."""
    count = w.pick([n for n in (1, 1, 2, 2, 2, 3, 3, 4, 5) if n <= most])
    rows = tuple(
        (values.item_name(w), values.quantity(w), values.amount(w, 250)) for _ in range(count)
    )
    return Lines(rows, values.total_of([(q, p) for _, q, p in rows]))


def lines_fact(w: Writer, lines: Lines) -> Fact:
    """The fact behind a list of line items."""
    parts = tuple(
        (
            Fact(NAME_KEYS, "string", name),
            Fact(QUANTITY_KEYS, "integer", count, (w.say(COUNT_ASKS, n=name),)),
            Fact(PRICE_KEYS, "decimal", price, (w.say(PRICE_ASKS, n=name),)),
        )
        for name, count, price in lines.rows
    )
    return Fact(ITEMS_KEYS, "items", None, parts=parts)


def money(w: Writer, currency: str, style: int, amount: str) -> str:
    """An amount in the document's style: 0 bare, 1 code behind, 2 symbol before, 3 code before."""
    if style == 0:
        return amount
    if style == 1:
        return f"{amount} {currency}"
    if style == 2 and len(SYMBOLS[currency]) == 1:
        return f"{SYMBOLS[currency]}{amount}"
    return f"{currency} {amount}"


def block(w: Writer, lines: Lines, currency: str, style: int) -> str:
    """The lines as a list or a table, one below the other, all in one layout."""
    row = layouts.item_row(w, ROWS) if not w.heldout and w.chance(0.6) else w.template(ROWS)
    mark = w.pick(("", "", "- ", "- ", "* ", "• ", "#"))
    texts = []
    for number, (name, count, price) in enumerate(lines.rows, 1):
        subtotal = values.total_of([(count, price)])
        text = row.format(
            n=name,
            q=count,
            p=money(w, currency, style, price),
            s=money(w, currency, style, subtotal),
        )
        texts.append(f"{number}. {text}" if mark == "#" else mark + text)
    return "\n".join(texts)


def phrase(w: Writer, lines: Lines, currency: str, style: int) -> str:
    """The lines as one prose enumeration."""
    composed = not w.heldout and w.chance(0.6)
    form = layouts.item_phrase(w, PHRASES) if composed else w.template(PHRASES)
    texts = [form.format(n=n, q=q, p=money(w, currency, style, p)) for n, q, p in lines.rows]
    if len(texts) == 1:
        return texts[0]
    joint = w.pick((", ", ", ", "; "))
    return joint.join(texts[:-1]) + w.pick((" and ", ", and ", f"{joint}plus ")) + texts[-1]


def distractions(w: Writer) -> dict[str, object]:
    """Values that a document may mention beside its facts."""
    return {
        "code": values.code(w),
        "digits": values.digits(w, 4, 10),
        "date": values.date(w),
        "person": values.person(w),
        "amount": values.amount(w),
        "phone": values.phone(w),
        "street": values.street(w),
        "city": values.city(w),
    }
