"""The radix cache told naively: a dictionary from every cached prefix to its slot and last use."""

from __future__ import annotations


class NaiveCache:
    """Keys are `namespace + "/" + tokens` where a token is one character; one entry per token.

    What it says about leases and eviction: a prefix is protected while a lease begins with it; the
    next token to go is, among the unprotected, the one used longest ago, the longest first.
    """

    def __init__(self) -> None:
        self.slot_of: dict[str, int] = {}
        self.used_at: dict[str, int] = {}
        self.leases: dict[str, int] = {}
        self.clock = 0

    def match(self, namespace: str, tokens: str) -> list[int]:
        self.clock += 1
        key = namespace + "/"
        slots = []
        for token in tokens:
            key += token
            if key not in self.slot_of:
                break
            slots.append(self.slot_of[key])
            self.used_at[key] = self.clock
        return slots

    def insert(self, namespace: str, tokens: str, slots: list[int]) -> int:
        present = len(self.match(namespace, tokens))
        start = len(namespace) + 1
        key = namespace + "/" + tokens
        for i in range(present, len(tokens)):
            self.slot_of[key[: start + i + 1]] = slots[i]
            self.used_at[key[: start + i + 1]] = self.clock
        return present

    def lock(self, key: str) -> None:
        self.leases[key] = self.leases.get(key, 0) + 1

    def unlock(self, key: str) -> None:
        before = self.protected()
        self.leases[key] -= 1
        if not self.leases[key]:
            del self.leases[key]
        self.clock += 1
        released = before - self.protected()
        # A lease ends a use: what nobody holds any more counts as used now.
        for prefix in released:
            self.used_at[prefix] = self.clock

    def protected(self) -> set[str]:
        return {
            lease[:end]
            for lease in self.leases
            for end in range(lease.index("/") + 2, len(lease) + 1)
        }

    def evict(self, n: int) -> list[int]:
        safe = self.protected()
        order = sorted(
            (key for key in self.slot_of if key not in safe),
            key=lambda key: (self.used_at[key], -len(key)),
        )
        freed = []
        for key in order[:n]:
            freed.append(self.slot_of.pop(key))
            del self.used_at[key]
        return freed
