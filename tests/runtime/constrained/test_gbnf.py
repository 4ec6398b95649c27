"""Grammars in the GBNF dialect: what they mean, and how a broken one is told."""

from __future__ import annotations

import pytest

from branchline.runtime.constrained.compiler import build_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.vocabulary import Vocabulary
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Ebnf

BYTES = Vocabulary([bytes([byte]) for byte in range(256)])

ARITHMETIC = """
# Left recursion, as grammars of expressions are mostly written.
root ::= sum
sum  ::= sum [+-] product | product
product ::= product ("*" | "/") atom
          | atom
atom ::= [0-9]+ | "(" sum ")"
"""

MEANINGS = {
    'root ::= "a" "b" | "c"': (["ab", "c"], ["a", "abc", ""]),
    'root ::= "a"{2} "b"{1,} "c"{0,2}': (["aab", "aabbcc"], ["ab", "aabccc"]),
    'root ::= [^a-c\\n]*': (["", "xyz", "é"], ["a", "\n"]),
    'root ::= "\\x41\\u00e9\\U0001F600\\"\\\\"': (['Aé😀"\\'], ["A"]),
    'root ::= .': (["x", "\n", "霍"], ["", "xx"]),
    'root ::= [\\]\\-^]': (["]", "-", "^"], ["\\"]),
    'root ::= x-1 # note "\nx-1 ::= "a" | ("b"\n | "c")': (["a", "b", "c"], ["x"]),
    "root ::= ": ([""], ["a"]),
    'root ::= "(" root ")" | ""': (["", "((()))"], ["(", "())"]),
    ARITHMETIC: (["1", "1+2*(3-4)/5", "((7))"], ["", "1+", "+1", "(1", "1++2"]),
    'root ::= root "a" | root | "b"': (["b", "baa"], ["", "a"]),
}  # fmt: skip


def walker_of(source: str, limits: GrammarLimits | None = None) -> Walker:
    return Walker(build_language(Ebnf(source), limits or GrammarLimits()), BYTES)


def accepts(walker: Walker, text: str) -> bool:
    state = walker.walk(walker.start, text.encode())
    return state is not None and state.accepting


@pytest.mark.parametrize("source", MEANINGS)
def test_a_grammar_means_what_its_dialect_says(source):
    walker = walker_of(source)
    taken, refused = MEANINGS[source]
    assert [accepts(walker, text) for text in taken] == [True] * len(taken)
    assert [accepts(walker, text) for text in refused] == [False] * len(refused)


@pytest.mark.parametrize("source", [s for s in MEANINGS if s != "root ::= "])
def test_masks_of_a_grammar_are_those_of_the_reference(source, compiler, tokenizer, allowed):
    vocabulary = compiler._engine.vocabulary
    walker = Walker(build_language(Ebnf(source), GrammarLimits()), vocabulary)
    table = vocabulary.token_bytes
    matcher, state = compiler.compile(Ebnf(source)).matcher(), walker.start
    for _ in range(6):
        expected = {
            index
            for index, data in enumerate(table)
            if data and walker.walk(state, data) is not None
        }
        assert allowed(matcher) - set(tokenizer.eos_ids) == expected
        if not expected:
            break
        token = max(expected)
        assert matcher.accept(token)
        state = walker.walk(state, table[token])


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('x ::= "a"', "no rule `root`"),
        ("root ::= x", "line 1: there is no rule `x`"),
        ('root ::= "a"\nroot ::= "b"', "line 2: the rule `root` is there already"),
        ('root ::= ("a"', r"line 1: this `\(` is never closed"),
        ('root ::= "a")', "line 1: '\\)'"),
        ('root ::=\n "a', "line 2: cannot read '\"a'"),
        ("root ::= [z-a]", "runs backwards"),
        ('root ::= "\\d"', r"escape \\d is unknown"),
        ("root ::= *", r"nothing stands before '\*'"),
        ('root ::= "a"{3,2}', "no number of repetitions"),
        ('root ::= "a"{1,999999}', "over the limits"),
        ('root ::= "\\ud800"', "half a surrogate pair"),
        ('root ::= "\\Uffffffff"', "is no character"),
        ("root ::= " + "(" * 100 + '"a"' + ")" * 100, "nests deeper than 64"),
        ('"a"', "stands outside a rule"),
        ('root ::= a\na ::= b "x" | "y"\nb ::= a | "z"', "left recursion: a -> b -> a"),
        ('root ::= "x"? root "a" | "b"', "left recursion: root -> root"),
    ],
)
def test_a_broken_grammar_is_told_with_its_place(source, told):
    with pytest.raises(RequestError, match=told) as caught:
        walker_of(source)
    assert caught.value.code == "grammar"


@pytest.mark.parametrize("source", ["root ::= root", 'root ::= "a" root'])
def test_a_grammar_without_a_sentence_is_refused(source, compiler):
    with pytest.raises(RequestError, match="nothing satisfies"):
        compiler.compile(Ebnf(source))
