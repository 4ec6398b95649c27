"""The program of the README: one mail, two typed answers, one shared prefix."""

from typing import Literal

from pydantic import BaseModel

import branchline as bl


class Ticket(BaseModel):
    customer: str
    order_id: str
    urgency: Literal["low", "normal", "high"]


@bl.function
def triage(s, mail):
    fields = bl.schema_outline(Ticket)
    s += bl.system(f"Extract a record from the document as JSON with these fields:\n{fields}")
    s += bl.user(mail)
    s += bl.assistant(bl.gen("ticket", schema=Ticket, temperature=0))
    s += bl.user("Which order is it about?")
    s += bl.assistant(bl.gen("answer", temperature=0, max_tokens=40))


if __name__ == "__main__":
    mail = "Hello, my kettle from order KX-20931 is broken. Please answer today! Regards, Ines Vogt"
    with bl.Runtime(model_path="embedded") as runtime:
        state = triage.run(mail, backend=runtime)
        print(repr(state.value("ticket")))
        print(state["answer"])
        print(state.usages()[-1].cached_tokens, "prompt tokens came from the cache")
