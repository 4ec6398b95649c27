"""Stop patterns against `re`, their refusals, and their time on patterns that make `re` explode."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.runtime.errors import RequestError
from branchline.runtime.stop_pattern import MAX_REMEMBERED, StopPattern

ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", "ab", r"\d", r"\w", "."])


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    )


PATTERNS = st.recursive(ATOMS, _compound, max_leaves=6)
ANCHORED = st.tuples(st.sampled_from(["", "^"]), PATTERNS, st.sampled_from(["", "$"]))


@given(pattern=ANCHORED.map("".join), text=st.text("ab1\n ", max_size=20))
@settings(max_examples=400, deadline=None)
def test_matches_end_where_re_ends_them(pattern: str, text: str) -> None:
    anchor = "^" if pattern.startswith("^") else ""
    body = pattern.removeprefix("^").removesuffix("$")
    naive = re.compile(f"{anchor}(?:{body})\\Z")
    if re.fullmatch(body, ""):
        with pytest.raises(RequestError, match="matches the empty text"):
            StopPattern(pattern)
        return
    expected = [end for end in range(1, len(text) + 1) if naive.search(text[:end])]
    assert list(StopPattern(pattern).ends(text)) == expected


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "invalid regular expression"),
        (r"(a)\1", "backreferences"),
        ("a(?=b)", "lookahead"),
        ("(a{200}b{200}){20}", "over 1000 states"),
    ],
)
def test_what_cannot_be_matched_in_linear_time_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        StopPattern(pattern)


def test_a_pattern_that_makes_backtracking_explode_takes_linear_time() -> None:
    # With re this takes 2 ** 2000 steps.
    start = time.process_time()
    assert list(StopPattern("(a|aa)+(a|aa)+!").ends("a" * 2_000)) == []
    assert time.process_time() - start < 2.0


def test_what_is_remembered_is_bounded() -> None:
    pattern = StopPattern("a[^z]{1,200}z")
    text = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 3_000))
    assert list(pattern.ends("a" * 200 + text + "a" * 200 + text[::-1])) == []
    assert sum(len(states) for states in pattern._next.values()) <= MAX_REMEMBERED
    assert list(pattern.ends("xa--z")) == [5]
