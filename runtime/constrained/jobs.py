"""What is said between workers.py and the processes that it starts (worker.py): msgpack messages,
each behind its length in four bytes."""

from __future__ import annotations

import struct
from typing import IO

import msgspec

from ..protocol import Constraint, GrammarBackend, JsonSchema
from .limits import GrammarLimits

SIZE = struct.Struct(">I")


class Build(msgspec.Struct, tag=True, forbid_unknown_fields=True, frozen=True):
    """Take a constraint apart. marks: how the texts of formats are spelled with control tokens."""

    constraint: Constraint
    limits: GrammarLimits
    marks: dict[str, str] = {}


class Shape(msgspec.Struct, tag=True, forbid_unknown_fields=True, frozen=True):
    """Take a constraint apart and make of it all that needs no engine (shaping.py)."""

    constraint: Constraint
    limits: GrammarLimits
    marks: dict[str, str]
    backend: GrammarBackend
    falls_back: bool
    has_machine: bool
    token_bytes: list[bytes] | None
    """The vocabulary; None for one that the process was sent before."""
    vocabulary: int = 0
    """Which one that is; workers.py sees to it."""


class Try(msgspec.Struct, tag=True, forbid_unknown_fields=True, frozen=True):
    """Compile a grammar in xgrammar's EBNF, to see whether that ends in time."""

    source: str
    token_bytes: list[bytes] | None
    vocabulary: int = 0


class Judge(msgspec.Struct, tag=True, forbid_unknown_fields=True, frozen=True):
    """Does a text satisfy a schema?"""

    constraint: JsonSchema
    text: str


class Job(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """cpu_s, memory_bytes: what it may take; 0 for no limit."""

    work: Build | Shape | Try | Judge
    cpu_s: float
    memory_bytes: int


class Reply(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What came of a job; `error` is a RequestError's code, message and pointer."""

    result: bytes = b""
    error: tuple[str, str, str | None] | None = None


MEMORY = "memory"
"""The error code of a job that reached its limit of memory."""


def framed(data: bytes) -> bytes:
    """A message as it is written."""
    return SIZE.pack(len(data)) + data


def read_message(stream: IO[bytes]) -> bytes | None:
    """The next message; None at the end."""
    head = stream.read(SIZE.size)
    if len(head) < SIZE.size:
        return None
    (size,) = SIZE.unpack(head)
    data = stream.read(size)
    return data if len(data) == size else None


def write_message(stream: IO[bytes], data: bytes) -> None:
    stream.write(framed(data))
    stream.flush()
