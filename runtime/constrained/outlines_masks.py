"""Masks from outlines_core: the "outlines" engine, for those who want it by name. Built by
xgrammar_engine.py.

outlines_core 0.2.14 has two defects that a sentinel hides: it drops edges out of accepting states,
and of alternatives it keeps the first that matches (`yes|yesterday` never gives "yesterday"). So
every text ends with a NUL here, and a state is accepting where the NUL may follow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import RequestError
from .allowance import Allowance
from .byte_dfa import inlined
from .charset import CharSet
from .expr import Alt, Chars, Distinct, Expr, Language, Lit, Ref, Repeat, Seq
from .handle import BitMask, Handle
from .vocabulary import Vocabulary

_END = -1


class OutlinesEngine:
    """outlines_core with one vocabulary. Raises RequestError where it is not installed."""

    def __init__(self, vocabulary: Vocabulary, eos_ids: tuple[int, ...]) -> None:
        try:
            import outlines_core
        except ImportError:
            raise RequestError(
                "grammar",
                'grammar_backend="outlines" needs outlines_core: pip install outlines-core',
                pointer="/constraint/backend",
            ) from None
        self._index = outlines_core.Index
        self.vocabulary = vocabulary
        self.eos_ids = frozenset(eos_ids)
        ids: dict[bytes, list[int]] = {}
        for index, data in enumerate(vocabulary.token_bytes):
            if data and b"\0" not in data:
                ids.setdefault(data, []).append(index)
        self.sentinel = len(vocabulary.token_bytes)
        ids[b"\0"] = [self.sentinel]
        self._vocabulary = outlines_core.Vocabulary(self.sentinel + 1, ids)

    def compile(self, language: Language) -> OutlinesMasks:
        """Raises RequestError("grammar") where the language is not regular or it fails."""
        pattern = f"(?:{_pattern(inlined(language))})\\x00"
        try:
            index = self._index(pattern, self._vocabulary)
        except Exception as error:  # it raises bare Exceptions
            raise RequestError(
                "grammar", f"outlines_core cannot compile this: {str(error)[:300]}"
            ) from None
        return OutlinesMasks(self, index)


class OutlinesMasks:
    """An index; shared by sequences."""

    def __init__(self, engine: OutlinesEngine, index: Any) -> None:
        self.engine = engine
        self.index = index

    @property
    def memory_size_bytes(self) -> int:
        # An edge is two integers in a hash map.
        return 32 * sum(map(len, self.index.get_transitions().values()))

    def prepare(self, handle: Handle, allowance: Allowance) -> bool:
        """All of it was found when the index was built."""
        return True

    def handle(self) -> OutlinesHandle:
        return OutlinesHandle(self, [self.index.get_initial_state()])


class OutlinesHandle:
    """The index's states after each token."""

    def __init__(self, masks: OutlinesMasks, states: list[int]) -> None:
        self._masks = masks
        self._states = states

    def fill_next_token_bitmask(self, bitmask: BitMask, index: int = 0, /) -> bool:
        engine = self._masks.engine
        allowed = self._masks.index.get_allowed_tokens(self._states[-1]) or []
        bits = np.zeros(bitmask.shape[1] * 32, dtype=np.uint8)
        found = np.array([token for token in allowed if token < engine.sentinel], dtype=np.int64)
        bits[found] = 1
        if self._accepting():
            bits[list(engine.eos_ids)] = 1
        bitmask[index] = np.packbits(bits, bitorder="little").view(np.int32)
        return True

    def _accepting(self) -> bool:
        masks = self._masks
        return masks.index.get_next_state(self._states[-1], masks.engine.sentinel) is not None

    def accept_token(self, token_id: int, /) -> bool:
        engine = self._masks.engine
        if self.is_terminated():
            return False
        following: int | None
        if token_id in engine.eos_ids:
            following = _END if self._accepting() else None
        elif 0 <= token_id < engine.sentinel:
            following = self._masks.index.get_next_state(self._states[-1], token_id)
        else:
            following = None
        if following is None:
            return False
        self._states.append(following)
        return True

    def rollback(self, num_tokens: int = 1, /) -> None:
        if num_tokens:
            del self._states[-num_tokens:]

    def is_terminated(self) -> bool:
        return self._states[-1] == _END

    def fork(self) -> OutlinesHandle:
        return OutlinesHandle(self._masks, self._states.copy())


def _pattern(expr: Expr) -> str:
    """A regular expression in Rust's syntax."""
    match expr:
        case Lit(data):
            return "".join(_char(ord(char)) for char in data.decode())
        case Chars(members):
            return _class(members)
        case Seq(items):
            return "".join(map(_pattern, items))
        case Alt(items):
            # No alternative at all: an empty class.
            return f"(?:{'|'.join(map(_pattern, items))})" if items else "[^\\s\\S]"
        case Repeat(item, low, high):
            return f"(?:{_pattern(item)}){{{low},{'' if high is None else high}}}"
        case Ref() | Distinct():
            raise AssertionError("rules were inlined, and they hold regular parts only")


def _class(members: CharSet) -> str:
    # NUL is the sentinel.
    ranges = [(max(low, 1), high) for low, high in members if high > 0]
    if not ranges:
        return "[^\\s\\S]"
    return "[" + "".join(f"{_char(low)}-{_char(high)}" for low, high in ranges) + "]"


def _char(code: int) -> str:
    if code == 0:
        raise RequestError("grammar", 'grammar_backend="outlines" takes no NUL character')
    return f"\\x{{{code:x}}}"
