"""What the engine core tells: of a sequence its new tokens, or why it failed; of the tiers what
they hold."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from msgspec.structs import replace

from ..engine_protocol import Failed, Progress
from ..errors import RequestError
from ..protocol import TokenLogprob
from ..radix_cache.host_tier import HostTier
from ..scheduler.sequence import Sequence, Untold
from ..scheduler.stop import Finish
from .embedding import embedding_of

# How long news of a quiet sequence wait: short enough for whoever looks at the runtime. And the
# first ones, by which the front process knows that it runs: a short call is told of once.
_QUIET_S: Final = 0.05
_FIRST_S: Final = 0.01
# How long the ends of calls wait that several others follow; and those for which only their own
# program waits.
_FOLLOWED_S: Final = 0.03
_PRIVATE_S: Final = 0.2
_NEVER: Final = float("inf")

_log = logging.getLogger(__name__)


def progress_of(
    seq: Sequence,
    token_ids: list[int],
    logprobs: list[TokenLogprob] | None,
    finish: Finish | None,
    num_forced: int,
    *,
    goes_on: bool,
) -> Progress | None:
    """The sequence's news; what is told once comes with the first. None while they may wait."""
    held_s = 0.0
    if seq.quiet:
        now_s = monotonic()
        if seq.told_s is None:
            seq.told_s = now_s + _FIRST_S - _QUIET_S
        untold = seq.untold = seq.untold or Untold(now_s)
        untold.token_ids += token_ids
        untold.logprobs += logprobs or []
        untold.num_forced += num_forced
        if finish is None and now_s < seq.told_s + _QUIET_S:
            return None
        token_ids, num_forced, held_s = untold.token_ids, untold.num_forced, now_s - untold.since_s
        logprobs = untold.logprobs or None
        seq.told_s, seq.untold = now_s, None
    is_first = not seq.reported
    wants_prompt = seq.logprobs is not None and seq.logprobs.prompt_start is not None
    prompt_logprobs = seq.prompt_logprobs if is_first and wants_prompt else None
    seq.reported = True
    seq.prompt_logprobs = []  # the list now belongs to whoever reads the event
    return Progress(
        sid=seq.sid,
        token_ids=token_ids,
        logprobs=logprobs,
        finish=None if finish is None else finish.reason,
        matched_stop=None if finish is None else finish.matched_stop,
        closed_by_budget=finish is not None and _closed_by_budget(seq, finish),
        cached_tokens=seq.cached_tokens if is_first else None,
        prompt_logprobs=prompt_logprobs,
        queue_s=seq.queue_s if is_first else None,
        cache_miss=seq.cache_miss if is_first else None,
        embedding=None if finish is None else embedding_of(seq),
        num_forced=num_forced,
        drafts=None if finish is None else (seq.pace.num_guessed, seq.pace.num_right),
        goes_on=goes_on,
        held_s=held_s,
    )


def _closed_by_budget(seq: Sequence, finish: Finish) -> bool:
    matcher = seq.matcher
    if matcher is None:
        return False
    # Free text is complete wherever it is cut.
    cut = finish.reason == "length"
    return matcher.closed_by_budget or (matcher.kept_short_by_budget and not cut)


class Outbox:
    """News on their way out, in order. Those of a quiet call whose sequence goes on wait a little
    for other news, and longer where only its own program waits for it: each message wakes the front
    process, which takes a core from the engine. But before a program's last call all is told: what
    is left to do behind its end, its user waits for."""

    def __init__(self) -> None:
        # Each with the time since when it waits, None where it must not.
        self._news: list[tuple[Progress, float | None]] = []
        self._due_s = _NEVER

    def add(self, seq: Sequence, news: Progress) -> None:
        now_s = monotonic()
        waits = seq.quiet and news.goes_on
        self._news.append((news, now_s if waits else None))
        self._due_s = min(self._due_s, now_s + (_patience_s(seq) if waits else 0.0))

    @property
    def is_due(self) -> bool:
        """Whether something is to be told now."""
        return bool(self._news) and monotonic() >= self._due_s

    def take(self, *, at_once: bool) -> list[Progress]:
        """What is to be told now. at_once: something else is told in any case."""
        if not (self.is_due or at_once):
            return []
        now_s = monotonic()
        taken = [
            news if since_s is None else replace(news, held_s=news.held_s + now_s - since_s)
            for news, since_s in self._news
        ]
        self._news, self._due_s = [], _NEVER
        return taken


def _patience_s(seq: Sequence) -> float:
    if len(seq.then) <= 1:
        return 0.0
    return _PRIVATE_S if seq.private else _FOLLOWED_S


def failure_of(seq: Sequence, error: Exception) -> Failed:
    """What the sequence's user is told; what is a defect of ours is logged."""
    if isinstance(error, RequestError):
        return Failed(seq.sid, error.code, error.message, error.pointer)
    _log.error("sequence %d failed", seq.sid, exc_info=error)
    reason = f"{type(error).__name__} in the engine; its log tells more"
    return Failed(seq.sid, "internal", reason)


def tier_stats(tier: HostTier | None) -> dict[str, float]:
    """What lies below the KV pool, and what came back from there."""
    below = None if tier is None else tier.below
    return {
        "host_tokens": 0 if tier is None else tier.num_tokens,
        "disk_bytes": 0 if below is None else below.num_bytes,
        "restored_tokens": 0 if tier is None else tier.num_restored,
    }
