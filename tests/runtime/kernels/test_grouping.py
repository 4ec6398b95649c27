"""How sequences of a step are put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from branchline.runtime.kernels.grouping import group_sequences

SEQUENCES = st.lists(
    st.tuples(st.sampled_from([1, 1, 1, 2, 9, 300]), st.integers(0, 5000)), min_size=1, max_size=40
)


@given(SEQUENCES)
def test_every_sequence_is_in_one_group_with_its_own_kind(sequences: list[tuple[int, int]]) -> None:
    query_lens = [queries for queries, _ in sequences]
    groups = group_sequences(query_lens, [queries + old for queries, old in sequences])
    assert sorted(i for group in groups for i in group) == list(range(len(sequences)))
    assert all(len({query_lens[i] == 1 for i in group}) == 1 for group in groups)


def test_decoding_sequences_of_similar_length_are_one_group() -> None:
    assert group_sequences([1] * 32, list(range(300, 332))) == [list(range(32))]


def test_one_long_context_does_not_pad_the_short_ones() -> None:
    assert group_sequences([1] * 8, [100] * 7 + [8000]) == [[0, 1, 2, 3, 4, 5, 6], [7]]
