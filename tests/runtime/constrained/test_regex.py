"""Regular expressions: `re.fullmatch` is the judge."""

from __future__ import annotations

import itertools
import re

import pytest

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, Regex

PATTERNS = [
    "a|ab|abc",
    "b|ba",
    r"1(\.2)?",
    "(ab)+",
    "a+?",
    "a*",
    "(|a)b",
    "a||b",
    "^(a|b)$",
    "^a|b$",
    r"\Aab\Z",
    "[^a]",
    "[^a-b1]+",
    ".",
    "(?s:.)",
    r"\w+",
    r"\W",
    r"[\w.]{1,2}",
    r"[^\W\d_]",
    r"\s",
    r"\S\s",
    "(?i)aB",
    "(?i)[^a]",
    "(?:a(?i:b))c?",
    "a{2}",
    "a{0,2}b{1,}",
    "(?P<x>a)b",
    "(?x) a  b # comment",
    "(a*)*b",
    "(a|a)*",
    r"[\]\-^\"\\]",
    "é|è",
]
ALPHABET = 'ab1.B_\n -"\\]éè'


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_regex_accepts_what_fullmatch_accepts(pattern, compiler, accepts):
    grammar = compiler.compile(Regex(pattern))
    # On characters outside ASCII the classes keep to what every engine agrees on.
    for size in range(4):
        alphabet = ALPHABET if size < 3 else "ab1\n"
        for chars in itertools.product(alphabet, repeat=size):
            text = "".join(chars)
            expected = re.fullmatch(pattern, text) is not None
            if accepts(grammar, text) != expected:
                assert expected, text
                assert re.search(r"\\[wWdDsS]", pattern), text
                assert not text.isascii(), text


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"(a)\1", "backreferences"),
        ("a(?=b)", "lookahead"),
        ("a(?!b)", "lookahead"),
        ("(?<=a)b", "lookbehind"),
        (r"\bword", r"\\b"),
        ("a^b", r"\^ or \$"),
        ("(?>a+)b", "atomic"),
        ("a++b", "possessive"),
        ("(a)?(?(1)b|c)", "conditional"),
        ("(", "invalid regular expression"),
        ("a{2,1}", "invalid regular expression"),
        ("(" * 100 + "a" + ")" * 100, "nests deeper"),
        ("(a{1000}){1000}", "over the limit"),
        ("((a{0,100}){0,100}){0,100}", "over the limit"),
    ],
)
def test_what_a_regex_cannot_have_is_refused_by_name(pattern, what, compiler):
    with pytest.raises(RequestError, match=what) as caught:
        compiler.compile(Regex(pattern))
    assert caught.value.code == "grammar"


def test_choices_are_exact_though_one_begins_another(compiler, accepts):
    choices = [
        "yes",
        "yesterday",
        "",
        "no ",
        'say "hi"',
        "é",
        "霍格沃茨",
        "x" * 70 + "1",
        "x" * 70 + "2",
    ]
    grammar = compiler.compile(Choices([*choices, "yes"]))
    for text in choices:
        assert accepts(grammar, text)
    for text in ("y", "yest", "no", "x" * 70, "è"):
        assert not accepts(grammar, text)


def test_digits_are_ascii(compiler, accepts):
    assert not accepts(compiler.compile(Regex(r"\d")), "٣")
    assert not accepts(compiler.compile(Regex(r"\D")), "٣")


def test_a_language_is_built_without_torch():
    import subprocess
    import sys

    code = (
        "import sys; from branchline.runtime.constrained.compiler import build_language; "
        "from branchline.runtime.constrained.limits import GrammarLimits; "
        "from branchline.runtime.protocol import Regex; "
        "build_language(Regex('a+'), GrammarLimits());"
        "sys.exit('torch' in sys.modules or 'xgrammar' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert build_language(Regex("a"), GrammarLimits()).rules == {}
