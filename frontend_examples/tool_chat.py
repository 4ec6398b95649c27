"""A conversation of several turns with tools at hand: the model looks things up when it has to, and
remembers what it was told.

All turns are one state, so nothing of the earlier ones is computed again, calls and results
included. `python -m branchline.frontend_examples.tool_chat` asks; an empty line ends it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import branchline as bl

# The model can name no other.
Product = Literal["kettle", "lamp", "toaster"]
STOCK: dict[Product, int] = {"kettle": 3, "lamp": 0, "toaster": 12}


@bl.tool
def count_stock(product: Product) -> dict[str, int | str]:
    """Number of a product in stock"""
    return {"product": product, "in_stock": STOCK[product]}


@bl.tool
def reserve(product: Product, quantity: int) -> str:
    """Reserve a product for the customer"""
    if quantity > STOCK[product]:
        raise ValueError(f"only {STOCK[product]} left")
    return f"{quantity} reserved"


TOOLS = [count_stock, reserve]
MOST_CALLS = 3


@bl.function
def tool_chat(
    s: bl.ProgramState, questions: Iterable[str], show: Callable[[str, str], object]
) -> None:
    """Answer one question after the other; `show` is told every turn as it is finished."""
    s += bl.system("You are a helpful assistant.\n" + bl.tool_list(TOOLS))
    for question in questions:
        s += bl.user(question)
        for calls_left in range(MOST_CALLS, -1, -1):
            choice = "auto" if calls_left else "none"
            s += bl.assistant(bl.tool_call("answer", TOOLS, choice=choice, temperature=0.0))
            show("assistant", s["answer"])
            results = s.run_tools() if calls_left else []
            if not results:
                break
            for result in results:
                show("tool", result.content)


def asked() -> Iterator[str]:
    """What the user types, up to an empty line, the end of the input or Ctrl-C."""
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while question := input("you: ").strip():
            yield question


if __name__ == "__main__":
    with bl.Runtime() as runtime:
        tool_chat.run(asked(), lambda role, text: print(f"{role}: {text}"), backend=runtime)
