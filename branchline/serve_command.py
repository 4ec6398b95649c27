"""`branchline serve` for typer: it completes the server's own flags, which the server parses. Used
by cli.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typer.core import TyperCommand


@dataclass(frozen=True, slots=True)
class Flag:
    """As much of click's CompletionItem as the shells' scripts read; typer may bring a click of
    its own, so its class has no fixed place."""

    value: str
    help: str
    type: str = "plain"


class ServeCommand(TyperCommand):
    """A command whose flags belong to runtime/server/options.py."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        from branchline.runtime.server.layers import options_by_name

        helps = {name: action.help or "" for name, action in options_by_name().items()}
        helps["config"] = "settings as TOML, the table [serve]"
        return [
            Flag(f"--{name}", text)
            for name, text in sorted(helps.items())
            if f"--{name}".startswith(incomplete)
        ]
