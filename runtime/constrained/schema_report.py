"""What became of each keyword of a schema; filled while it is converted, kept with the grammar."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from .schema_check import ANNOTATIONS, pointer_to, refuse

# An entry, its place in a tuple, and its pointer without the text.
_ENTRY_BYTES = 128

State = Literal["enforced", "superset", "described"]
STATES: Final[dict[str, State]] = {state: state for state in get_args(State)}
"""Each of them, to be held once where it was read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A keyword by its JSON pointer.

    enforced: every output satisfies it. superset: outputs may break it, so the finished value is
    checked. described: it limits nothing (JSON Schema calls such keywords annotations).
    """

    pointer: str
    state: State
    reason: str = ""


def report_bytes(report: tuple[Entry, ...]) -> int:
    """What the entries take in memory."""
    return sum(_ENTRY_BYTES + len(entry.pointer) + len(entry.reason) for entry in report)


@dataclass(slots=True)
class Report:
    """lenient: take what cannot be enforced as a superset; otherwise refuse it."""

    lenient: bool = False
    _entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries.values())

    @property
    def exact(self) -> bool:
        """Whether every output is sure to be valid."""
        return not any(entry.state == "superset" for entry in self._entries.values())

    def visit(self, pointer: str, schema: dict[str, Any]) -> None:
        for keyword in schema:
            where = pointer_to(pointer, keyword)
            state: State = "described" if keyword in ANNOTATIONS else "enforced"
            self._entries.setdefault(where, Entry(where, state))

    def enforced(self, pointer: str) -> None:
        """A keyword that only describes in other drafts."""
        self._entries[pointer] = Entry(pointer, "enforced")

    def described(self, pointer: str, reason: str) -> None:
        self._entries[pointer] = Entry(pointer, "described", reason)

    def superset(self, pointer: str, reason: str) -> None:
        """Raises RequestError("grammar") unless lenient."""
        if not self.lenient:
            remedy = 'change the schema, or check finished values with on_unsupported="validate"'
            refuse(pointer, f"{reason}; {remedy}")
        self._entries[pointer] = Entry(pointer, "superset", reason)
