"""Quotas in tokens and bytes, and what they come to in slots."""

from __future__ import annotations

import pytest

from branchline.runtime.memory.quotas import check_quota, quota_slots


@pytest.mark.parametrize(
    ("quota", "slots"),
    [(0, 0), (7, 7), ("100B", 4), ("0.5kB", 20), ("1KiB", 42), ("1 KiB", 42), ("23B", 0)],
)
def test_bytes_become_the_slots_that_they_hold_wholly(quota: int | str, slots: int) -> None:
    check_quota(quota)
    assert quota_slots({"a": quota}, 1_000, lambda: 24) == {"a": slots}


@pytest.mark.parametrize("quota", [-1, True, 1.5, None, "", "12", "MiB", "-1MiB", "1e9B", "5 mib"])
def test_what_is_no_quota_is_refused(quota: object) -> None:
    with pytest.raises(ValueError, match="quota must be"):
        check_quota(quota)


def test_at_most_half_of_the_pool_can_be_promised() -> None:
    assert quota_slots({"a": 30, "b": "480B"}, 100, lambda: 24) == {"a": 30, "b": 20}
    with pytest.raises(ValueError, match="reserve 51 tokens"):
        quota_slots({"a": 31, "b": "480B"}, 100, lambda: 24)
