"""What the runtime shows of its inside: the token tree, sequences and requests of the moment, why
a prompt was or was not cached. Carried by `Inspect` messages of protocol.py, made by
engine/inspection.py and server/inspection.py, read by server/ui/.

Token ids travel as bytes, int32 in the machine's order: a head of a node is then a slice of it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

MAX_VIEW_NODES: Final = 20_000
MAX_HEAD_TOKENS: Final = 64
TOKEN_BYTES: Final = 4


class _View(Struct, tag_field="view", forbid_unknown_fields=True, frozen=True):
    """Base of what is asked and answered."""


# --- asked ---------------------------------------------------------------------------------


class TreeQuery(_View, tag="tree", frozen=True):
    """The tree of one namespace: at most `max_nodes`, those nearest to the root first, each with
    its first `head_tokens` tokens."""

    max_nodes: Annotated[int, Meta(ge=1, le=MAX_VIEW_NODES)] = 10_000
    head_tokens: Annotated[int, Meta(ge=0, le=MAX_HEAD_TOKENS)] = 16


class RequestsQuery(_View, tag="requests", frozen=True):
    """The requests of one namespace that are running or ended lately, and rates of all."""


class CacheQuery(_View, tag="cache", frozen=True):
    """Why so much, and not more, of a request's prompt came from the cache."""

    request: Annotated[int, Meta(ge=0)]


class EventsQuery(_View, tag="events", frozen=True):
    """What the tree of one namespace stored and evicted, from change number `since` on."""

    since: Annotated[int, Meta(ge=0)] = 0


class SequencesQuery(_View, tag="sequences", frozen=True):
    """Front to engine: what every sequence is doing."""


class PathQuery(_View, tag="path", frozen=True):
    """Front to engine: the way of a prompt through the tree; `num_cached` tokens were found."""

    tokens: bytes
    num_cached: int


Query = TreeQuery | RequestsQuery | CacheQuery | EventsQuery
EngineQuery = TreeQuery | SequencesQuery | PathQuery | EventsQuery


# --- answered ------------------------------------------------------------------------------


class TreeView(_View, tag="tree_view", frozen=True):
    """Nodes as columns, parents before children.

    ids: stable as long as the node's place in the tree is. parents: index of the parent in these
    columns, -1 below the root. idle_s: since a sequence last began with the node, or it was made.
    holders: running sequences, as (sequence number, index of the last node it holds); it holds
    the nodes above as well. num_nodes, num_tokens: of the whole cache, other namespaces included.
    """

    ids: list[int]
    parents: list[int]
    sizes: list[int]
    hits: list[int]
    idle_s: list[float]
    heads: list[bytes]
    holders: list[tuple[int, int]]
    truncated: bool
    num_nodes: int
    num_tokens: int
    num_slots: int
    num_evicted: int


class SequenceView(Struct, forbid_unknown_fields=True, frozen=True):
    """One sequence in the engine."""

    sid: int
    state: Literal["compiling", "waiting", "extending", "decoding"]
    prompt_tokens: int
    computed_tokens: int
    generated_tokens: int
    retractions: int


class SequencesView(_View, tag="sequences_view", frozen=True):
    """All of them."""

    sequences: list[SequenceView]
    stats: dict[str, float]


class Segment(Struct, forbid_unknown_fields=True, frozen=True):
    """A node, or the part of it that a prompt runs through."""

    size: int
    hits: int
    idle_s: float


class Sibling(Struct, forbid_unknown_fields=True, frozen=True):
    """What the tree has instead, where a prompt left what was cached."""

    head: bytes
    size: int
    hits: int


class PathView(_View, tag="path_view", frozen=True):
    """Nodes along a prompt that are in the tree now, and other continuations at the place up to
    which the prompt had been cached (`num_siblings` in all)."""

    segments: list[Segment]
    siblings: list[Sibling]
    num_siblings: int


class CacheView(_View, tag="cache_view", frozen=True):
    """Answer to CacheQuery. reason: "whole" (all but the last token, which is always computed),
    "empty" (nothing began like this), "diverged" (others go on differently), "evicted" (it was
    cached, and went `evicted_ago_s` before the request), "new" (what was cached ended here)."""

    request: int
    tokens: bytes
    num_cached: int
    reason: Literal["whole", "empty", "diverged", "evicted", "new"]
    path: PathView
    evicted_ago_s: float | None = None


class RequestView(Struct, forbid_unknown_fields=True, frozen=True):
    """A request as the front process saw it. Times are seconds: `age_s` since its arrival, the
    others from its arrival on. `outcome` is a finish reason or an error's code, None while it runs.
    `client` numbers the connections, `program` the programs; 0 is a request of its own."""

    number: int
    client: int
    program: int
    sids: list[int]
    kind: Literal["generate", "score"]
    constraint: str | None
    num_sequences: int
    states: list[str]
    prompt_tokens: int
    cached_tokens: int | None
    generated_tokens: int
    age_s: float
    queue_s: float | None
    first_token_s: float | None
    total_s: float | None
    outcome: str | None


class RatesView(Struct, forbid_unknown_fields=True, frozen=True):
    """One entry per second, oldest first, the running second left out. Latencies in seconds, None
    where nothing was measured; gap: between two steps of one request."""

    generated: list[int]
    prompt: list[int]
    cached: list[int]
    finished: list[int]
    failed: list[int]
    ttft_p50: list[float | None]
    ttft_p95: list[float | None]
    gap_p50: list[float | None]
    gap_p95: list[float | None]


class RequestsView(_View, tag="requests_view", frozen=True):
    """Answer to RequestsQuery; `num_others` run in other namespaces."""

    running: list[RequestView]
    ended: list[RequestView]
    num_others: int
    rates: RatesView
    stats: dict[str, float]


class EventView(Struct, forbid_unknown_fields=True, frozen=True):
    """`tokens`, behind the prefix with the hash `parent`, are cached now or no longer. Of "cleared"
    nothing is left of anything told before."""

    number: int
    kind: Literal["stored", "evicted", "cleared"]
    parent: str
    tokens: bytes


class EventsView(_View, tag="events_view", frozen=True):
    """Answer to EventsQuery; ask again from `next_number` on. When the oldest event kept, `oldest`,
    is younger than what was asked for, some were missed: begin anew with a TreeQuery."""

    events: list[EventView]
    oldest: int
    next_number: int
    kept: int


View = TreeView | RequestsView | CacheView | EventsView
EngineView = TreeView | SequencesView | PathView | EventsView
