"""Least recently used with quotas, against a list of all entries in the order of their use."""

from __future__ import annotations

import random

import pytest

from branchline.runtime.radix_cache.fair_lru import FairLru

ROOM = 40
QUOTAS = {"a": 12, "b": 8}


class Naive:
    """Entries (namespace, key, size), the least recently used first; each step looks at all."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int, int]] = []

    def size(self, namespace: str | None = None) -> int:
        return sum(size for owner, _, size in self.entries if namespace in (None, owner))

    def put(self, namespace: str, key: int, size: int) -> list[int]:
        self.entries = [entry for entry in self.entries if entry[1] != key]
        if size > ROOM:
            return [key]
        gone: list[int] = []
        while self.size() + size > ROOM:
            going = [entry for entry in self.entries if self._may_go(entry, namespace)]
            if not going:
                return [*gone, key]
            self.entries.remove(going[0])
            gone.append(going[0][1])
        self.entries.append((namespace, key, size))
        return gone

    def _may_go(self, entry: tuple[str, int, int], namespace: str) -> bool:
        owner, key, size = entry
        first = next(other[1] for other in self.entries if other[0] == owner)
        if owner not in QUOTAS or owner == namespace:
            return True
        return key == first and self.size(owner) - size >= QUOTAS[owner]


@pytest.mark.parametrize("seed", range(30))
def test_it_keeps_and_drops_what_the_naive_model_does(seed: int) -> None:
    rng = random.Random(seed)
    naive, ours = Naive(), FairLru[int, str](ROOM, QUOTAS)
    for _ in range(400):
        key = rng.randrange(60)
        namespace = ["a", "b", "c", "d"][key % 4]
        kept = {entry[1] for entry in naive.entries}
        match rng.choice(["put", "put", "put", "use", "pop"]):
            case "put":
                size = rng.choice([1, 2, 3, 5, 8, 13, 41])
                gone = ours.put(namespace, key, f"value {key}", size)
                assert [old for old, _ in gone] == naive.put(namespace, key, size)
                assert all(value == f"value {old}" for old, value in gone)
            case "use":
                assert (ours.use(key) is not None) == (key in kept)
                naive.entries.sort(key=lambda entry: entry[1] == key)
            case "pop":
                assert (ours.pop(key) is not None) == (key in kept)
                naive.entries = [entry for entry in naive.entries if entry[1] != key]
        assert set(ours) == {entry[1] for entry in naive.entries}
        assert ours.size == naive.size() <= ROOM


def test_what_a_quota_holds_stays_under_a_flood() -> None:
    lru = FairLru[int, str](ROOM, QUOTAS)
    for key in range(6):
        lru.put("a", key, "", 4)
    for key in range(100, 200):
        lru.put("other", key, "", 5)
    assert [key in lru for key in range(6)] == [False, False, False, True, True, True]
