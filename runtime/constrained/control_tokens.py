"""Control tokens inside grammars; used by tagged.py, compiler.py and xgrammar_engine.py.

A grammar is a language of bytes, and no byte of text is allowed to be a control token. Where a
format names one (`<tool_call>`), it stands in the language as a character of Unicode's last
plane, which is for private use and which such languages forbid everywhere else. All of its
characters begin with the byte F4 and no other character holds that byte, so tokens of text that
hold it are left out of the vocabulary, and nothing but the control token spells the character.
"""

from __future__ import annotations

import numpy as np

from ..errors import RequestError
from ..tokenizer import Tokenizer
from . import charset
from .charset import CharSet
from .expr import Alt, Chars, Distinct, Expr, Language, Lit, Ref, Repeat, Seq, alt, chars, seq
from .json_text import ANY_VALUE_RULES
from .vocabulary import Vocabulary

_FIRST = 0x100000
_LEAD_BYTE = 0xF4
TEXT: CharSet = ((0, 0xD7FF), (0xE000, _FIRST - 1))
"""Every character that text may hold in such a language."""


class ControlTokens:
    """The control tokens of one tokenizer as characters, and back."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids = sorted(tokenizer.control_ids - set(tokenizer.eos_ids))
        self._chars = {index: chr(_FIRST + place) for place, index in enumerate(self._ids)}

    def marked(self, text: str) -> str:
        """Text of a format with the control tokens that it names as their characters."""
        pieces: list[str] = []
        plain = b""
        for index in self._tokenizer.encode_text(text, markup=True):
            if index in self._chars:
                pieces += [plain.decode(), self._chars[index]]
                plain = b""
            elif index in self._tokenizer.control_ids:
                raise RequestError(
                    "grammar", f"{text!r} names a token that ends the output", pointer="/constraint"
                )
            else:
                plain += self._tokenizer.token_bytes[index]
        return "".join([*pieces, plain.decode()])

    def vocabulary(self, text: Vocabulary) -> Vocabulary:
        """The tokens as such a language has them, of those as they are in text."""
        num_tokens = len(text.token_bytes)
        data = np.frombuffer(b"".join(text.token_bytes), dtype=np.uint8)
        places = np.flatnonzero(data == _LEAD_BYTE)
        holders = np.searchsorted(np.cumsum(text.lengths), places, side="right")
        changes = dict.fromkeys(holders.tolist(), b"")
        changes |= {i: char.encode() for i, char in self._chars.items() if i < num_tokens}
        return text.changed(changes)

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a stretch of the language's text: control tokens where they stand."""
        ids: list[int] = []
        plain = ""
        for char in text:
            if ord(char) >= _FIRST:
                ids += [*self._tokenizer.encode_text(plain), self._ids[ord(char) - _FIRST]]
                plain = ""
            else:
                plain += char
        return ids + self._tokenizer.encode_text(plain)


class TextOnly:
    """Takes the characters that stand for control tokens out of languages that become parts of
    one. Expressions that several of them share stay shared, so that they are compiled once."""

    def __init__(self) -> None:
        # With the original, whose id would be given to another one once it is gone.
        self._done: dict[int, tuple[Expr, Expr]] = {}

    def language(self, language: Language, prefix: str) -> Language:
        """The language, its own rules renamed by a prefix."""
        rules = {
            _renamed(name, prefix): self._keep(body, prefix)
            for name, body in language.rules.items()
        }
        return Language(self._keep(language.root, prefix), rules)

    def _keep(self, expr: Expr, prefix: str) -> Expr:
        found = self._done.get(id(expr))
        if found is None:
            found = self._done[id(expr)] = (expr, self._rebuilt(expr, prefix))
        return found[1]

    def _rebuilt(self, expr: Expr, prefix: str) -> Expr:
        match expr:
            case Lit(data):
                if _LEAD_BYTE in data:
                    raise RequestError(
                        "grammar",
                        f"{data.decode()!r} holds a character of Unicode's last private-use "
                        "plane, which cannot be told from a control token here; leave it out",
                    )
                return expr
            case Chars(members):
                return chars(charset.intersect(members, TEXT))
            case Seq(items):
                return seq(*(self._keep(item, prefix) for item in items))
            case Alt(items):
                return alt(self._keep(item, prefix) for item in items)
            case Repeat(item, low, high, counted_outside):
                return Repeat(self._keep(item, prefix), low, high, counted_outside)
            case Distinct(item, between, low, high):
                parts = (self._keep(item, prefix), self._keep(between, prefix))
                return Distinct(*parts, low, high)
            case Ref(name):
                return Ref(_renamed(name, prefix))


def _renamed(name: str, prefix: str) -> str:
    return name if name in ANY_VALUE_RULES else prefix + name
