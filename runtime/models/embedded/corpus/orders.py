"""Orders, as forms and as letters."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from . import line_items, values
from .cues import SHIPPING_CUES, plain
from .invoices import CURRENCIES, TOTAL_LABELS
from .line_items import distractions
from .order_wordings import (
    CUSTOMER_LABELS,
    DELIVERY_CLAUSES,
    DELIVERY_LABELS,
    ENDINGS,
    ITEM_HEADINGS,
    NO_DELIVERY,
    ORDER_ASKS,
    ORDER_DATE_LABELS,
    ORDER_DISTRACTIONS,
    ORDER_ITEMS,
    ORDER_LABELS,
    ORDER_OPENINGS,
    SHIPPING_CLAUSES,
    SHIPPING_LABELS,
    SHIPPING_VALUES,
)
from .scene import Fact, Scene, join_sentences, labelled
from .writer import Writer

SHIPPING = ("standard", "express", "pickup")

ORDER_KEYS = {
    "order": ("order_id", "order_number", "order", "order_no", "po_number", "reference", "id"),
    "customer": ("customer", "customer_name", "client", "buyer", "ordered_by", "name"),
    "ordered": ("order_date", "ordered_on", "date", "placed_on", "ordered_at", "created"),
    "delivery": ("delivery_date", "deliver_by", "delivery", "expected_on", "arrival_date",
        "wanted_by", "ship_date"),
    "shipping": ("shipping", "shipping_method", "delivery_method", "shipping_type", "dispatch",
        "method"),
}


# fmt: on
def order(w: Writer) -> Scene:
    """One order."""
    lines, shipping, ordered = line_items.make_lines(w), w.pick(SHIPPING), values.date(w)
    currency, style = w.pick(CURRENCIES), w.rng.randrange(4)
    customer = values.company(w) if w.chance(0.5) else values.person(w)
    number = values.code(w, ("ORD", "PO", "SO", "B", "O", "WO"))
    delivery = values.later(w, ordered) if w.chance(0.65) else None
    fill = distractions(w) | {
        "order": number,
        "customer": customer,
        "ordered": ordered,
        "delivery": delivery,
    }
    text = (_order_form if w.chance(0.5) else _order_letter)(
        w, lines, currency, style, fill, shipping
    )
    options = [SHIPPING, tuple(w.shuffled(SHIPPING))]
    options.append(tuple(w.shuffled((shipping, w.pick([s for s in SHIPPING if s != shipping])))))
    keys, asks = ORDER_KEYS, ORDER_ASKS
    facts = [
        Fact(keys["order"], "string", number, asks["order"]),
        Fact(keys["customer"], "string", customer, asks["customer"]),
        Fact(keys["ordered"], "date", ordered, asks["ordered"]),
        Fact(keys["delivery"], "date", delivery, asks["delivery"]),
        Fact(keys["shipping"], "enum", shipping, options=tuple(options)),
        line_items.lines_fact(w, lines),
    ]
    return Scene("order", text, facts)


def _order_form(
    w: Writer,
    lines: line_items.Lines,
    currency: str,
    style: int,
    fill: dict[str, object],
    shipping: str,
) -> str:
    rows = [
        (w.pick(ORDER_LABELS), str(fill["order"])),
        (w.pick(CUSTOMER_LABELS), str(fill["customer"])),
        (w.pick(ORDER_DATE_LABELS), str(fill["ordered"])),
        (w.pick(SHIPPING_LABELS), w.say(SHIPPING_VALUES[shipping])),
    ]
    if fill["delivery"]:
        rows.append((w.pick(DELIVERY_LABELS), str(fill["delivery"])))
    elif w.chance(0.3):
        rows.append((w.pick(DELIVERY_LABELS), w.pick(NO_DELIVERY)))
    for _ in range(w.pick((0, 0, 1, 2))):
        rows.append(
            w.pick(
                (
                    ("Ship to", f"{fill['street']}, {fill['city']}"),
                    ("Phone", str(fill["phone"])),
                    ("Contact", str(fill["person"])),
                    ("Quote", str(fill["code"])),
                    ("Quote date", str(fill["date"])),
                    ("Delivery address", f"{fill['street']}, {fill['city']}"),
                    ("Invoice to", f"{fill['street']}, {fill['city']}"),
                    ("Tel.", str(fill["phone"])),
                    ("Account manager", str(fill["person"])),
                    ("Approved by", str(fill["person"])),
                    ("Offer", str(fill["code"])),
                    ("Project", str(fill["code"])),
                    ("Price list of", str(fill["date"])),
                    ("Cost center", str(fill["digits"])),
                    ("Budget", str(fill["amount"])),
                )
            )
        )
    if w.chance(0.5):
        rows = w.shuffled(rows)
    blocks = [labelled(w, rows), line_items.block(w, lines, currency, style)]
    if w.chance(0.15):
        blocks.reverse()
    if w.chance(0.3):
        blocks.append(
            f"{w.pick(TOTAL_LABELS)}: {line_items.money(w, currency, style, lines.total)}"
        )
    if w.chance(0.3):
        blocks.append(w.say(ORDER_DISTRACTIONS, **fill))
    return w.pick(("\n", "\n\n", f"\n{w.pick(ITEM_HEADINGS)}:\n")).join(blocks)


def _order_letter(
    w: Writer,
    lines: line_items.Lines,
    currency: str,
    style: int,
    fill: dict[str, object],
    shipping: str,
) -> str:
    if w.chance(0.65):
        items = w.say(ORDER_ITEMS, items=line_items.phrase(w, lines, currency, style))
    else:
        items = "\n" + line_items.block(w, lines, currency, style) + "\n"
    sentences = [items, _shipping(w, shipping, fill)]
    if fill["delivery"]:
        sentences.insert(w.rng.randint(0, 2), w.say(DELIVERY_CLAUSES, **fill))
    for _ in range(w.pick((0, 1, 1, 2))):
        sentences.insert(w.rng.randint(0, len(sentences)), w.say(ORDER_DISTRACTIONS, **fill))
    ending = f"\n{w.pick(ENDINGS)}, {fill['person']}" if w.chance(0.2) else ""
    return join_sentences(w, [w.say(ORDER_OPENINGS, **fill), *sentences]) + ending


def _shipping(w: Writer, shipping: str, fill: dict[str, object]) -> str:
    if w.chance(0.5):
        return plain(w, SHIPPING_CUES[shipping], fill, SHIPPING_CLAUSES[shipping])
    return w.say(SHIPPING_CLAUSES[shipping], **fill)
