"""The vocabulary as bytes: how few tokens spell a text, and its tokens in order; used by
walker.py, budget.py and the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

INFINITE = 1 << 30


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Bytes of each token, empty for tokens that a grammar never allows."""

    token_bytes: list[bytes]
    max_length: int = field(init=False)
    ordered: list[int] = field(init=False)
    """Token ids in the order of their bytes, for walks that share prefixes."""
    _known: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        used = [index for index, data in enumerate(self.token_bytes) if data]
        ordered = sorted(used, key=self.token_bytes.__getitem__)
        object.__setattr__(self, "ordered", ordered)
        object.__setattr__(self, "_known", frozenset(self.token_bytes[index] for index in used))
        object.__setattr__(self, "max_length", max(map(len, self._known), default=0))

    def suffix_costs(self, data: bytes) -> list[int]:
        """For each position of `data`, the least tokens that spell the rest from there;
        INFINITE where none do."""
        costs = [0] * (len(data) + 1)
        for start in range(len(data) - 1, -1, -1):
            best = INFINITE
            for end in range(start + 1, min(len(data), start + self.max_length) + 1):
                if costs[end] + 1 < best and data[start:end] in self._known:
                    best = costs[end] + 1
            costs[start] = best
        return costs

    def has_byte(self, byte: int) -> bool:
        return bytes([byte]) in self._known

    def bytes_of(self, token_id: int) -> bytes:
        """Empty for ids beyond the vocabulary too."""
        return self.token_bytes[token_id] if 0 <= token_id < len(self.token_bytes) else b""
