"""What is read once for whom, and when it is not: the host's side of attention in Triton."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

from branchline.runtime.kernels.triton.decode import Decoding, decode_work
from branchline.runtime.kernels.triton.prefixes import Branch, branches_of
from branchline.runtime.kernels.triton.tree_decode import shared_pieces
from branchline.runtime.kernels.triton.work import Int64, Machine, Work

H200 = Machine(heads=32, kv_heads=8, head_dim=128, processors=132)
DETERMINISTIC = Machine(heads=32, kv_heads=8, head_dim=128, processors=132, fixed_split=2048)


def sequences(lens: list[int], shared: int, start: int = 0) -> list[Int64]:
    """Slots of sequences of these lengths over `shared` slots in common."""
    made, free = [], start + shared
    for length in lens:
        own = np.arange(free, free + length - shared)
        made.append(np.concatenate((np.arange(start, start + shared), own)))
        free += length - shared
    return made


def plan(slots: list[Int64], machine: Machine = H200, window: int | None = None) -> Work:
    """The work of a step in which all of `slots` decode; a sequence's address is its index."""
    count = len(slots)
    lens = np.array([len(own) for own in slots])
    first = machine.first_seen(lens - 1, window)
    shared = shared_pieces(branches_of(slots), lens, first, machine)
    decoding = Decoding(np.arange(count), np.arange(count), lens, first)
    return decode_work(decoding, machine, shared)


def keys_read(work: Work) -> int:
    return sum(int((launch.items[:, 2] - launch.items[:, 1]).sum()) for launch in work.launches)


def naive_tree(slots: list[Int64]) -> set[tuple[int, int, tuple[int, ...]]]:
    """(begin, end, members) of every maximal range that the same sequences share."""
    paths = [own[:-1].tolist() for own in slots]
    ranges: dict[tuple[int, ...], list[int]] = {}
    for path in paths:
        for at in range(len(path)):
            members = tuple(i for i, p in enumerate(paths) if p[: at + 1] == path[: at + 1])
            ranges.setdefault(members, []).append(at)
    return {(min(at), max(at) + 1, members) for members, at in ranges.items()}


def as_set(root: Branch) -> set[tuple[int, int, tuple[int, ...]]]:
    return {(b.begin, b.end, tuple(sorted(b.members))) for b in root.below()}


@pytest.mark.parametrize("seed", range(30))
def test_the_tree_of_sequences_is_what_comparing_all_slots_finds(seed: int) -> None:
    rng = random.Random(seed)
    paths: list[list[int]] = [[]]
    free = iter(range(10_000))
    for _ in range(rng.randint(1, 14)):
        base = rng.choice(paths)
        kept = base[: rng.randint(0, len(base))]
        paths.append(kept + [next(free) for _ in range(rng.randint(1, 5))])
    slots = [np.array([*path, next(free)]) for path in paths]
    assert as_set(branches_of(slots)) == naive_tree(slots)


def read_by(work: Work, count: int) -> list[list[tuple[int, int]]]:
    """Per sequence the ranges of keys that its query meets, in the order of their partial rows."""
    rows: list[dict[int, tuple[int, int]]] = [{} for _ in range(count)]
    for launch in work.launches:
        for _, begin, end, first, queries, ordinal in launch.items.tolist():
            for token, start, _ in launch.queries[first : first + queries].tolist():
                assert start + ordinal not in rows[token]
                rows[token][start + ordinal] = (begin, end)
    return [[each[row] for row in sorted(each)] for each in rows]


@pytest.mark.parametrize("machine", [H200, DETERMINISTIC], ids=["quick", "deterministic"])
@pytest.mark.parametrize("shared", [0, 100, 5000, 9000])
def test_every_query_meets_every_key_once_and_in_order(machine: Machine, shared: int) -> None:
    rng = random.Random(shared)
    lens = [shared + rng.randint(1, 4000) for _ in range(40)]
    for own, ranges in zip(lens, read_by(plan(sequences(lens, shared), machine), 40), strict=True):
        assert ranges[0][0] == 0
        assert ranges[-1][1] == own
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))


def test_partial_rows_of_a_query_are_its_own_and_as_many_as_its_parts() -> None:
    work = plan(sequences([9000 + 500 * (i % 3) for i in range(20)], 8000))
    rows = [row for _, start, count in work.merges.tolist() for row in range(start, start + count)]
    assert sorted(rows) == list(range(work.num_partials))
    assert work.merges[:, 2].tolist() == [len(each) for each in read_by(work, 20)]


def test_a_long_prefix_of_many_requests_is_read_some_times_instead_of_by_each() -> None:
    slots = sequences([32_768 + 64] * 128, 32_768)
    # 128 requests of 4 heads per KV head are 8 tiles of 64 rows.
    assert keys_read(plan(slots)) == 8 * 32_768 + 128 * 64


def test_prefixes_on_prefixes_are_shared_too() -> None:
    trunk = sequences([6000] * 16, 4000)
    slots = [
        np.concatenate((own[:5000], other[5000:]))
        for own, other in zip([trunk[i // 8 * 8] for i in range(16)], trunk, strict=True)
    ]
    assert keys_read(plan(slots)) == 4000 + 2 * 1000 + 16 * 1000


@pytest.mark.parametrize(
    ("lens", "shared"),
    [([600] * 4, 16), ([300, 300], 250), ([20_000] * 8, 300)],
    ids=["few keys", "a launch costs more", "a small share of all"],
)
def test_what_saves_little_is_left_to_plain_decoding(lens: list[int], shared: int) -> None:
    slots = sequences(lens, shared)
    assert len(plan(slots).launches) == 1


def random_tree(rng: random.Random) -> list[Int64]:
    """Slots of sequences that begin on prefixes of each other."""
    paths: list[Int64] = [np.empty(0, np.int64)]
    free = 0
    for _ in range(rng.randint(2, 40)):
        base = paths[rng.randrange(len(paths))]
        kept = base[: rng.randint(0, len(base))] if rng.random() < 0.7 else base
        length = int(10 ** rng.uniform(0.5, 4.3))
        paths.append(np.concatenate((kept, np.arange(free, free + length))))
        free += length
    return [np.append(path, free + i) for i, path in enumerate(paths)]


def cost(work: Work, slots: list[Int64], again: float, machine: Machine = H200) -> float:
    """In reads of a KV head's key and value. again: of a key that another item of plain decoding
    reads, too, and may find in the cache."""
    *shared, plain = work.launches
    ranges = [slots[owner][begin:end] for owner, begin, end, *_ in plain.items.tolist()]
    reads = np.unique(np.concatenate(ranges), return_counts=True)[1]
    keys = float((1 + again * (reads - 1)).sum())
    keys += sum(float((each.items[:, 2] - each.items[:, 1]).sum()) for each in shared)
    # A partial result is float32, written and read; a key is two times 16 bits.
    partials = work.num_partials * machine.group * 2.0
    launch_us, key_bytes = 4.0, 2 * 2 * machine.head_dim * machine.kv_heads
    return keys + partials + len(work.launches) * launch_us * 4.2e6 / key_bytes


@pytest.mark.parametrize("again", [0.4, 0.25])
def test_sharing_never_costs_more_than_plain_decoding_by_two_percent(again: float) -> None:
    shared = 0
    for seed in range(60):
        slots = random_tree(random.Random(seed))
        count, lens = len(slots), np.array([len(own) for own in slots])
        first = np.zeros(count, np.int64)
        alone = decode_work(Decoding(np.arange(count), np.arange(count), lens, first), H200)
        ours = plan(slots)
        shared += len(ours.launches) > 1
        assert cost(ours, slots, again) <= 1.02 * cost(alone, slots, again), seed
    assert 10 < shared < 60


def test_one_long_sequence_keeps_the_machine_busy() -> None:
    items = plan(sequences([8192], 0)).launches[0].items
    assert len(items) * H200.kv_heads >= H200.processors


def test_sequences_that_fill_the_machine_are_not_cut_into_crumbs() -> None:
    work = plan(sequences([1536] * 256, 0))
    assert work.num_partials == 0


def test_keys_behind_a_window_are_not_read() -> None:
    assert keys_read(plan(sequences([9000, 100], 0), window=1024)) == 1024 + 100


def test_in_the_deterministic_mode_cuts_do_not_depend_on_what_else_runs() -> None:
    alone = sequences([7000], 5000)
    together = sequences([7000, 9000, 5100], 5000)
    ranges = read_by(plan(alone, DETERMINISTIC), 1)[0]
    assert read_by(plan(together, DETERMINISTIC), 3)[0] == ranges
    assert [begin for begin, _ in ranges] == [0, 2048, 4096, 6144]


def test_sharing_is_planned_in_the_deterministic_mode_too() -> None:
    slots: Any = sequences([33_000] * 64, 32_768)
    assert keys_read(plan(slots, DETERMINISTIC)) == 4 * 32_768 + 64 * (33_000 - 32_768)
