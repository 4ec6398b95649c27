"""The slot allocator: who may take, who may give back, and what a mistake looks like."""

from __future__ import annotations

import numpy as np
import pytest

from branchline.runtime.memory.allocator import SlotAllocator, SlotError


def test_fresh_slots_come_out_ascending_and_contiguous() -> None:
    allocator = SlotAllocator(10)
    first, second = allocator.allocate(3), allocator.allocate(4)
    assert first is not None
    assert second is not None
    assert [*first, *second] == [0, 1, 2, 3, 4, 5, 6]
    assert first.dtype == np.int64
    assert first.flags["C_CONTIGUOUS"]


def test_more_than_is_free_gives_none_and_takes_nothing() -> None:
    allocator = SlotAllocator(4)
    assert allocator.allocate(5) is None
    assert allocator.num_free == 4


def test_nothing_can_be_allocated_and_freed() -> None:
    allocator = SlotAllocator(4)
    nothing = allocator.allocate(0)
    assert nothing is not None
    allocator.free(nothing)
    assert allocator.num_free == 4


def test_a_taken_array_is_not_changed_by_later_traffic() -> None:
    allocator = SlotAllocator(4)
    mine = allocator.allocate(2)
    assert mine is not None
    before = mine.copy()
    other = allocator.allocate(2)
    assert other is not None
    allocator.free(other)
    assert (mine == before).all()


@pytest.mark.parametrize(
    "slots",
    [[3], [0, 3], [1, 1], [4], [-1], [0, 9999]],
    ids=["free already", "one free already", "named twice", "past the end", "negative", "far"],
)
def test_a_wrong_free_is_refused_and_changes_nothing(slots: list[int]) -> None:
    allocator = SlotAllocator(4)
    assert allocator.allocate(3) is not None
    with pytest.raises(SlotError):
        allocator.free(np.array(slots, np.int64))
    assert allocator.num_free == 1
    assert allocator.free_slots().tolist() == [3]


def test_a_pool_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        SlotAllocator(0)


def test_random_traffic_keeps_one_owner_per_slot() -> None:
    rng = np.random.default_rng(7)
    allocator = SlotAllocator(97)
    held: list[np.ndarray] = []
    for _ in range(20_000):
        if held and rng.random() < 0.5:
            slots = held.pop(int(rng.integers(len(held))))
            cut = int(rng.integers(len(slots) + 1))
            allocator.free(slots[:cut])
            allocator.free(slots[cut:])
        else:
            wanted = int(rng.integers(1, 20))
            taken = allocator.allocate(wanted)
            assert (taken is None) == (wanted > 97 - sum(map(len, held)))
            if taken is not None:
                held.append(taken)
        owners = np.bincount(np.concatenate([allocator.free_slots(), *held]), minlength=97)
        assert (owners == 1).all()
