"""A grammar that is a script: which tokens are allowed at each place, and where it breaks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from branchline.runtime.constrained.base import Forced, Grammar, Matcher
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices


@dataclass
class Script(Grammar):
    """allowed: the tokens that may come at each place; after the last the output is finished.
    breaks: the method of the matcher that raises, if one does, and at which place. jumps: where
    only one token may come it is forced, and of several the highest is called likely."""

    allowed: list[set[int]]
    breaks: tuple[str, int] = ("", 0)
    min_tokens: int = 1
    jumps: bool = False

    @property
    def num_bytes(self) -> int:
        return 1

    def matcher(self) -> Matcher:
        if self.breaks[0] == "matcher":
            raise ZeroDivisionError("planted in matcher")
        return ScriptMatcher(self)


class ScriptMatcher(Matcher):
    def __init__(self, script: Script) -> None:
        self.script = script
        self.place = 0
        self.remaining: list[int | None] = []
        self.finished = False

    def _perhaps_break(self, method: str) -> None:
        if self.script.breaks == (method, self.place):
            raise ZeroDivisionError(f"planted in {method}")

    @property
    def min_tokens_to_accept(self) -> int:
        return len(self.script.allowed) - self.place

    def fill_mask(self, row: np.ndarray, remaining: int | None = None) -> None:
        self._perhaps_break("fill_mask")
        self.remaining.append(remaining)
        bits = np.zeros(len(row) * 32, np.uint8)
        bits[list(self.script.allowed[self.place])] = 1
        row[:] = np.packbits(bits, bitorder="little").view(np.int32)

    def accept(self, token_id: int) -> bool:
        self._perhaps_break("accept")
        if token_id not in self.script.allowed[self.place]:
            return False
        self.place += 1
        self.finished = self.place == len(self.script.allowed)
        return True

    def rollback(self, count: int) -> None:
        self.place -= count
        self.finished = False

    def forced(self, remaining: int | None = None, respell: int = 0) -> Forced:
        self._perhaps_break("forced")
        if not self.script.jumps:
            return Forced([])
        tokens: list[int] = []
        likely = None
        for allowed in self.script.allowed[self.place :]:
            if remaining is not None and len(tokens) == remaining:
                break
            if len(allowed) > 1:
                likely = max(allowed)
                break
            tokens += allowed
        ends = bool(tokens) and self.place + len(tokens) == len(self.script.allowed)
        return Forced(tokens, likely=likely, ends=ends)

    def fork(self) -> Matcher:
        return ScriptMatcher(self.script)


@dataclass
class ScriptCompiler:
    """Hands out scripts by name; `named("slow")` waits until `gate` is set."""

    scripts: dict[str, Script | Exception]
    gate: threading.Event = field(default_factory=threading.Event)
    compiled: set[str] = field(default_factory=set)

    def ready(self, constraint: Choices, max_new_tokens: int) -> Grammar | None:
        known = constraint.choices[0] in self.compiled
        return self.compile(constraint, max_new_tokens) if known else None

    def compile(self, constraint: Choices, max_new_tokens: int) -> Grammar:
        name = constraint.choices[0]
        if name == "slow":
            assert self.gate.wait(timeout=60)
        script = self.scripts[name]
        if isinstance(script, Exception):
            raise script
        script.require_budget(max_new_tokens)
        self.compiled.add(name)
        return script


def named(name: str) -> Choices:
    return Choices([name])


TOO_HARD = RequestError("grammar", "this cannot be enforced", pointer="/constraint/choices/0")
