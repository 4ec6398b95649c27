"""What the front process remembers of requests, for those who look: each request's life, and rates
per second. Fed by service.py, read by inspection.py.

Bounded: the newest requests that ended, the first tokens of their prompts, five minutes of rates.
"""

from __future__ import annotations

import itertools
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from ..engine_protocol import Progress
from ..protocol import CacheMiss, Generate, Score
from ..views import RatesView

_KEPT_REQUESTS: Final = 128
_KEPT_PROMPT_TOKENS: Final = 32_768
_KEPT_SECONDS: Final = 300
# The first ones stand for the second: a busy server makes thousands.
_SAMPLES_PER_SECOND: Final = 256


@dataclass(slots=True, eq=False)
class Record:
    """One request. Times are on the service's clock; `tokens` are the first sequence's prompt,
    `program` is the number of the program that it is a call of."""

    number: int
    client_id: bytes
    kind: Literal["generate", "score"]
    constraint: str | None
    namespace: str
    num_sequences: int
    arrived_s: float
    program: int = 0
    sids: list[int] = field(default_factory=list)
    tokens: bytes = b""
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    cache_miss: CacheMiss | None = None
    generated_tokens: int = 0
    queue_s: float | None = None
    first_token_s: float | None = None
    last_step_s: float | None = None
    ended_s: float | None = None
    outcome: str | None = None


@dataclass(slots=True)
class Second:
    """What happened in one second."""

    number: int
    generated: int = 0
    prompt: int = 0
    cached: int = 0
    finished: int = 0
    failed: int = 0
    # Four bytes a sample: five minutes of them as Python's floats would be 5 MB.
    ttft_s: array[float] = field(default_factory=lambda: array("f"))
    gaps_s: array[float] = field(default_factory=lambda: array("f"))


class History:
    """See the module's text. One thread calls everything."""

    def __init__(
        self,
        clock: Callable[[], float],
        on_end: Callable[[Record], None] = lambda record: None,
    ) -> None:
        self._clock = clock
        self._on_end = on_end
        self._numbers = itertools.count(1)
        self._running: dict[int, Record] = {}
        self._ended: deque[Record] = deque(maxlen=_KEPT_REQUESTS)
        self._seconds: deque[Second] = deque(maxlen=_KEPT_SECONDS + 1)
        self._current = Second(-1)
        self._clients: dict[bytes, int] = {}

    # --- told by the service ---

    def begin(self, client_id: bytes, message: Generate | Score, num_sequences: int) -> Record:
        """A request was accepted."""
        constraint = message.constraint if isinstance(message, Generate) else None
        record = Record(
            number=next(self._numbers),
            client_id=client_id,
            kind="generate" if isinstance(message, Generate) else "score",
            constraint=type(constraint).__name__ if constraint is not None else None,
            namespace=message.namespace,
            num_sequences=num_sequences,
            arrived_s=self._clock(),
        )
        self._running[record.number] = record
        return record

    def submitted(self, record: Record, sids: list[int], prompt_ids: list[int]) -> None:
        """Its prompt was tokenized and its sequences went to the engine."""
        record.sids = sids
        record.prompt_tokens = len(prompt_ids)
        record.tokens = array("i", prompt_ids[:_KEPT_PROMPT_TOKENS]).tobytes()

    def progressed(self, record: Record, index: int, progress: Progress) -> None:
        """One step's news of its sequence `index`."""
        now_s = self._clock()
        second = self._second(now_s)
        num_new = len(progress.token_ids)
        record.generated_tokens += num_new
        second.generated += num_new
        if index:
            return
        if progress.cached_tokens is not None:
            record.cached_tokens = progress.cached_tokens
            record.cache_miss = progress.cache_miss
            record.queue_s = progress.queue_s
            second.prompt += record.prompt_tokens
            second.cached += progress.cached_tokens
        if not num_new:
            return
        last_s, record.last_step_s = record.last_step_s, now_s
        if last_s is None:
            record.first_token_s = max(0.0, now_s - progress.held_s - record.arrived_s)
            if len(second.ttft_s) < _SAMPLES_PER_SECOND:
                second.ttft_s.append(record.first_token_s)
        elif len(second.gaps_s) < _SAMPLES_PER_SECOND and not progress.held_s:
            second.gaps_s.append(now_s - last_s)

    def ended(self, record: Record, outcome: str) -> None:
        """It is over; only the first word on it counts."""
        if self._running.pop(record.number, None) is None:
            return
        record.ended_s = self._clock()
        record.outcome = outcome
        second = self._second(record.ended_s)
        if outcome in ("stop", "length"):
            second.finished += 1
        elif outcome not in ("cancelled", "client_gone"):
            second.failed += 1
        self._ended.append(record)
        self._on_end(record)

    def client_gone(self, client_id: bytes) -> None:
        """Its number is not needed for new requests any more."""
        self._clients.pop(client_id, None)

    # --- asked by inspection ---

    def client_number(self, client_id: bytes) -> int:
        """A small number for a connection, the same as long as it lasts."""
        known = self._clients.get(client_id)
        if known is None:
            known = self._clients[client_id] = max(self._clients.values(), default=0) + 1
        return known

    def running(self) -> list[Record]:
        return list(self._running.values())

    def recent(self) -> list[Record]:
        """Those that ended, the newest first."""
        return list(reversed(self._ended))

    def find(self, number: int) -> Record | None:
        """A request by its number, while it is remembered."""
        found = self._running.get(number)
        return found or next((item for item in self._ended if item.number == number), None)

    def rates(self) -> RatesView:
        """The last five minutes, silent seconds included."""
        now = int(self._clock())
        known = {second.number: second for second in self._seconds}
        first = max(now - _KEPT_SECONDS, min(known, default=now))
        seconds = [known.get(number) or Second(number) for number in range(first, now)]
        return RatesView(
            generated=[second.generated for second in seconds],
            prompt=[second.prompt for second in seconds],
            cached=[second.cached for second in seconds],
            finished=[second.finished for second in seconds],
            failed=[second.failed for second in seconds],
            ttft_p50=_quantiles((second.ttft_s for second in seconds), 0.5),
            ttft_p95=_quantiles((second.ttft_s for second in seconds), 0.95),
            gap_p50=_quantiles((second.gaps_s for second in seconds), 0.5),
            gap_p95=_quantiles((second.gaps_s for second in seconds), 0.95),
        )

    def _second(self, now_s: float) -> Second:
        number = int(now_s)
        if self._current.number != number:
            self._current = Second(number)
            self._seconds.append(self._current)
        return self._current


def _quantiles(groups: Iterable[array[float]], q: float) -> list[float | None]:
    return [
        round(sorted(group)[min(len(group) - 1, int(q * len(group)))], 6) if group else None
        for group in groups
    ]
