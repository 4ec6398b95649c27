"""A conversation of several turns whose answers are shown as they are written.

Every turn is appended to one state, so nothing of the earlier turns is computed again. The embedded
model holds short dialogues.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import branchline as bl


@bl.function
def chat(s: bl.ProgramState, questions: list[str]) -> None:
    s += bl.system("You are a friendly assistant. Answer in one or two sentences.")
    for number, question in enumerate(questions):
        s += bl.user(question)
        s += bl.assistant(bl.gen(f"answer_{number}", max_tokens=64, temperature=0.0))


async def show(questions: list[str], backend: object, write: Callable[[str], object]) -> None:
    """Write questions and answers, each piece as soon as it is there."""
    state = chat.run(questions, stream=True, backend=backend)
    for number, question in enumerate(questions):
        write(f"you:   {question}\nmodel: ")
        async for piece in state.text_async_iter(f"answer_{number}"):
            write(piece)
        write("\n")


def write_now(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    with bl.Runtime() as runtime:
        asyncio.run(show(["Hello!", "What can you do?", "Thank you."], runtime, write_now))
