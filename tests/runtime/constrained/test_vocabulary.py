"""The vocabulary as arrays: changed in a few places it is as one made anew."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from branchline.runtime.constrained.vocabulary import INFINITE, Vocabulary

TOKENS = st.lists(st.binary(max_size=3) | st.sampled_from([b"", b"a", "é".encode()]), min_size=1)


@given(TOKENS, st.dictionaries(st.integers(0, 40), st.binary(max_size=3)))
def test_a_changed_vocabulary_is_as_one_made_anew(tokens, changes):
    changes = {index: data for index, data in changes.items() if index < len(tokens)}
    changed = Vocabulary(tokens).changed(changes)
    anew = Vocabulary([changes.get(index, data) for index, data in enumerate(tokens)])
    assert changed.token_bytes == anew.token_bytes
    assert changed.max_length == anew.max_length
    for name in ("lengths", "order", "plain", "text"):
        assert np.array_equal(getattr(changed, name), getattr(anew, name)), name


def test_a_change_leaves_the_old_vocabulary_and_what_it_knows_alone():
    old = Vocabulary([b"a", b"ab"])
    assert old.holds(b"ab")
    assert old.suffix_costs(b"ab") == [1, INFINITE, 0]
    new = old.changed({1: b"xy"})
    assert (old.holds(b"ab"), old.starts(b"ab"), new.holds(b"ab"), new.starts(b"x")) == (
        True,
        True,
        False,
        True,
    )
    assert old.suffix_costs(b"ab") == [1, INFINITE, 0]
    assert new.suffix_costs(b"axy") == [2, 1, INFINITE, 0]


SPELLABLE = [b"a", b"ab", b"bab", b"bc", b"c", b"cc", b"ccc", b"aabb", "é".encode(), b"\xc3", b""]


@given(st.lists(st.sampled_from(SPELLABLE)), st.text("abcé", max_size=40))
def test_costs_are_those_of_trying_every_token_at_every_place(tokens, text):
    vocabulary, data = Vocabulary([*tokens, b"b"]), text.encode()
    costs = [0] * (len(data) + 1)
    for start in reversed(range(len(data))):
        fitting = [token for token in vocabulary.token_bytes if data[start:].startswith(token)]
        costs[start] = min(
            [INFINITE, *(costs[start + len(token)] + 1 for token in fitting if token)]
        )
    assert vocabulary.suffix_costs(data) == costs
