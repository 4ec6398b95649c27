"""What a model said, taken apart: thinking, text, tool calls; whole or as it comes. Used by every
chat API."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from ...errors import RequestError
from ...protocol import ModelInfo
from ...reasoning import ReasoningFormat, detected_format
from ...tool_formats import ToolFormat, tool_format_for
from ...tool_stream import ToolCallReader

# Asking the system for randomness lets another thread run, each time, before this one goes on.
_STEM: Final = secrets.token_hex(8)
_numbers: Final = itertools.count(secrets.randbelow(1 << 24))
_BROKEN: Final = "the model's output holds a broken tool call: {}"


class OutputEvent(NamedTuple):
    """A piece: thinking, text, the name of call number `call`, or more of its arguments."""

    kind: Literal["thinking", "text", "name", "arguments"]
    text: str
    call: int = 0


@dataclass
class Called:
    """One call. `arguments` is JSON text."""

    name: str
    arguments: str = ""


@dataclass
class Said:
    """A whole output."""

    thinking: str = ""
    text: str = ""
    calls: list[Called] = field(default_factory=list)

    def add(self, event: OutputEvent) -> None:
        if event.kind == "thinking":
            self.thinking += event.text
        elif event.kind == "text":
            self.text += event.text
        elif event.kind == "name":
            self.calls.append(Called(event.text))
        else:
            self.calls[event.call].arguments += event.text


@dataclass(frozen=True, slots=True)
class Reading:
    """How the outputs of a request are read: by which form of calls (None: there are none) and of
    thinking (None: text is text)."""

    tool_format: ToolFormat | None = None
    reasoning: ReasoningFormat | None = None

    def read(self, text: str) -> Said:
        """A whole output. Raises RequestError."""
        reader = OutputReader(self)
        said = Said()
        for event in (*reader.feed(text), *reader.finish()):
            said.add(event)
        return said


def reading_of(model: ModelInfo, *, calls: bool, constrained: bool) -> Reading:
    """`calls`: the output may hold calls. `constrained`: its form is fixed, without thinking."""
    reasoning = None
    if model.reasoning_tags is not None and model.role_markup is not None and not constrained:
        reasoning = detected_format(model.reasoning_tags, model.role_markup["assistant"][0])
    return Reading(tool_format_for(model) if calls else None, reasoning)


class OutputReader:
    """One output as it comes."""

    def __init__(self, reading: Reading) -> None:
        self._thinking = reading.reasoning.splitter() if reading.reasoning else None
        self._calls = ToolCallReader(reading.tool_format) if reading.tool_format else None

    def feed(self, text: str) -> list[OutputEvent]:
        """What is sure with this piece. Raises RequestError."""
        thinking = ""
        if self._thinking is not None:
            thinking, text = self._thinking.feed(text)
        return [*_told("thinking", thinking), *self._read(text)]

    def finish(self) -> list[OutputEvent]:
        """What was held back, now that the output has ended. Raises RequestError."""
        thinking = text = ""
        if self._thinking is not None:
            thinking, text = self._thinking.finish()
        return [*_told("thinking", thinking), *self._read(text, last=True)]

    def _read(self, text: str, *, last: bool = False) -> list[OutputEvent]:
        if self._calls is None:
            return _told("text", text)
        try:
            events = self._calls.feed(text) + (self._calls.finish() if last else [])
        except ValueError as error:
            raise RequestError("internal", _BROKEN.format(error)) from None
        return [OutputEvent(*event) for event in events]


def new_id(prefix: str) -> str:
    """A fresh id, such as call_5f0c..."""
    return f"{prefix}_{serial()}"


def serial() -> str:
    """What no other id ends in."""
    return f"{_STEM}{next(_numbers):08x}"


def _told(kind: Literal["thinking", "text"], text: str) -> list[OutputEvent]:
    return [OutputEvent(kind, text)] if text else []
