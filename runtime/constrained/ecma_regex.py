"""ECMAScript's regular expressions, which JSON Schema has, in Python's spelling where the two
differ; used by schema_strings.py, which goes on with regex.py, and by judging.py."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

_TOKEN = re.compile(
    r"\\[pP]\{(?P<property>[A-Za-z_=]+)\}"
    r"|\\u\{(?P<code>[0-9A-Fa-f]{1,6})\}"
    r"|\\u(?P<high>[dD][89abAB][0-9A-Fa-f]{2})\\u(?P<low>[dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|\\c(?P<control>[A-Za-z])"
    r"|\(\?<(?P<group>[A-Za-z_$][\w$]*)>"
    r"|\\.|.",
    re.DOTALL,
)
# What stands for many characters, so that a hyphen beside it is only a hyphen.
_CLASSES = ("\\d", "\\D", "\\w", "\\W", "\\s", "\\S")
_LONG_NAMES = {
    "Letter": "L",
    "Lowercase_Letter": "Ll",
    "Uppercase_Letter": "Lu",
    "Titlecase_Letter": "Lt",
    "Modifier_Letter": "Lm",
    "Other_Letter": "Lo",
    "Mark": "M",
    "Nonspacing_Mark": "Mn",
    "Number": "N",
    "Decimal_Number": "Nd",
    "digit": "Nd",
    "Letter_Number": "Nl",
    "Other_Number": "No",
    "Punctuation": "P",
    "punct": "P",
    "Symbol": "S",
    "Math_Symbol": "Sm",
    "Currency_Symbol": "Sc",
    "Separator": "Z",
    "Space_Separator": "Zs",
    "Control": "Cc",
    "Format": "Cf",
}


@lru_cache(maxsize=512)
def python_pattern(source: str) -> str:
    """The pattern as Python's `re` reads it. What neither knows stays as it is: whoever parses it
    says what is wrong."""
    pieces: list[str] = []
    in_class = False
    before = ""
    for match in _TOKEN.finditer(source):
        token = match[0]
        if not in_class and token == "[":
            in_class, piece = True, token
            # ECMAScript's classes may be empty.
            rest = source[match.end() :]
            if rest.startswith(("]", "^]")):
                in_class = False
                pieces.append("[^\\s\\S" if rest[0] == "]" else "[\\s\\S")
                before = token
                continue
        elif in_class and token == "]":
            in_class, piece = False, token
        else:
            piece = _spelled(match, in_class, before, source)
        if token == "^" and before == "[" and not in_class:
            continue  # of `[^]`, which is spelled already
        pieces.append(piece)
        before = token
    return "".join(pieces)


def _spelled(match: re.Match[str], in_class: bool, before: str, source: str) -> str:
    token = match[0]
    if match["property"]:
        members = _members(match["property"], token[1] == "P")
        if members is None:
            return token
        return members if in_class else f"[{members}]"
    if match["code"]:
        return _char(int(match["code"], 16))
    if match["high"]:
        high, low = int(match["high"], 16), int(match["low"], 16)
        return _char(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    if match["control"]:
        return _char(ord(match["control"]) % 32)
    if match["group"] and not in_class:
        return "(?:"
    if in_class and token == "[":
        return "\\["
    following = source[match.end() : match.end() + 2]
    if in_class and token == "-" and (_is_class(before) or _is_class(following)):
        return "\\-"
    return token


def _is_class(token: str) -> bool:
    return token in _CLASSES or token[:2] in ("\\p", "\\P")


def _char(code: int) -> str:
    return f"\\U{code:08x}" if code <= sys.maxunicode else f"\\u{{{code:x}}}"


@lru_cache(maxsize=64)
def _members(name: str, negated: bool) -> str | None:
    """The characters of a general category as ranges; None where the name is not known."""
    name = name.removeprefix("General_Category=").removeprefix("gc=")
    short = _LONG_NAMES.get(name, name)
    categories = _categories()
    chosen = [kind for kind in categories if kind.startswith(short)]
    if not chosen or len(short) > 2:
        return None
    wanted = [kind for kind in categories if (kind in chosen) is not negated]
    ranges = [pair for kind in wanted for pair in categories[kind]]
    return "".join(f"{_char(low)}-{_char(high)}" for low, high in sorted(ranges))


@lru_cache(maxsize=1)
def _categories() -> dict[str, list[tuple[int, int]]]:
    """The ranges of each general category (about 0.2 s, once)."""
    found: dict[str, list[tuple[int, int]]] = {}
    start, last = 0, unicodedata.category("\0")
    for code in range(1, sys.maxunicode + 2):
        kind = unicodedata.category(chr(code)) if code <= sys.maxunicode else ""
        if kind != last:
            found.setdefault(last, []).append((start, code - 1))
            start, last = code, kind
    found.pop("Cs", None)
    return found
