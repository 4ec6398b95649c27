"""What a tier below the KV pool keeps: least recently used entries go first, but for what each
namespace's quota holds for it. Used by host_tier.py and disk_tier.py."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Entry(Generic[V]):
    """used: when it was used last, by a count of uses."""

    value: V
    size: int
    used: int


@dataclass(slots=True)
class _Share(Generic[K, V]):
    """Entries that count against one quota, the least recently used first."""

    quota: int
    size: int = 0
    entries: OrderedDict[K, _Entry[V]] = field(default_factory=OrderedDict)

    @property
    def oldest(self) -> _Entry[V]:
        return next(iter(self.entries.values()))

    @property
    def gives(self) -> bool:
        """Whether others may drive out its oldest entry."""
        return bool(self.entries) and self.size - self.oldest.size >= self.quota


class FairLru(Generic[K, V]):
    """Entries by key, in all not larger than `max_size`.

    quotas: of each namespace so much stays whatever others put in; all without one share the rest.
    """

    def __init__(self, max_size: int, quotas: Mapping[str, int]) -> None:
        self.max_size = max_size
        self.size = 0
        self._own = {name: _Share[K, V](quota) for name, quota in quotas.items()}
        self._common = _Share[K, V](0)
        self._share_of: dict[K, _Share[K, V]] = {}
        self._num_uses = 0

    def __contains__(self, key: K) -> bool:
        return key in self._share_of

    def __iter__(self) -> Iterator[K]:
        return iter(self._share_of)

    def get(self, key: K) -> V | None:
        share = self._share_of.get(key)
        return None if share is None else share.entries[key].value

    def use(self, key: K) -> V | None:
        """`get`, and the entry is the last to go."""
        share = self._share_of.get(key)
        if share is None:
            return None
        self._num_uses += 1
        entry = share.entries[key]
        entry.used = self._num_uses
        share.entries.move_to_end(key)
        return entry.value

    def put(self, namespace: str, key: K, value: V, size: int) -> list[tuple[K, V]]:
        """Keep an entry, in place of one with its key; those that give way to it. The new one is
        among them when there is no room that it may have."""
        self.pop(key)
        share = self._own.get(namespace, self._common)
        gone: list[tuple[K, V]] = []
        while self.size + size > self.max_size:
            giving = [s for s in (self._common, *self._own.values()) if s.gives]
            if share.entries and share not in giving:
                giving.append(share)
            if size > self.max_size or not giving:
                return [*gone, (key, value)]
            victim = next(iter(min(giving, key=lambda s: s.oldest.used).entries))
            gone.append((victim, self._taken(victim)))
        self._num_uses += 1
        share.entries[key] = _Entry(value, size, self._num_uses)
        share.size += size
        self.size += size
        self._share_of[key] = share
        return gone

    def pop(self, key: K) -> V | None:
        return self._taken(key) if key in self._share_of else None

    def _taken(self, key: K) -> V:
        share = self._share_of.pop(key)
        entry = share.entries.pop(key)
        share.size -= entry.size
        self.size -= entry.size
        return entry.value
