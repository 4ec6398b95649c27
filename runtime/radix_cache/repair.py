"""Makes tree, allocator and sequences agree again after `check` found that they do not.

Used by the engine core in production. Whoever has part in a contradiction is not to be trusted: of
a slot with several owners all lose it, and what hangs below a wrong node goes with it. The rest
stays as it is, and every slot that then has no owner is free.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from ..memory.allocator import SlotIds
from .node import TOKEN_BYTES, Node, Root
from .tree import RadixCache


class Holder(Protocol):
    """What is needed of a running sequence: its lease, and the slots of its tokens, the first
    `num_leased` of which are the tree's."""

    @property
    def node(self) -> Node | None: ...
    @property
    def slots(self) -> SlotIds: ...
    @property
    def num_leased(self) -> int: ...
    def own_slots(self) -> SlotIds: ...


AnyHolder = TypeVar("AnyHolder", bound=Holder)


@dataclass(frozen=True, slots=True)
class Repair(Generic[AnyHolder]):
    """blamed: holders that can no longer run; nothing is theirs any more. num_cut: nodes that were
    cut off. num_regained: slots that are free now and were not before."""

    blamed: list[AnyHolder]
    num_cut: int
    num_regained: int


def repair(cache: RadixCache, holders: Items[AnyHolder]) -> Repair[AnyHolder]:
    """Restore one owner per slot. Takes time in proportion to the slots, like `check`.

    Nothing is kept or pinned any more: who wants it so has to say so again.
    """
    total = cache.allocator.num_slots
    nodes, num_cut = _sound_nodes(cache)
    claims = [np.unique(cache.allocator.free_slots())]
    claims += [node.slots for node in nodes]
    claims += [holder.own_slots() for holder in holders]
    slots = np.concatenate(claims)
    contested = np.bincount(slots[(slots >= 0) & (slots < total)], minlength=total) > 1

    cut: set[int] = set()
    for node in nodes:  # parents before children
        if id(node.parent) in cut or contested[node.slots].any():
            cut.add(id(node))
    for node in nodes:
        if id(node) in cut and id(node.parent) not in cut and node.parent is not None:
            del node.parent.children[node.first_token]
    for node in nodes:
        if id(node) in cut:
            node.parent = None
    nodes = [node for node in nodes if id(node) not in cut]
    present = {id(node) for node in nodes}
    blamed = [h for h in holders if not _is_sound(h, contested, present, total)]
    blamed_ids = {id(holder) for holder in blamed}
    sound = [holder for holder in holders if id(holder) not in blamed_ids]

    owned = np.zeros(total, np.bool_)
    for taken in [*(node.slots for node in nodes), *(holder.own_slots() for holder in sound)]:
        owned[taken] = True
    num_free = cache.allocator.num_free
    cache.allocator.reset(np.flatnonzero(~owned))
    _recount(cache, nodes, sound)
    return Repair(blamed, num_cut + len(cut), max(0, cache.allocator.num_free - num_free))


def _sound_nodes(cache: RadixCache) -> tuple[list[Node], int]:
    """The nodes of the tree, parents before children, without those that are malformed."""
    total = cache.allocator.num_slots
    found: list[Node] = list(cache.roots.values())
    seen = {id(node) for node in found}
    num_cut = 0
    for node in found:
        for token, child in list(node.children.items()):
            if (
                id(child) in seen
                or child.parent is not node
                or len(child.slots) == 0
                or len(child.tokens) != len(child.slots) * TOKEN_BYTES
                or child.first_token != token
                or child.slots.min() < 0
                or child.slots.max() >= total
            ):
                del node.children[token]
                num_cut += 1
            else:
                seen.add(id(child))
                found.append(child)
    return found[len(cache.roots) :], num_cut


def _is_sound(
    holder: Holder,
    contested: np.ndarray[tuple[int], np.dtype[np.bool_]],
    present: set[int],
    total: int,
) -> bool:
    own = holder.own_slots()
    if len(own) and (own.min() < 0 or own.max() >= total or contested[own].any()):
        return False
    node = holder.node
    if node is None or not (isinstance(node, Root) or id(node) in present):
        return False
    path: list[SlotIds] = []
    while node.parent is not None:
        path.append(node.slots)
        node = node.parent
    path.reverse()
    leased = np.concatenate(path) if path else np.empty(0, np.int64)
    return np.array_equal(leased, holder.slots[: holder.num_leased])


def _recount(cache: RadixCache, nodes: list[Node], holders: Items[Holder]) -> None:
    """Leases, tallies and the order of eviction, from nothing but nodes and holders."""
    for domain in cache.order.domains:
        domain.leaves.clear()
        domain.num_tokens = domain.num_evictable = 0
    for node in nodes:  # parents before children
        node.refs = node.keeps = node.pins = 0
        node.start = 0 if node.parent is None else node.parent.end
    for holder in holders:
        if holder.node is not None and holder.node.parent is not None:
            holder.node.refs += 1
    newest: dict[int, int] = {}
    for node in reversed(nodes):  # children before parents
        newest[id(node)] = max(newest.get(id(node), 0), node.place)
        parent = node.parent
        if parent is not None and parent.parent is not None:
            parent.refs += node.refs > 0
            newest[id(parent)] = max(newest.get(id(parent), 0), newest[id(node)])
        node.domain.num_tokens += len(node.slots)
    # Stable: among equals those deeper in the tree come first, as they do here.
    children_first = list(reversed(nodes))
    for node in sorted(children_first, key=lambda node: newest[id(node)]):
        node.place = 0
        if node.refs == 0:
            cache.order.add(node)
    cache.num_nodes = len(nodes)
    cache.num_tokens = sum(len(node.slots) for node in nodes)
    for name, root in list(cache.roots.items()):
        root.parent, root.namespace = None, name
        if not root.children:
            del cache.roots[name]
