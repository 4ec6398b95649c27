"""Orders, as forms and as letters."""

# Tables of wordings read better packed than one string per line.
# fmt: off
from __future__ import annotations

from . import line_items, values
from .cues import SHIPPING_CUES, plain
from .invoices import CURRENCIES, TOTAL_LABELS
from .line_items import distractions
from .scene import Fact, Scene, join_sentences, labelled
from .writer import Writer

SHIPPING = ("standard", "express", "pickup")

ORDER_LABELS = ("Order", "Order no.", "Order number", "Order ID", "Order #", "Reference",
    "Purchase order", "PO")
ORDER_DATE_LABELS = ("Date", "Order date", "Ordered on", "Ordered", "Placed on", "Placed",
    "Date of order")
DELIVERY_LABELS = ("Delivery", "Delivery date", "Deliver by", "Deliver on", "Wanted by", "Arrival",
    "Requested delivery")
SHIPPING_LABELS = ("Shipping", "Shipment", "Delivery method", "Shipping method", "Dispatch",
    "Service", "Ship via")
SHIPPING_VALUES = {
    "standard": ("standard", "Standard", "standard delivery", "regular mail", "normal parcel",
        "standard post", "economy", "ground"),
    "express": ("express", "Express", "express courier", "next day", "overnight",
        "express delivery", "fast courier", "24h express"),
    "pickup": ("pickup", "Pickup", "store pickup", "customer collects", "collect in store",
        "pick up at the warehouse", "self collection", "click and collect"),
}
SHIPPING_CLAUSES: dict[str, tuple[str, ...]] = {
    "standard": (
        "[Standard|Normal|Regular] shipping is fine.", "Please send it by regular [mail|post].",
            "Ship it the usual way.",
        "No need for a courier, the ordinary post will do.",
            "Send everything with the normal parcel service.",
        "Standard delivery, please.", "The cheapest shipping is enough.",
            "Delivery by standard parcel.",
        "Shipping: standard.", "We do not need express, standard is enough.",
            "It goes out by economy mail.",
    ),
    "express": (
        "[Express|Overnight|Next-day] delivery, please.", "Please use the express courier.",
            "Send it by the fastest courier.",
        "We pay extra for express.", "Ship it express.",
            "It must go out with the overnight service.",
        "Please send it with next day delivery.", "Shipping: express.",
            "The goods should travel by express.",
        "Use the quick courier service.", "We chose the express option.",
    ),
    "pickup": (
        "We will [pick it up|collect it|fetch it] ourselves.",
            "No delivery needed, we collect the goods at your store.",
        "I will pick everything up in {city}.", "The customer collects it at the warehouse.",
            "Store pickup, please.",
        "Please keep it at the counter, I come by.", "Our driver will collect the goods.",
            "Shipping: pickup.",
        "It will be picked up at the shop.", "We come and get it from the shop.",
            "Self collection at your branch.",
    ),
}
ORDER_OPENINGS = (
    "{customer} [placed|sent|made] order {order} on {ordered}.",
        "Order {order} from {customer}, [dated|placed|received] {ordered}.",
    "On {ordered} {customer} ordered under {order}.",
        "We received order {order} from {customer} on {ordered}.",
    "This is to confirm order {order} of {ordered} for {customer}.",
        "Dear team, please register order {order} of {ordered} for us, {customer}.",
    "New order {order} ({ordered}). Customer: {customer}.",
        "{customer} here. We order with number {order} on {ordered} as follows.",
    "Thank you {customer}! Your order {order} was placed on {ordered}.",
        "Purchase order {order}, {ordered}. Buyer: {customer}.",
    "Our reference {order}, date {ordered}. The order is for {customer}.",
        "Order confirmation for {customer}: number {order}, ordered on {ordered}.",
    "As of {ordered}, order {order} is open for {customer}.",
)
ORDER_ITEMS = (
    "[We need|Please send|We order|We would like]: {items}.",
        "[We would like|We want|I want|I need] {items}.", "It contains {items}.",
    "The items are {items}.", "Ordered were {items}.", "Please deliver {items}.",
        "The order is for {items}.", "In the basket: {items}.",
    "Please reserve {items}.", "They asked for {items}.", "The order includes {items}.",
        "Goods: {items}.",
)
DELIVERY_CLAUSES = (
    "[Please deliver|Deliver|Delivery] [on|by] {delivery}.", "We need it by {delivery}.",
        "It should arrive on {delivery}.",
    "The delivery date is {delivery}.", "Delivery is planned for {delivery}.",
        "The goods are expected on {delivery}.",
    "Arrival [is set for|must be before] {delivery}.",
        "Please make sure that everything is here on {delivery}.",
    "You will get it on {delivery}.", "Requested delivery: {delivery}.",
        "It will be ready on {delivery}.",
    "We plan to hand it over on {delivery}.",
)
ORDER_DISTRACTIONS = (
    "Deliver to {street}, {city}.", "Contact on site is {person}.", "Phone: {phone}.",
        "Our last order was {code}.",
    "The offer {code} of {date} applies.", "Please call before delivery.",
        "The door code is {digits}.", "Payment by invoice.",
    "Gift wrapping is not needed.", "Discount code {code}.", "We had a good experience last time.",
        "Account manager: {person}.",
    "Maximum budget {amount}.", "Cost center {digits}.", "Please leave parcels with {person}.",
)
ORDER_ASKS = {
    "order": ("What is the order number?", "What is the order id?",
        "Which number does the order have?", "What is the reference of the order?",
        "Give the order number.", "Which order is it?"),
    "customer": ("Who is the customer?", "Who ordered?", "Who placed the order?",
        "Which customer is the order for?", "What is the name of the buyer?", "Who is buying?"),
    "ordered": ("When was the order placed?", "What is the order date?",
        "On which day was it ordered?", "When did the customer order?",
        "What is the date of the order?", "Which date does the order carry?"),
    "delivery": ("When will it be delivered?", "What is the delivery date?",
        "When should it arrive?", "By when is delivery wanted?",
        "On which date are the goods expected?", "When is the delivery planned?"),
}
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
        (
            w.pick(("Customer", "Client", "Buyer", "Ordered by", "Name", "For")),
            str(fill["customer"]),
        ),
        (w.pick(ORDER_DATE_LABELS), str(fill["ordered"])),
        (w.pick(SHIPPING_LABELS), w.say(SHIPPING_VALUES[shipping])),
    ]
    if fill["delivery"]:
        rows.append((w.pick(DELIVERY_LABELS), str(fill["delivery"])))
    elif w.chance(0.3):
        rows.append(
            (w.pick(DELIVERY_LABELS), w.pick(("open", "to be agreed", "n/a", "-", "not fixed")))
        )
    for _ in range(w.pick((0, 0, 1, 2))):
        rows.append(
            w.pick(
                (
                    ("Ship to", f"{fill['street']}, {fill['city']}"),
                    ("Phone", str(fill["phone"])),
                    ("Contact", str(fill["person"])),
                    ("Quote", str(fill["code"])),
                    ("Quote date", str(fill["date"])),
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
    return w.pick(("\n", "\n\n", "\nItems:\n")).join(blocks)


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
    ending = f"\n{w.pick(('Regards', 'Thanks', 'Best'))}, {fill['person']}" if w.chance(0.2) else ""
    return join_sentences(w, [w.say(ORDER_OPENINGS, **fill), *sentences]) + ending


def _shipping(w: Writer, shipping: str, fill: dict[str, object]) -> str:
    if w.chance(0.5):
        return plain(w, SHIPPING_CUES[shipping], fill)
    return w.say(SHIPPING_CLAUSES[shipping], **fill)
