"""Invoices, as forms and as letters."""

# Tables of wordings read better packed than one string per line.
# fmt: off
# ruff: noqa: E501
from __future__ import annotations

from . import line_items, values
from .invoice_wordings import (
    CURRENCY_CLAUSES,
    DUE_CLAUSES,
    INVOICE_ASKS,
    INVOICE_DISTRACTIONS,
    INVOICE_OPENINGS,
    ISSUED_CLAUSES,
    ITEMS_INTRODUCTIONS,
    NUMBER_CLAUSES,
    PARTY_CLAUSES,
    TOTAL_CLAUSES,
)
from .line_items import distractions
from .scene import Fact, Scene, join_sentences, labelled
from .writer import Writer

CURRENCIES = ("EUR", "USD", "GBP", "CHF")

INVOICE_NUMBER_LABELS = ("Invoice", "Invoice no.", "Invoice number", "Invoice #", "Bill no.", "Document", "No.", "Invoice ID", "Bill number", "Bill", "Document no.", "Number", "Invoice ref.", "Bill ID", "Our invoice", "Tax invoice", "Document number", "Inv. no.", "Invoice code", "Doc. no.")
VENDOR_LABELS = ("From", "Vendor", "Seller", "Supplier", "Issued by", "Billed by", "Company", "Sold by", "Issuer", "Merchant", "Invoice from", "Bill from", "Biller", "Supplied by", "Vendor name", "Seller name", "Sender", "Invoiced by", "Creditor", "Payee", "Provider", "Dealer", "Supplier name")
BUYER_LABELS = ("To", "Bill to", "Customer", "Client", "Billed to", "Buyer", "Sold to", "Recipient", "Invoice for", "Invoice to", "Customer name", "Client name", "Invoiced to", "Purchaser", "For", "Addressee", "Payer", "Debtor", "Issued to", "Charge to", "Buyer name", "Bill for", "Customer billed")
ISSUED_LABELS = ("Date", "Issue date", "Invoice date", "Issued", "Date of issue", "Issued on", "Billing date", "Dated", "Bill date", "Created", "Date issued", "Date of invoice", "Invoiced on", "Written on", "Billed on", "Document date", "Invoice issued", "Date of bill", "Made out on", "Tax date")
DUE_LABELS = ("Due", "Due date", "Payable by", "Payment due", "Pay by", "Due on", "Payable until", "Payment deadline", "Pay until", "Due by", "Deadline", "To be paid by", "Date due", "Payment by", "Payment date", "Pay before", "Payment until", "Payable on", "Last day to pay", "Settle by", "Term of payment", "Falls due", "Payment due date")
TOTAL_LABELS = ("Total", "Total due", "Amount due", "Grand total", "Total amount", "Sum", "To pay", "Balance due", "Invoice total", "Total sum", "Amount payable", "Final amount", "Sum total", "Overall total", "Total to pay", "Amount to pay", "Total price", "Final total", "Payable", "Balance", "In total", "Total payable", "Amount")
CURRENCY_LABELS = ("Currency", "Currency", "All amounts in", "Prices in", "Amounts in", "Currency code", "Invoice currency", "Billing currency", "Sums in", "Billed in", "All prices in", "Payable in")

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
    return join_sentences(w, [_opening(w, fill), *sentences])


def _opening(w: Writer, fill: dict[str, object]) -> str:
    """Who bills whom, with which number and date: in one sentence or in one for each."""
    if w.chance(0.6):
        return w.say(INVOICE_OPENINGS, **fill)
    clauses = [w.say(table, **fill) for table in (NUMBER_CLAUSES, ISSUED_CLAUSES)]
    clauses.insert(w.pick((0, 0, 1, 2)), w.say(PARTY_CLAUSES, **fill))
    return " ".join(clauses)
