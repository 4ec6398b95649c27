"""How `branchline serve` reads and lists flags: nothing abbreviated, what an unknown one may have
meant, every default shown. The base of options.py."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Final, NoReturn

# Names that other servers have for what is here an option of another form.
_ELSEWHERE: Final = {"port": "--http HOST:PORT", "host": "--http HOST:PORT"}


class UsageError(Exception):
    """The arguments make no sense; the message is for the user."""


class UnknownFlags(UsageError):
    """Flags that there are not. `names` and the `known` ones are without dashes in front."""

    def __init__(self, names: list[str], known: list[str]) -> None:
        super().__init__("; ".join(f"--{name} is not known{_hint(name, known)}" for name in names))
        self.names, self.known = names, known


class FlagParser(argparse.ArgumentParser):
    """Raises instead of exiting, so that a launcher can be told why."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """What the flags say. Raises UsageError."""
        given, rest = self.parse_known_args(argv)
        names = [text[2:].partition("=")[0] for text in rest if text.startswith("--")]
        if names:
            raise UnknownFlags(names, self.names())
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return given

    def names(self) -> list[str]:
        """The long names without dashes, hidden ones left out."""
        return [
            option.removeprefix("--")
            for action in self._actions
            for option in action.option_strings
            if option.startswith("--") and action.help != argparse.SUPPRESS and option != "--help"
        ]


class DefaultsShown(argparse.RawDescriptionHelpFormatter):
    """Help with the default behind each text that does not tell it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told = action.help or ""
        is_none = isinstance(action.default, bool | list | None)
        if is_none or action.default == argparse.SUPPRESS or "default" in told:
            return action.help
        return f"{told} (default: %(default)s)"


def _hint(name: str, known: list[str]) -> str:
    if name in _ELSEWHERE:
        return f"; use {_ELSEWHERE[name]}"
    near = difflib.get_close_matches(name, known, 3, 0.5)
    if not near:
        return "; `branchline serve --help` lists all"
    return f"; did you mean {', '.join(f'--{each}' for each in near)}?"
