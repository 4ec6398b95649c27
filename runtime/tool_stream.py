"""Reads tool calls out of an output that comes in pieces, by the same description as the grammar
(tool_formats.py). Used by the HTTP APIs; `ToolFormat.parse` is its slow reference."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from .tool_formats import ToolFormat

_MARKS: Final = re.compile(r'["\\{}\[\]]')
_NAME_END: Final = re.compile(r"[^\w.-]")


class ToolEvent(NamedTuple):
    """A piece of an output: free text, the name of call number `call`, or more of the JSON text
    of its arguments."""

    kind: Literal["text", "name", "arguments"]
    text: str
    call: int = 0


class ToolCallReader:
    """One output. White space in front of a call and nothing else is not told as text."""

    def __init__(self, tool_format: ToolFormat) -> None:
        self._format = tool_format
        self._held = ""
        self._blank = ""
        self._told = False
        self._num_calls = 0
        self._depth = 0
        self._in_string = False
        self._literal = ""
        self._seen = ""
        self._next = _solid(tool_format.separator + tool_format.before_name)
        self._closing = _solid(tool_format.closing)
        self._events: list[ToolEvent] = []
        # Each takes what it can from `_held` and says whether another should go on.
        self._phase: Callable[[], bool] = self._begin
        self._then: Callable[[], bool] = self._name

    def feed(self, text: str) -> list[ToolEvent]:
        """What is sure with this piece. Raises ValueError where a call is broken."""
        self._held += text
        while self._phase():
            pass
        events, self._events = self._events, []
        return events

    def finish(self) -> list[ToolEvent]:
        """What was held back, now that the output has ended. Raises ValueError when it ended
        within a call."""
        if self._num_calls == 0 and self._phase in (self._begin, self._text):
            self._tell_text(self._held)
            if not self._events and self._blank:
                self._events.append(ToolEvent("text", self._blank))
        elif self._phase != self._close and not (
            self._phase == self._between and self._seen == self._closing
        ):
            raise ValueError("the output ends within a call")
        self._held = ""
        events, self._events = self._events, []
        return events

    def _begin(self) -> bool:
        if self._format.text == "instead" and self._held.startswith(self._format.trigger[0]):
            return self._expect(self._format.opening + self._format.before_name, self._name)
        if self._held:
            self._phase = self._text
        return bool(self._held)

    def _text(self) -> bool:
        """Free text, up to what begins calls."""
        trigger = self._format.trigger
        if self._format.text == "instead":
            self._tell_text(self._held)
            self._held = ""
            return False
        start = self._held.find(trigger)
        if start < 0:
            lengths = range(min(len(self._held), len(trigger) - 1), 0, -1)
            kept = next((n for n in lengths if self._held.endswith(trigger[:n])), 0)
            start = len(self._held) - kept
        self._tell_text(self._held[:start])
        self._held = self._held[start:]
        if not self._held.startswith(trigger):
            return False
        return self._expect(self._format.opening + self._format.before_name, self._name)

    def _tell_text(self, text: str) -> None:
        """Blank text waits for more text: before a call it says nothing."""
        self._blank += text
        if self._blank and (self._told or self._blank.strip()):
            self._told = True
            self._events.append(ToolEvent("text", self._blank))
            self._blank = ""

    def _expect(self, literal: str, then: Callable[[], bool]) -> bool:
        self._literal, self._then = _solid(literal), then
        self._phase = self._match
        return True

    def _match(self) -> bool:
        """A text of the format, white space aside."""
        while self._literal:
            self._held = self._held.lstrip()
            if not self._held:
                return False
            if self._held[0] != self._literal[0]:
                raise ValueError(f"expected {self._literal!r}, found {self._held[:40]!r}")
            self._held, self._literal = self._held[1:], self._literal[1:]
        self._phase = self._then
        return True

    def _name(self) -> bool:
        self._held = self._held.lstrip()
        end = _NAME_END.search(self._held)
        if end is None:
            return False
        self._events.append(ToolEvent("name", self._held[: end.start()], self._num_calls))
        self._num_calls += 1
        self._held = self._held[end.start() :]
        return self._expect(self._format.before_arguments, self._open_arguments)

    def _open_arguments(self) -> bool:
        self._held = self._held.lstrip()
        if self._held and self._held[0] != "{":
            raise ValueError(f"expected a JSON object, found {self._held[:40]!r}")
        if self._held:
            self._phase = self._arguments
        return bool(self._held)

    def _arguments(self) -> bool:
        """A JSON object, up to the brace that closes it."""
        place = 0
        while (mark := _MARKS.search(self._held, place)) is not None:
            place = mark.end()
            if mark[0] == "\\":
                if place == len(self._held):
                    # What it escapes comes with the next piece.
                    self._tell_arguments(place - 1)
                    return False
                place += 1
            elif mark[0] == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if mark[0] in "{[" else -1
                if self._depth == 0:
                    self._tell_arguments(place)
                    self._seen = ""
                    return self._expect(self._format.after_arguments, self._between)
        self._tell_arguments(len(self._held))
        return False

    def _tell_arguments(self, end: int) -> None:
        if end:
            told = self._held[:end]
            self._events.append(ToolEvent("arguments", told, self._num_calls - 1))
            self._held = self._held[end:]

    def _between(self) -> bool:
        """After a call: the next one, or what closes them all."""
        while self._held:
            self._seen += self._held[0].strip()
            self._held = self._held[1:]
            if self._seen == self._next:
                self._phase = self._name
                return True
            if not (self._next.startswith(self._seen) or self._closing.startswith(self._seen)):
                raise ValueError(f"expected a call or the end, found {self._seen + self._held!r}")
            if self._seen and self._seen == self._closing:
                self._phase = self._close
                return True
        return False

    def _close(self) -> bool:
        if self._held.strip():
            raise ValueError(f"expected the end, found {self._held[:40]!r}")
        return False


def _solid(literal: str) -> str:
    """A text of the format without its white space."""
    return "".join(literal.split())
