"""Counts what each API key asks for, per second and at a time. Used by gate.py, before a request is
read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from .errors import ApiError
from .quota import Quota


class Tenants:
    """The counts of each namespace. One event loop calls it; namespaces are those of known keys,
    so there are never more than keys."""

    def __init__(
        self,
        default: Quota,
        quotas: Mapping[str, Quota],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._default = default
        self._quotas = quotas
        self._clock = clock
        self._tokens: dict[str, tuple[float, float]] = {}
        self._running: dict[str, int] = {}

    @contextmanager
    def admitted(self, namespace: str) -> Iterator[None]:
        """Count one request while it runs. Raises ApiError with 429 and Retry-After when the
        namespace has used up what it may."""
        quota = self._quotas.get(namespace, self._default)
        running = self._running.get(namespace, 0)
        if quota.concurrency is not None and running >= quota.concurrency:
            raise _too_many(
                f"{running} requests of this key run already, as many as may at a time", 1.0
            )
        if quota.requests_per_s is not None:
            self._take_token(namespace, quota.requests_per_s)
        self._running[namespace] = running + 1
        try:
            yield
        finally:
            self._running[namespace] -= 1
            if not self._running[namespace]:
                del self._running[namespace]

    def _take_token(self, namespace: str, rate: float) -> None:
        now_s = self._clock()
        most = max(1.0, rate)
        tokens, since_s = self._tokens.get(namespace, (most, now_s))
        tokens = min(most, tokens + (now_s - since_s) * rate)
        if tokens < 1.0:
            self._tokens[namespace] = (tokens, now_s)
            raise _too_many(
                f"this key may send {rate:g} requests per second", (1.0 - tokens) / rate
            )
        self._tokens[namespace] = (tokens - 1.0, now_s)


def _too_many(message: str, retry_after_s: float) -> ApiError:
    return ApiError(
        429,
        message,
        code="rate_limit_exceeded",
        kind="rate_limit_error",
        retry_after_s=retry_after_s,
    )
