"""What namespaces may keep of the KV pool whatever others need, in tokens or in bytes. Checked
where settings are read (engine/config.py), turned into slots by the engine core. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

# A number of tokens, or a size of memory with its unit: "512MiB".
CacheQuota = int | str

_UNITS: Final = {
    "B": 1,
    **{f"{letter}B": 1000 ** (n + 1) for n, letter in enumerate("kMGT")},
    **{f"{letter}iB": 1024 ** (n + 1) for n, letter in enumerate("KMGT")},
}
_SIZE: Final = re.compile(rf"(\d{{1,15}}(?:\.\d{{1,6}})?) ?({'|'.join(_UNITS)})")
# Of the pool; the rest is for requests, whosever they are.
_MOST_RESERVED: Final = 0.5


def is_quota(quota: object) -> bool:
    if isinstance(quota, int):
        return quota >= 0 and not isinstance(quota, bool)
    return isinstance(quota, str) and _SIZE.fullmatch(quota) is not None


def check_quota(quota: object) -> None:
    """Raises ValueError, for the user to read."""
    if not is_quota(quota):
        raise ValueError(
            "a quota must be a number of tokens, or a size with its unit like '512MiB' "
            f"({', '.join(_UNITS)}), not {quota!r}"
        )


def quota_slots(
    quotas: Mapping[str, CacheQuota], num_slots: int, bytes_per_slot: Callable[[], int]
) -> dict[str, int]:
    """The slots that each namespace is promised of a pool of `num_slots`: those that its bytes hold
    wholly. Raises ValueError when they are too many."""
    slots = {
        name: quota if isinstance(quota, int) else _num_bytes(quota) // bytes_per_slot()
        for name, quota in quotas.items()
    }
    check_reserved(slots, num_slots, "tokens of a KV pool")
    return slots


def check_reserved(quotas: Mapping[str, int], room: int, of_what: str) -> None:
    """Raises ValueError when so much is promised that little is left for others."""
    reserved = sum(quotas.values())
    if reserved > room * _MOST_RESERVED:
        raise ValueError(
            f"namespace_quotas reserve {reserved} {of_what} of {room}; at most half may be reserved"
        )


def _num_bytes(size: str) -> int:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(f"{size!r} is no size")
    return int(float(match[1]) * _UNITS[match[2]])
