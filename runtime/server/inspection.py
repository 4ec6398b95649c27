"""Answers `Inspect`: what the engine is asked for it, and the view that the client gets. Called by
service.py."""

from __future__ import annotations

from typing import Literal

from ..errors import RequestError
from ..protocol import Inspect
from ..views import (
    CacheQuery,
    CacheView,
    EngineQuery,
    EngineView,
    EventsQuery,
    EventsView,
    PathQuery,
    PathView,
    RequestsView,
    RequestView,
    SequencesQuery,
    SequencesView,
    TreeQuery,
    TreeView,
    View,
)
from .history import History, Record


def engine_query(message: Inspect, history: History) -> EngineQuery:
    """What the engine has to tell for an answer. Raises RequestError."""
    match message.query:
        case TreeQuery() | EventsQuery():
            return message.query
        case CacheQuery():
            record = _record_of(message, history)
            return PathQuery(record.tokens, record.cached_tokens or 0)
        case _:
            return SequencesQuery()


def answer(
    message: Inspect, view: EngineView, history: History, stats: dict[str, float], now_s: float
) -> View:
    """The view from the engine's part of it. Raises RequestError."""
    match view:
        case TreeView():
            return view
        case EventsView(kept=kept):
            if not kept:
                raise RequestError(
                    "invalid_request",
                    "the runtime keeps no events of its cache; start it with --cache-events N",
                )
            return view
        case PathView():
            return _explain(_record_of(message, history), view)
        case SequencesView():
            return _requests(message.namespace, view, history, stats, now_s)


def _record_of(message: Inspect, history: History) -> Record:
    assert isinstance(message.query, CacheQuery)
    record = history.find(message.query.request)
    # A request of another namespace is answered as one that never was.
    if record is None or record.namespace != message.namespace:
        raise RequestError(
            "invalid_request",
            f"request {message.query.request} is not remembered; only the newest ones are",
        )
    if record.cached_tokens is None:
        ended = f"ended before it began: {record.outcome}"
        state = "has not begun" if record.outcome is None else ended
        raise RequestError("invalid_request", f"request {message.query.request} {state}")
    return record


def _explain(record: Record, path: PathView) -> CacheView:
    num_cached = record.cached_tokens or 0
    miss = record.cache_miss
    evicted_ago_s = None if miss is None else miss.evicted_ago_s
    reason: Literal["whole", "empty", "diverged", "evicted", "new"]
    if num_cached >= record.prompt_tokens - 1:
        reason = "whole"
    elif evicted_ago_s is not None:
        reason = "evicted"
    elif path.num_siblings:
        reason = "diverged"
    else:
        reason = "new" if num_cached else "empty"
    return CacheView(record.number, record.tokens, num_cached, reason, path, evicted_ago_s)


def _requests(
    namespace: str,
    view: SequencesView,
    history: History,
    stats: dict[str, float],
    now_s: float,
) -> RequestsView:
    states = {seq.sid: seq.state for seq in view.sequences}

    def show(record: Record) -> RequestView:
        return RequestView(
            number=record.number,
            client=history.client_number(record.client_id),
            program=record.program,
            sids=record.sids,
            kind=record.kind,
            constraint=record.constraint,
            num_sequences=record.num_sequences,
            # A sequence may have gone on with another request than one that has ended.
            states=[states[sid] for sid in record.sids if sid in states and not record.ended_s],
            prompt_tokens=record.prompt_tokens,
            cached_tokens=record.cached_tokens,
            generated_tokens=record.generated_tokens,
            age_s=round(now_s - record.arrived_s, 3),
            queue_s=record.queue_s,
            first_token_s=record.first_token_s,
            total_s=None if record.ended_s is None else record.ended_s - record.arrived_s,
            outcome=record.outcome,
        )

    running = history.running()
    mine = [record for record in running if record.namespace == namespace]
    return RequestsView(
        running=[show(record) for record in mine],
        ended=[show(record) for record in history.recent() if record.namespace == namespace],
        num_others=len(running) - len(mine),
        rates=history.rates(),
        stats=stats,
    )
