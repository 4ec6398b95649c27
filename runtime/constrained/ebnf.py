"""Write a language in xgrammar's EBNF; called by xgrammar_engine.py."""

from __future__ import annotations

from ..errors import RequestError
from .expr import Alt, Chars, Distinct, Expr, Language, Lit, Ref, Repeat, Seq
from .limits import GrammarLimits

# Longest bounded repetition that is spelled out where the walker can count it instead.
SPELLED_OUT = 32
_SHORT_ITEM = 400


def counted_by_walker(expr: Repeat) -> bool:
    """Whether the upper bound is left to the walker."""
    return expr.counted_outside and expr.high is not None and expr.high > SPELLED_OUT


def write_ebnf(language: Language, vocab_size: int, limits: GrammarLimits) -> str:
    """Text of the grammar, its root rule named `root`."""
    return _Writer(vocab_size, limits).write(language)


class _Writer:
    def __init__(self, vocab_size: int, limits: GrammarLimits) -> None:
        self._vocab_size = vocab_size
        self._limits = limits
        self._lines: list[str] = []
        self._names: dict[str, str] = {}
        self._shared: dict[int, str] = {}
        self._repeated: set[int] = set()
        self._chains: dict[tuple[str, int], str] = {}

    def write(self, language: Language) -> str:
        self._repeated = _repeated([language.root, *language.rules.values()])
        self._names = {name: f"r{index}" for index, name in enumerate(language.rules)}
        for name, body in language.rules.items():
            self._lines.append(f"{self._names[name]} ::= {self._text(body)}")
        self._lines.append(f"root ::= {self._text(language.root)}")
        return "\n".join(self._lines) + "\n"

    def _text(self, expr: Expr) -> str:
        match expr:
            case Lit(data):
                return _quote(data.decode())
            case Chars(charset):
                return "[" + "".join(map(_range, charset)) + "]"
            case Seq(items):
                return " ".join(self._group(item) for item in items)
            case Alt(items):
                return " | ".join(self._group(item) for item in items)
            case Ref(name):
                return self._names[name]
            case Repeat():
                return self._repeat(expr)
            case Distinct():
                raise RequestError(
                    "grammar",
                    "items that all differ (`uniqueItems`) have no form in xgrammar's EBNF; leave "
                    "out grammar_backend",
                )

    def _group(self, expr: Expr) -> str:
        name = self._shared.get(id(expr))
        if name is not None:
            return name
        text = self._text(expr)
        if not isinstance(expr, Alt | Seq):
            return text
        if id(expr) in self._repeated and len(text) > _SHORT_ITEM:
            name = self._shared[id(expr)] = f"i{len(self._lines)}"
            self._lines.append(f"{name} ::= {text}")
            return name
        return f"({text})"

    def _repeat(self, expr: Repeat) -> str:
        low, high = expr.low, expr.high
        if high is not None and counted_by_walker(expr):
            high = None
        if (low, high) == (0, 1):
            return f"({self._text(expr.item)})?"
        count = low if high is None else high
        if count > 1 and count * self._vocab_size > self._limits.max_repeat_work:
            most = self._limits.max_repeat_work // self._vocab_size
            raise RequestError(
                "grammar",
                f"a repetition of up to {count} times is over the limit of {most} for this "
                "vocabulary; use a smaller bound or none",
            )
        name = self._rule(expr.item)
        pieces = [name] * low
        if high is None:
            return " ".join([*pieces, f"({name})*"])
        if high > low:
            pieces.append(self._chain(name, high - low))
        return " ".join(pieces) or '""'

    def _rule(self, item: Expr) -> str:
        """How to write an item that is written more than once: a name where it is long. Short
        ones are written out: xgrammar precomputes masks within a rule, and a rule that covers
        one character leaves every longer token to be tried at run time (1.4 ms per mask)."""
        if isinstance(item, Chars | Ref):
            return self._text(item)
        text = self._group(item)
        if len(text) <= _SHORT_ITEM:
            return text
        name = self._shared.get(id(item))
        if name is None:
            name = f"i{len(self._lines)}"
            self._shared[id(item)] = name
            self._lines.append(f"{name} ::= {text}")
        return name

    def _chain(self, name: str, count: int) -> str:
        """Up to `count` times as a chain of rules: xgrammar's own {0,n} of a rule costs 5 to
        190 ms per mask, a chain 0.05 ms."""
        following = '""'
        for length in range(1, count + 1):
            rule = self._chains.get((name, length))
            if rule is None:
                rule = self._chains[name, length] = f"c{len(self._lines)}"
                self._lines.append(f'{rule} ::= "" | {name} {following}')
            following = rule
        return following


def _repeated(roots: list[Expr]) -> set[int]:
    """Ids of the expressions that stand in more than one place."""
    seen: set[int] = set()
    repeated: set[int] = set()
    pending = list(roots)
    while pending:
        expr = pending.pop()
        if id(expr) in seen:
            repeated.add(id(expr))
            continue
        seen.add(id(expr))
        match expr:
            case Seq(items) | Alt(items):
                pending += items
            case Repeat(item):
                pending.append(item)
            case Distinct(item, between):
                pending += (item, between)
            case _:
                pass
    return repeated


def _quote(text: str) -> str:
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    code = ord(char)
    if char in "\\\"'-]^[" or code < 0x20 or code > 0x7E:
        return f"\\U{code:08X}"
    return char


def _range(item: tuple[int, int]) -> str:
    low, high = (f"\\U{code:08X}" for code in item)
    return low if low == high else f"{low}-{high}"
