"""`bl.pin`: prefixes that the runtime's cache evicts last. Called by users and by function.py."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from branchline.runtime.protocol import Part, Pinned, Text

from .backend.base import Backend
from .config import backend_or_default
from .loop import shared_loop


class Pin:
    """A pinned prefix of `num_tokens` tokens; `release`, or leaving its `with` block, ends it
    early. Requests that run are never kept waiting by pins."""

    def __init__(self, backend: Backend, pinned: Pinned) -> None:
        self.num_tokens = pinned.num_tokens
        self._backend = backend
        self._number = pinned.pin

    def release(self) -> None:
        """End the pin. Calling it again, or after its time, does nothing."""
        shared_loop().run(self._backend.unpin(self._number))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def pin(prefix: str, ttl: float = 600.0, backend: object = None) -> Pin:
    """Compute a text, and let the runtime's cache evict it last for `ttl` seconds (a week at most).

    Prompts that begin with the text as text profit; `f.pin()` is for a program whose prompts begin
    with roles. Raises Overloaded when pins hold as much as they may, and InvalidRequest for a
    backend without pins.
    """
    return pin_parts([Text(prefix)], ttl, backend_or_default(backend))


def pin_parts(parts: list[Part], ttl: float, backend: Backend) -> Pin:
    """The same for parts of a prompt."""
    return Pin(backend, shared_loop().run(backend.pin(parts, ttl)))
