"""A conversation in the terminal. Called by `branchline chat`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

import branchline as bl

if TYPE_CHECKING:
    from branchline.lang.backend.base import Backend
    from branchline.lang.state import ProgramState


def converse(
    backend: Backend,
    console: Console,
    *,
    system: str | None,
    temperature: float,
    max_tokens: int,
) -> None:
    """Read a line, stream the answer, repeat. Every turn is a program over the whole conversation;
    what earlier turns computed comes from the runtime's radix cache."""

    @bl.function
    def turn(s: ProgramState, earlier: list[tuple[str, str]], line: str) -> None:
        if system:
            s += bl.system(system)
        for asked, answered in earlier:
            s += bl.user(asked) + bl.assistant(answered)
        s += bl.user(line)
        s += bl.assistant(bl.gen("answer", max_tokens=max_tokens, temperature=temperature))

    history: list[tuple[str, str]] = []
    console.print("[dim]An empty line, /exit or Ctrl-D ends the conversation.")
    while True:
        try:
            line = console.input("[bold cyan]you[/bold cyan]  ").strip()
        except EOFError:
            console.print()
            return
        if line in ("", "/exit", "/quit"):
            return
        state = turn.run(earlier=list(history), line=line, backend=backend, stream=True)
        console.print("[bold green]model[/bold green] ", end="")
        try:
            for piece in state.text_iter("answer"):
                console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
            history.append((line, state["answer"]))
            console.print()
        except bl.ContextLengthExceeded as error:
            # A shorter line may do.
            console.print(f"[red]error:[/red] {escape(error.message)}", highlight=False)
