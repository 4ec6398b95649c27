"""Answers questions about the inside of the engine: token tree, sequences, a prompt's way. Called
by core.py between steps; nothing here changes anything, not even the order of eviction."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from ..engine_protocol import TreeNode
from ..radix_cache.dump import dump
from ..radix_cache.events import EventLog
from ..radix_cache.node import TOKEN_BYTES, Node
from ..radix_cache.tree import RadixCache
from ..scheduler.sequence import Sequence
from ..views import (
    EngineQuery,
    EngineView,
    EventsQuery,
    EventsView,
    EventView,
    PathQuery,
    PathView,
    Segment,
    SequencesView,
    SequenceView,
    Sibling,
    TreeQuery,
    TreeView,
)

if TYPE_CHECKING:
    from .core import EngineCore

_MAX_SIBLINGS: Final = 8
_SIBLING_TOKENS: Final = 16
# Events in one answer: a frame holds the tokens of so many long prompts.
_MAX_EVENTS: Final = 256
# Numbers in JavaScript are exact up to 53 bits.
_ID_MASK: Final = 2**53 - 1


def inspect(core: EngineCore, namespace: str, query: EngineQuery) -> EngineView:
    """What `query` asks for. Walking 10,000 nodes takes about 20 ms."""
    match query:
        case TreeQuery():
            return view_tree(core.cache, core.scheduler.running, namespace, query)
        case PathQuery():
            return view_path(core.cache, namespace, query)
        case EventsQuery():
            return view_events(core.cache_events, namespace, query)
        case _:
            return SequencesView(
                [
                    _view_sequence(seq, compiling=core.is_compiling(seq.sid))
                    for seq in core.sequences
                ],
                core.stats(),
            )


def dump_tree(core: EngineCore, max_nodes: int, max_chars: int) -> list[TreeNode]:
    """The cached prefixes with their text, hits, owners and ages, parents before children."""
    owners: dict[Node, list[int]] = {}
    for seq in core.scheduler.running:
        if seq.node is not None:
            owners.setdefault(seq.node, []).append(seq.sid)
    return dump(
        core.cache,
        lambda ids: core.tokenizer.decode(ids, skip_special_tokens=False),
        owners,
        max_nodes=max_nodes,
        max_chars=max_chars,
    )


def view_tree(
    cache: RadixCache, running: Iterable[Sequence], namespace: str, query: TreeQuery
) -> TreeView:
    """The nodes of a namespace, breadth first."""
    now_s = cache.clock()
    head_bytes = query.head_tokens * TOKEN_BYTES
    nodes: list[Node] = []
    parents: list[int] = []
    ids: list[int] = []
    root = cache.roots.get(namespace)
    waiting: list[tuple[Node, int, int]] = []
    if root is not None:
        waiting.extend((child, -1, 0) for child in root.children.values())
    for node, parent, parent_id in waiting:  # grows while it is walked
        if len(nodes) == query.max_nodes:
            break
        index = len(nodes)
        # A place in the tree is named by its parent and its first token: the same after a split.
        node_id = hash((parent_id, node.first_token)) & _ID_MASK
        nodes.append(node)
        parents.append(parent)
        ids.append(node_id)
        if node.children:
            waiting.extend((child, index, node_id) for child in node.children.values())
    return TreeView(
        ids=ids,
        parents=parents,
        sizes=[len(node.slots) for node in nodes],
        hits=[node.hits for node in nodes],
        idle_s=[round(now_s - node.used_s, 1) for node in nodes],
        heads=[node.tokens[:head_bytes] for node in nodes],
        holders=_holders(nodes, running, namespace),
        truncated=len(waiting) > len(nodes),
        num_nodes=cache.num_nodes,
        num_tokens=cache.num_tokens,
        num_slots=cache.allocator.num_slots,
        num_evicted=cache.num_evicted_total,
    )


def view_path(cache: RadixCache, namespace: str, query: PathQuery) -> PathView:
    """The nodes along a prompt, and what else follows where its cached part ended."""
    now_s = cache.clock()
    tokens, num_cached = query.tokens, query.num_cached
    segments: list[Segment] = []
    root = cache.roots.get(namespace)
    others: Collection[Node] = ()
    node: Node | None = root
    at = 0
    while node is not None:
        next_token = tokens[at : at + TOKEN_BYTES]
        child = node.children.get(_as_id(next_token)) if next_token else None
        if at == num_cached * TOKEN_BYTES:
            others = [other for other in node.children.values() if other is not child]
        if child is None:
            break
        common = _common(child.tokens, tokens, at)
        segments.append(Segment(common, child.hits, round(now_s - child.used_s, 1)))
        at += common * TOKEN_BYTES
        node = child if common == len(child.slots) else None
    others = sorted(others, key=lambda other: -other.hits)
    return PathView(
        segments,
        [
            Sibling(other.tokens[: _SIBLING_TOKENS * TOKEN_BYTES], len(other.slots), other.hits)
            for other in islice(others, _MAX_SIBLINGS)
        ],
        len(others),
    )


def view_events(log: EventLog, namespace: str, query: EventsQuery) -> EventsView:
    """What concerns a namespace of the next `_MAX_EVENTS` changes."""
    kept, next_number = log.since(query.since)
    if len(kept) > _MAX_EVENTS:
        kept, next_number = kept[:_MAX_EVENTS], kept[_MAX_EVENTS].number
    return EventsView(
        events=[
            EventView(event.number, event.kind, event.parent, event.tokens)
            for event in kept
            if event.namespace == namespace or event.kind == "cleared"
        ],
        oldest=log.oldest,
        next_number=next_number,
        kept=log.capacity,
    )


def _view_sequence(seq: Sequence, *, compiling: bool) -> SequenceView:
    state: Literal["compiling", "waiting", "extending", "decoding"]
    if compiling:
        state = "compiling"
    elif seq.node is None:
        state = "waiting"
    else:
        state = "decoding" if seq.num_uncomputed <= 1 else "extending"
    return SequenceView(
        sid=seq.sid,
        state=state,
        prompt_tokens=seq.prompt_len,
        computed_tokens=seq.num_computed,
        generated_tokens=seq.num_generated,
        retractions=seq.retractions,
    )


def _holders(
    nodes: list[Node], running: Iterable[Sequence], namespace: str
) -> list[tuple[int, int]]:
    places = {node: index for index, node in enumerate(nodes)}
    holders: list[tuple[int, int]] = []
    for seq in running:
        node = seq.node if seq.namespace == namespace else None
        while node is not None and node not in places:
            node = node.parent  # cut off by max_nodes: what is shown of its path
        if node is not None:
            holders.append((seq.sid, places[node]))
    return holders


def _as_id(token: bytes) -> int:
    return memoryview(token).cast("i")[0]


def _common(node_tokens: bytes, tokens: bytes, at: int) -> int:
    """How many tokens of a node equal those from byte `at` on."""
    if tokens.startswith(node_tokens, at):
        return len(node_tokens) // TOKEN_BYTES
    most = min(len(node_tokens), len(tokens) - at) // TOKEN_BYTES
    mine = memoryview(node_tokens).cast("i")
    theirs = memoryview(tokens)[at : at + most * TOKEN_BYTES].cast("i")
    return next((index for index in range(most) if mine[index] != theirs[index]), most)
