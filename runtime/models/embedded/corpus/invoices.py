"""Invoices, as forms and as letters."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import line_items, values
from .line_items import distractions
from .scene import Fact, Scene, join_sentences, labelled
from .writer import Writer

CURRENCIES = ("EUR", "USD", "GBP", "CHF")

INVOICE_NUMBER_LABELS = ("Invoice", "Invoice no.", "Invoice number", "Invoice #", "Bill no.",
    "Document", "No.", "Invoice ID")
VENDOR_LABELS = ("From", "Vendor", "Seller", "Supplier", "Issued by", "Billed by", "Company",
    "Sold by")
BUYER_LABELS = ("To", "Bill to", "Customer", "Client", "Billed to", "Buyer", "Sold to", "Recipient",
    "Invoice for")
ISSUED_LABELS = ("Date", "Issue date", "Invoice date", "Issued", "Date of issue", "Issued on",
    "Billing date")
DUE_LABELS = ("Due", "Due date", "Payable by", "Payment due", "Pay by", "Due on", "Payable until",
    "Payment deadline")
TOTAL_LABELS = ("Total", "Total due", "Amount due", "Grand total", "Total amount", "Sum", "To pay",
    "Balance due", "Invoice total")
CURRENCY_LABELS = ("Currency", "Currency", "All amounts in", "Prices in")

INVOICE_OPENINGS = (
    "{vendor} [hereby |]invoices {customer} [under|with] [number|invoice|no.] {number}, dated {issued}.",
    "Invoice {number} [of|from|dated] {issued}, issued by {vendor} to {customer}.",
    "Dear {customer}, {vendor} sends you invoice {number} of {issued}.",
    "On {issued}, {vendor} issued invoice {number} to {customer}.",
    "{customer} owes {vendor} for the goods below. Invoice {number}, date {issued}.",
    "This is invoice {number} from {vendor}. It was issued on {issued} for {customer}.",
    "Bill {number} ({issued}). {vendor} bills {customer}.",
    "To {customer}: please find our invoice {number} dated {issued}. Kind regards, {vendor}.",
    "{vendor} thanks {customer} for the order. Our invoice {number} carries the date {issued}.",
    "Billed to {customer} by {vendor}: invoice number {number}, issued {issued}.",
    "We, {vendor}, charge {customer} as follows (invoice {number}, {issued}).",
    "For services to {customer}, {vendor} wrote invoice {number} on {issued}.",
    "Invoice no. {number}. Seller is {vendor}, buyer is {customer}. Date {issued}.",
)
ITEMS_INTRODUCTIONS = (
    "It [covers|lists|contains|includes] {items}.", "We [supplied|delivered|billed]: {items}.",
        "Items: {items}.",
    "The positions are {items}.", "Delivered were {items}.", "Charged: {items}.",
        "You received {items}.",
    "The following goods are included: {items}.", "Content: {items}.", "The lines are {items}.",
        "We charge for {items}.",
)
DUE_CLAUSES = (
    "[Please pay|Payment is due|Payable] by {due}.", "The amount is due on {due}.",
        "Due date: {due}.",
    "We expect your payment until {due}.", "Kindly settle this by {due}.",
        "It has to be paid before {due}.",
    "Your payment should reach us no later than {due}.", "Payment deadline is {due}.",
        "Please transfer the sum by {due}.",
    "Payable until {due} without deduction.", "The invoice falls due on {due}.",
)
TOTAL_CLAUSES = (
    "The total is {total}.", "[Total|Total due|Amount due|Grand total]: {total}.",
        "In total {total} [is|are] due.",
    "This adds up to {total}.", "The sum to pay is {total}.", "Altogether {total}.",
        "The full amount comes to {total}.",
    "You owe {total} in all.", "All together that makes {total}.",
        "The invoice total amounts to {total}.",
    "The overall sum is {total}.",
)
CURRENCY_CLAUSES = (
    "All prices in {cur}.", "Amounts are in {cur}.", "The currency is {cur}.",
        "Prices are stated in {cur}.",
    "Currency: {cur}.", "We bill in {cur}.", "All sums are {cur}.", "Payable in {cur}.",
)
INVOICE_DISTRACTIONS = (
    "Our VAT number is {code}.", "Customer number {code}.",
        "Please quote {code} with your payment.",
    "Bank account {digits}.", "Delivery took place on {date}.", "Your contact is {person}.",
        "PO number {code}.",
    "Interest of {amount} is charged on late payments.", "Tax is included.",
        "Questions? Call {phone}.",
    "Your order of {date} is the basis.", "Thank you for your business!", "Shipping was free.",
    "Delivery note {code}.", "Handled by {person}.", "The last invoice {code} is paid.",
)
INVOICE_ASKS = {
    "number": ("What is the invoice number?", "Which number does the invoice have?",
        "What is the number of the invoice?", "Give the invoice number.",
        "Under which number was the invoice issued?", "Which invoice is it?"),
    "vendor": ("Who issued the invoice?", "Who is the vendor?", "Which company sent the invoice?",
        "Who is the seller?", "Who bills the customer?", "What is the name of the supplier?"),
    "customer": ("Who is the customer?", "Who has to pay?", "Who is billed?",
        "Who is the invoice for?", "To whom is the invoice addressed?",
        "What is the name of the buyer?"),
    "issued": ("When was the invoice issued?", "What is the invoice date?",
        "What is the date of the invoice?", "On which day was it issued?",
        "What is the issue date?", "Which date does the invoice carry?"),
    "due": ("When is the payment due?", "What is the due date?", "By when must it be paid?",
        "Until when is the invoice payable?", "When is the deadline for the payment?",
        "On which date is it due?"),
    "total": ("What is the total?", "How much has to be paid?", "What is the amount due?",
        "How much is the invoice?", "What is the total amount?", "What sum is due?"),
}
INVOICE_KEYS = {
    "number": ("invoice_number", "invoice_id", "number", "invoice_no", "invoice", "document_number",
        "bill_number"),
    "vendor": ("vendor", "seller", "supplier", "issuer", "from_company", "company", "billed_by",
        "merchant"),
    "customer": ("customer", "client", "buyer", "bill_to", "customer_name", "recipient",
        "billed_to"),
    "issued": ("issue_date", "invoice_date", "date", "issued", "issued_on", "date_issued"),
    "due": ("due_date", "due", "payment_due", "pay_by", "payable_by", "deadline"),
    "total": ("total", "total_amount", "amount_due", "grand_total", "total_due", "sum", "amount"),
    "currency": ("currency", "currency_code", "cur", "money_unit"),
}

# fmt: on
def invoice(w: Writer) -> Scene:
    """One invoice."""
    currency, lines = w.pick(CURRENCIES), line_items.make_lines(w)
    issued = values.date(w)
    total = lines.total if w.chance(0.85) else values.amount(w)
    vendor = values.company(w)
    customer = values.company(w) if w.chance(0.6) else values.person(w)
    number, due = values.code(w, ("INV", "RE", "BILL", "F", "IN", "R")), values.later(w, issued)
    style = w.rng.randrange(4)
    fill = distractions(w) | {
        "number": number,
        "vendor": vendor,
        "customer": customer,
        "issued": issued,
        "due": due,
        "cur": currency,
    }
    fill["total"] = line_items.money(w, currency, style or w.rng.randint(0, 3), total)
    show_currency = style == 0 or w.chance(0.2)
    make = _invoice_form if w.chance(0.6) else _invoice_letter
    text = make(w, lines, currency, style, fill, show_currency)
    options = [CURRENCIES, tuple(w.shuffled(CURRENCIES))]
    options.append(
        tuple(w.shuffled((currency, *w.some([c for c in CURRENCIES if c != currency], 1, 2))))
    )
    keys, asks = INVOICE_KEYS, INVOICE_ASKS
    facts = [
        Fact(keys["number"], "string", number, asks["number"]),
        Fact(keys["vendor"], "string", vendor, asks["vendor"]),
        Fact(keys["customer"], "string", customer, asks["customer"]),
        Fact(keys["issued"], "date", issued, asks["issued"]),
        Fact(keys["due"], "date", due, asks["due"]),
        Fact(keys["currency"], "enum", currency, options=tuple(options)),
        line_items.lines_fact(w, lines),
        Fact(keys["total"], "decimal", total, asks["total"]),
    ]
    return Scene("invoice", text, facts)


def _invoice_form(
    w: Writer,
    lines: line_items.Lines,
    currency: str,
    style: int,
    fill: dict[str, object],
    show_currency: bool,
) -> str:
    rows = [
        (w.pick(INVOICE_NUMBER_LABELS), str(fill["number"])),
        (w.pick(VENDOR_LABELS), str(fill["vendor"])),
        (w.pick(BUYER_LABELS), str(fill["customer"])),
        (w.pick(ISSUED_LABELS), str(fill["issued"])),
        (w.pick(DUE_LABELS), str(fill["due"])),
    ]
    if show_currency:
        rows.append((w.pick(CURRENCY_LABELS), currency))
    for _ in range(w.pick((0, 0, 1, 1, 2))):
        rows.append(
            w.pick(
                (
                    ("PO", str(fill["code"])),
                    ("Contact", str(fill["person"])),
                    ("VAT ID", str(fill["digits"])),
                    ("Delivered", str(fill["date"])),
                    ("Phone", str(fill["phone"])),
                    ("Account", str(fill["digits"])),
                )
            )
        )
    if w.chance(0.5):
        rows = w.shuffled(rows)
    total = (
        f"{w.pick(TOTAL_LABELS)}{w.pick((': ', ' ', ' = '))}{fill['total']}"
        if w.chance(0.75)
        else w.say(TOTAL_CLAUSES, **fill)
    )
    blocks = [labelled(w, rows), line_items.block(w, lines, currency, style), total]
    if w.chance(0.15):
        blocks[0], blocks[1] = blocks[1], blocks[0]
    if w.chance(0.3):
        blocks.append(w.say(INVOICE_DISTRACTIONS, **fill))
    title = w.pick(("INVOICE\n", "Invoice\n\n", "")) if w.chance(0.4) else ""
    return title + w.pick(("\n", "\n\n")).join(blocks)


def _invoice_letter(
    w: Writer,
    lines: line_items.Lines,
    currency: str,
    style: int,
    fill: dict[str, object],
    show_currency: bool,
) -> str:
    if w.chance(0.7):
        items = w.say(ITEMS_INTRODUCTIONS, items=line_items.phrase(w, lines, currency, style))
    else:
        items = "\n" + line_items.block(w, lines, currency, style) + "\n"
    sentences = [items, w.say(TOTAL_CLAUSES, **fill), w.say(DUE_CLAUSES, **fill)]
    if w.chance(0.3):
        sentences = [sentences[0], sentences[2], sentences[1]]
    if show_currency:
        sentences.insert(w.rng.randint(0, 3), w.say(CURRENCY_CLAUSES, **fill))
    for _ in range(w.pick((0, 1, 1, 2))):
        sentences.insert(w.rng.randint(0, len(sentences)), w.say(INVOICE_DISTRACTIONS, **fill))
    return join_sentences(w, [w.say(INVOICE_OPENINGS, **fill), *sentences])
