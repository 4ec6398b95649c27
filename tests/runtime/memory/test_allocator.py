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
    last = int(allocate(allocator, 1)[0])
    assert len(allocate(allocator, 0, last)) == 0
    allocator.free(np.array([last]))
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


def allocate(allocator: SlotAllocator, n: int, behind: int = -1) -> np.ndarray:
    taken = allocator.allocate(n, behind)
    assert taken is not None
    return taken


def allocate_next(allocator: SlotAllocator, slots: np.ndarray) -> int:
    taken = allocator.allocate_next(int(slots[-1]))
    assert taken is not None
    return taken


def test_sequences_that_decode_together_each_lie_together() -> None:
    allocator = SlotAllocator(1000)
    held = [allocate(allocator, n) for n in (5, 16, 20)]
    for _ in range(30):
        held = [np.append(slots, allocate_next(allocator, slots)) for slots in held]
    for slots in held:
        for run in range(0, len(slots), 16):
            piece = slots[run : run + 16]
            assert (piece == np.arange(piece[0], piece[0] + len(piece))).all()


def test_a_sequence_that_is_lengthened_fills_its_run_first() -> None:
    allocator = SlotAllocator(1000)
    first, other = allocate(allocator, 10), allocate(allocator, 1)
    more = allocate(allocator, 30, int(first[-1]))
    assert more[:6].tolist() == list(range(first[-1] + 1, first[-1] + 7))
    assert more[6] % 16 == 0
    assert not np.isin(other, more).any()


def test_two_that_go_on_from_one_slot_get_one_each() -> None:
    allocator = SlotAllocator(1000)
    held = allocate(allocator, 3)
    taken = [allocate_next(allocator, held) for _ in range(3)]
    assert len(set(taken)) == 3
    assert taken[0] == held[-1] + 1


def test_what_is_left_of_runs_can_be_had_by_anybody() -> None:
    allocator = SlotAllocator(40)
    held = [allocate(allocator, 1) for _ in range(3)]  # a slot in each run, and one behind the last
    rest = allocate(allocator, 37)
    assert allocator.num_free == 0
    assert sorted(np.concatenate([*held, rest]).tolist()) == list(range(40))
    assert allocator.allocate_next(int(held[0][-1])) is None
    allocator.free(rest[:1])
    assert allocate_next(allocator, held[0]) == rest[0]


def test_a_run_that_is_free_again_lies_in_one_piece() -> None:
    allocator = SlotAllocator(64)
    everything = allocate(allocator, 64)
    for slots in (everything[40:], everything[:24], everything[24:40]):
        allocator.free(slots[::2])
        allocator.free(slots[1::2])
    for _ in range(4):
        slots = allocate(allocator, 16)
        assert (slots == np.arange(slots[0], slots[0] + 16)).all()


@pytest.mark.parametrize("num_slots", [7, 97, 160])
def test_random_traffic_keeps_one_owner_per_slot(num_slots: int) -> None:
    rng = np.random.default_rng(7)
    allocator = SlotAllocator(num_slots)
    held: list[np.ndarray] = []
    for _ in range(10_000):
        choice = rng.random()
        if held and choice < 0.4:
            slots = held.pop(int(rng.integers(len(held))))
            cut = int(rng.integers(len(slots) + 1))
            allocator.free(slots[:cut])
            allocator.free(slots[cut:])
        elif held and choice < 0.6:
            for place, slots in enumerate(held):
                next_one = allocator.allocate_next(int(slots[-1]))
                assert (next_one is None) == (num_slots == sum(map(len, held)))
                if next_one is not None:
                    held[place] = np.append(slots, next_one)
        else:
            wanted = int(rng.integers(1, 20))
            behind = int(held[int(rng.integers(len(held)))][-1]) if held else -1
            taken = allocator.allocate(wanted, behind)
            assert (taken is None) == (wanted > num_slots - sum(map(len, held)))
            if taken is not None:
                held.append(taken)
        owners = np.bincount(np.concatenate([allocator.free_slots(), *held]), minlength=num_slots)
        assert (owners == 1).all()
        assert allocator.num_free == num_slots - sum(map(len, held))
