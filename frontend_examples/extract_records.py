"""Typed records from documents: support mails, invoices, orders and meeting notes.

    branchline demo                                             # on the documents beside this file
    branchline run extract_records.py --input mine.jsonl --output records.jsonl

Each input line is `{"kind": "invoice", "text": "..."}`, each output line the record.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

import branchline as bl

Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Decimal = Annotated[str, Field(pattern=r"^\d+\.\d{2}$")]


class SupportMail(BaseModel):
    customer: str
    email: str | None
    product: str
    order_id: str
    category: Literal["billing", "shipping", "technical", "returns"]
    urgency: Literal["low", "normal", "high"]


class LineItem(BaseModel):
    description: str
    quantity: int
    unit_price: Decimal


class Invoice(BaseModel):
    invoice_number: str
    vendor: str
    customer: str
    issue_date: Date
    due_date: Date
    currency: Literal["EUR", "USD", "GBP", "CHF"]
    items: Annotated[list[LineItem], Field(min_length=1, max_length=8)]
    total: Decimal


class Order(BaseModel):
    order_id: str
    customer: str
    order_date: Date
    delivery_date: Date | None
    shipping: Literal["standard", "express", "pickup"]
    items: Annotated[list[LineItem], Field(min_length=1, max_length=8)]


class ActionItem(BaseModel):
    owner: str
    task: str
    due_date: Date


class MeetingNotes(BaseModel):
    title: str
    date: Date
    attendees: list[str]
    status: Literal["planned", "on_track", "delayed", "done"]
    action_items: Annotated[list[ActionItem], Field(min_length=1, max_length=6)]


RECORD_TYPES: dict[str, type[BaseModel]] = {
    "support_mail": SupportMail,
    "invoice": Invoice,
    "order": Order,
    "meeting_notes": MeetingNotes,
}


@bl.function
def extract_record(s: bl.ProgramState, kind: str, text: str) -> BaseModel:
    """One document in, one validated record out."""
    record_type = RECORD_TYPES[kind]
    # The instruction comes first and is the same for every document of a kind, so the runtime
    # computes it once and serves it from the radix cache from then on.
    s += bl.system(
        "Extract a record from the document as JSON with these fields:\n"
        + bl.schema_outline(record_type)
    )
    s += bl.user(text)
    s += bl.assistant(bl.gen("record", schema=record_type, max_tokens=512, temperature=0.0))
    return s.value("record", record_type)
