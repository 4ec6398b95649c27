"""What each API key may ask for, and the file of keys that says so. Used by settings.py, so nothing
heavy is imported here; tenants.py does the counting."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...memory.quotas import CacheQuota, check_quota


@dataclass(frozen=True, slots=True)
class Quota:
    """None is no limit. A key that was quiet may send a second's requests at once, and at least
    one. cache_quota: what others' requests never evict, in tokens or memory."""

    requests_per_s: float | None = None
    concurrency: int | None = None
    cache_quota: CacheQuota | None = None

    def __post_init__(self) -> None:
        if self.requests_per_s is not None and not 0 < self.requests_per_s <= 1e6:
            raise ValueError("requests_per_s must be above 0 and at most 1,000,000")
        if self.concurrency is not None and not 0 < self.concurrency <= 1_000_000:
            raise ValueError("concurrency must be from 1 to 1,000,000")
        if self.cache_quota is not None:
            check_quota(self.cache_quota)


def namespace_of(digest: bytes) -> str:
    """The cache namespace of an API key."""
    return f"key-{digest.hex()[:16]}"


def read_keys(path: str) -> dict[bytes, Quota]:
    """Digests of API keys with their quotas, from a TOML file of tables like

        [[key]]
        sha256 = "9f86d0..."      # of the key; the key itself stands nowhere
        requests_per_s = 5.0      # optional
        concurrency = 16          # optional
        cache_quota = "512MiB"    # optional: what others never evict; or a number of tokens

    Raises ValueError, for the user to read."""
    try:
        document = tomllib.loads(Path(path).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"cannot read keys from {path}: {error}") from None
    entries = document.pop("key", [])
    if document or not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} must hold [[key]] tables and nothing else")
    keys: dict[bytes, Quota] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            keys |= dict([_read_key(entry)])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, key {number}: {error}") from None
    return keys


def _read_key(entry: dict[str, Any]) -> tuple[bytes, Quota]:
    entry = dict(entry)
    entry.pop("name", None)  # for those who read the file
    text = entry.pop("sha256", None)
    if not isinstance(text, str) or len(text) != 2 * hashlib.sha256().digest_size:
        raise ValueError("sha256 must be the 64 hex digits of the key's SHA-256")
    known = ("requests_per_s", "concurrency", "cache_quota")
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; known: {', '.join(known)}")
    for name in known[:2]:
        value = entry.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} must be a number, not {value!r}")
    return bytes.fromhex(text), Quota(**entry)
