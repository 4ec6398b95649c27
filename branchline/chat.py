"""A conversation in the terminal. Called by `branchline chat`."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape

import branchline as bl

if TYPE_CHECKING:
    from branchline.lang.backend.base import Backend
    from branchline.lang.state import ProgramState

# The lines of a pasted text come at once.
_PASTE_S: Final = 0.05


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
    console.print("[dim]/exit or Ctrl-D ends the conversation, Ctrl-C breaks an answer off.")
    while True:
        try:
            line = typed(console)
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        except UnicodeError:
            console.print("[red]error:[/red] what was typed is not UTF-8")
            continue
        if line in ("/exit", "/quit"):
            return
        if not line:
            continue
        state = turn.run(earlier=list(history), line=line, backend=backend, stream=True)
        console.print("[bold green]model[/bold green] ", end="")
        answer = ""
        try:
            for piece in state.text_iter("answer"):
                answer += piece
                console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
        except KeyboardInterrupt:
            state.cancel()
        except bl.ContextLengthExceeded as error:
            # A shorter line may do.
            console.print(f"[red]error:[/red] {escape(error.message)}", highlight=False)
            continue
        console.print()
        history.append((line, answer))


def typed(console: Console) -> str:
    """A line, or all lines of a pasted text. Raises UnicodeError for what is no text."""
    lines = [console.input("[bold cyan]you[/bold cyan]  ")]
    while sys.stdin.isatty() and select.select([sys.stdin], [], [], _PASTE_S)[0]:
        try:
            lines.append(input())
        except EOFError:
            break
    text = "\n".join(lines).strip()
    text.encode()
    return text
