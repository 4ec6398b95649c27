"""Grammars in the GBNF dialect (llama.cpp's, a form of EBNF) to languages; called by compiler.py.

    root   ::= "say " word ("," word){0,3}     # a comment
    word   ::= [a-z]+ | "\\u00e9" | .

Literals and classes take the escapes of JSON strings, `\\xHH` and `\\UHHHHHHHH`, and a backslash
before what would mean something; `.` is any character. A rule goes on over line ends until the
next `name ::=`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from ..errors import RequestError
from . import charset
from .expr import EMPTY, Chars, Expr, Language, Ref, Repeat, alt, chars, lit, seq
from .left_recursion import without_left_recursion
from .limits import GrammarLimits

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_.-]*"
_TOKENS: Final = re.compile(
    rf"""(?P<space>(?:\s|\#[^\n]*)+)
    |(?P<rule>{_NAME})(?:\s|\#[^\n]*)*::=
    |(?P<name>{_NAME})
    |(?P<literal>"(?:[^"\\\n]|\\.)*")
    |(?P<class>\[(?:[^\]\\\n]|\\.)*\])
    |(?P<count>\{{\s*\d{{1,9}}\s*(?:,\s*(?:\d{{1,9}})?\s*)?\}})
    |(?P<mark>[()|*+?.])""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))|([^\\])", re.DOTALL
)
_SHORT: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_PLAIN: Final = "\\\"'/[]-^.*+?(){}|"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def gbnf_language(source: str, limits: GrammarLimits) -> Language:
    """The language of a grammar's rule `root`. Raises RequestError("grammar") naming the line."""
    if len(source) > limits.max_source_chars:
        _refuse(f"grammar of {len(source)} characters, at most {limits.max_source_chars}")
    rules = _Parser(_tokens(source), limits).rules()
    if "root" not in rules:
        _refuse(f"the grammar has no rule `root`; it has {', '.join(rules) or 'none'}"[:300])
    return Language(Ref("root"), without_left_recursion(rules))


def _tokens(source: str) -> list[_Token]:
    found: list[_Token] = []
    place, line = 0, 1
    while place < len(source):
        match = _TOKENS.match(source, place)
        if match is None:
            rest = source[place : place + 20].splitlines()[0]
            _refuse(f"line {line}: cannot read {rest!r}; is a quote or bracket left open?")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(_Token(kind, match[kind], line))
        line += match[0].count("\n")
        place = match.end()
    return found


class _Parser:
    """Recursive descent; one per grammar."""

    def __init__(self, tokens: list[_Token], limits: GrammarLimits) -> None:
        self._tokens = tokens
        self._place = 0
        self._limits = limits
        self._depth = 0
        self._parts = 0
        self._used: dict[str, int] = {}

    def rules(self) -> dict[str, Expr]:
        rules: dict[str, Expr] = {}
        while (token := self._next()) is not None:
            if token.kind != "rule":
                _refuse(f"line {token.line}: {token.text!r} stands outside a rule (`name ::= ...`)")
            if token.text in rules:
                _refuse(f"line {token.line}: the rule `{token.text}` is there already")
            rules[token.text] = self._choice()
            after = self._peek()
            if after is not None and after.kind != "rule":
                _refuse(f"line {after.line}: {after.text!r} has no beginning")
        for name, line in self._used.items():
            if name not in rules:
                _refuse(f"line {line}: there is no rule `{name}`")
        return rules

    def _peek(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _next(self) -> _Token | None:
        token = self._peek()
        self._place += token is not None
        return token

    def _choice(self) -> Expr:
        self._depth += 1
        if self._depth > self._limits.max_depth:
            _refuse(f"the grammar nests deeper than {self._limits.max_depth} groups")
        options = [self._sequence()]
        while (token := self._peek()) is not None and token.text == "|" and token.kind == "mark":
            self._place += 1
            options.append(self._sequence())
        self._depth -= 1
        return alt(options)

    def _sequence(self) -> Expr:
        items: list[Expr] = []
        while (token := self._peek()) is not None:
            if token.kind == "rule" or (token.kind == "mark" and token.text in "|)"):
                break
            self._place += 1
            items.append(self._repeated(self._item(token)))
        return seq(*items)

    def _item(self, token: _Token) -> Expr:
        self._parts += 1
        if self._parts > self._limits.max_nodes:
            _refuse(f"the grammar has over {self._limits.max_nodes} parts")
        if token.kind == "literal":
            return _literal(token)
        if token.kind == "class":
            return _class(token)
        if token.kind == "name":
            self._used.setdefault(token.text, token.line)
            return Ref(token.text)
        if token.text == ".":
            return Chars(charset.ALL)
        if token.text == "(":
            inner = self._choice()
            closing = self._next()
            if closing is None or closing.text != ")":
                _refuse(f"line {token.line}: this `(` is never closed")
            return inner
        return _refuse(f"line {token.line}: nothing stands before {token.text!r} that could repeat")

    def _repeated(self, item: Expr) -> Expr:
        while (token := self._peek()) is not None:
            if token.kind == "count":
                low, high = _bounds(token)
            elif token.kind == "mark" and token.text in "*+?":
                low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[token.text]
            else:
                break
            self._place += 1
            most = low if high is None else max(low, high)
            if low > self._limits.max_min_repeat or most > self._limits.max_count:
                _refuse(
                    f"line {token.line}: {token.text} is over the limits of "
                    f"{self._limits.max_min_repeat} for the least and {self._limits.max_count} "
                    "for the most repetitions"
                )
            item = EMPTY if high == 0 else Repeat(item, low, high)
        return item


def _bounds(token: _Token) -> tuple[int, int | None]:
    low, comma, high = token.text.strip("{}").partition(",")
    least = int(low)
    most = least if not comma else int(high) if high.strip() else None
    if most is not None and most < least:
        _refuse(f"line {token.line}: {token.text} has no number of repetitions")
    return least, most


def _literal(token: _Token) -> Expr:
    text = "".join(char for char, _ in _unescaped(token))
    try:
        return lit(text) if text else EMPTY
    except UnicodeEncodeError:
        _refuse(f"line {token.line}: {token.text} holds half a surrogate pair")


def _class(token: _Token) -> Expr:
    members = _unescaped(token)
    negated = bool(members) and members[0] == ("^", False)
    members = members[negated:]
    ranges: list[tuple[int, int]] = []
    place = 0
    while place < len(members):
        low = high = ord(members[place][0])
        if place + 2 < len(members) and members[place + 1] == ("-", False):
            high = ord(members[place + 2][0])
            place += 2
        if high < low:
            _refuse(f"line {token.line}: {token.text} holds a range that runs backwards")
        ranges.append((low, high))
        place += 1
    found = charset.normalise(ranges)
    return chars(charset.negate(found) if negated else found)


def _unescaped(token: _Token) -> list[tuple[str, bool]]:
    """The characters inside the quotes or brackets, each with whether it was escaped."""
    found: list[tuple[str, bool]] = []
    for match in _ESCAPE.finditer(token.text, 1, len(token.text) - 1):
        digits = match[1] or match[2] or match[3]
        if match[5]:
            found.append((match[5], False))
        elif digits:
            code = int(digits, 16)
            if code > charset.MAX_CODE_POINT:
                _refuse(f"line {token.line}: {match[0]} is no character")
            found.append((chr(code), True))
        elif match[4] in _SHORT or match[4] in _PLAIN:
            found.append((_SHORT.get(match[4], match[4]), True))
        else:
            _refuse(
                f"line {token.line}: the escape {match[0]} is unknown; classes such as \\d are "
                "written [0-9]"
            )
    return found


def _refuse(message: str) -> NoReturn:
    raise RequestError("grammar", message, pointer="/constraint/grammar")
