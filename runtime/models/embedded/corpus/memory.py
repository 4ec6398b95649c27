"""What a memory of a conversation is; the tables are in memories.py, dialogue.py says them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .writer import Writer


@dataclass(frozen=True)
class Memory:
    """Something a user tells and later asks for; {v} is the value, nouns are names of it.

    Clauses say it as part of an asking sentence: "where I live" after "Do you remember".
    """

    tells: tuple[str, ...]
    reply: str
    asks: tuple[str, ...]
    follow_ups: tuple[str, ...]
    answer: str
    make: Callable[[Writer], str]
    nouns: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
