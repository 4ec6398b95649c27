"""A variable of a state while it comes into being. Written by the executor under the state's
monitor, read by state.py and streaming.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .failures import Origin
from .values import ValueKind

Meta = dict[str, Any]


@dataclass(eq=False)
class Cell:
    """One writing of a variable. Each op that names a variable has a cell of its own, so a reader
    gets the result of the op that stood before its read, even when the name is used again.

    `chunks` are (text, meta) pieces in order; their texts concatenate to the variable's text.
    """

    name: str
    origin: Origin | None = None
    kind: ValueKind = "text"
    value_type: object = None
    value: Any = None
    meta: Meta | None = None
    error: BaseException | None = None
    final: bool = False
    chunks: list[tuple[str, Meta]] = field(default_factory=list)

    def complete(self, value: Any, meta: Meta | None = None) -> None:
        """Set the value; what was not streamed yet follows as the last chunk."""
        if self.final:
            return
        text = value[0] if isinstance(value, list) and value else value
        text = text if isinstance(text, str) else str(text)
        streamed = sum(len(piece) for piece, _ in self.chunks)
        self.chunks.append((text[streamed:], _without_logprobs(meta) if streamed else meta or {}))
        self.value, self.meta, self.final = value, meta, True

    def fail(self, error: BaseException) -> None:
        if not self.final:
            self.error, self.final = error, True


def _without_logprobs(meta: Meta | None) -> Meta:
    """The streamed chunks have carried their tokens' log probabilities already."""
    return {key: value for key, value in (meta or {}).items() if not key.endswith("_logprobs")}
