"""Proof that tree, allocator and requests agree; run by tests after every step and at idle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ..memory.allocator import SlotIds
from .node import TOKEN_BYTES, Node
from .order import is_valid
from .tree import RadixCache


class InvariantError(RuntimeError):
    """The bookkeeping of KV slots contradicts itself."""


def check(
    cache: RadixCache, requests: Sequence[SlotIds] = (), leases: Iterable[Node] | None = None
) -> None:
    """Raise InvariantError unless every slot has exactly one owner and the tree is sound.

    requests: the slots that each running request owns beside the tree's.
    leases: the nodes that are locked, one entry per lock; None leaves lease counts unproven.
    """
    nodes = _all_nodes(cache)
    _check_owners(cache, nodes, requests)
    _check_shape(cache, nodes)
    _check_leases(cache, nodes, leases)
    _check_claims(nodes)
    _check_order(cache, nodes)


def _all_nodes(cache: RadixCache) -> list[Node]:
    nodes: list[Node] = list(cache.roots.values())
    for node in nodes:  # grows while it is walked: breadth first
        nodes.extend(node.children.values())
    return nodes[len(cache.roots) :]


def _check_owners(cache: RadixCache, nodes: list[Node], requests: Sequence[SlotIds]) -> None:
    owned = [cache.allocator.free_slots(), *(node.slots for node in nodes), *requests]
    slots = np.concatenate(owned)
    total = cache.allocator.num_slots
    if len(slots) and (slots.min() < 0 or slots.max() >= total):
        raise InvariantError("an owner holds a slot that is not in the pool")
    owners = np.bincount(slots, minlength=total)
    if (owners != 1).any():
        lost = np.flatnonzero(owners == 0)
        shared = np.flatnonzero(owners > 1)
        raise InvariantError(f"slots without an owner: {lost}; with several: {shared}")


def _check_shape(cache: RadixCache, nodes: list[Node]) -> None:
    for name, root in cache.roots.items():
        if root.namespace != name or not root.children:
            raise InvariantError(f"the root of namespace {name!r} is misnamed or empty")
    for node in nodes:
        if not len(node.slots) or len(node.tokens) != len(node.slots) * TOKEN_BYTES:
            raise InvariantError("a node is empty or has as many tokens as slots no longer")
        if node.parent is None or node.parent.children.get(node.first_token) is not node:
            raise InvariantError("a node is not the child that its parent files under its token")
    if cache.num_nodes != len(nodes):
        raise InvariantError(f"{len(nodes)} nodes, counted as {cache.num_nodes}")
    num_tokens = sum(len(node.slots) for node in nodes)
    if cache.num_tokens != num_tokens:
        raise InvariantError(f"{num_tokens} tokens, counted as {cache.num_tokens}")


def _check_leases(cache: RadixCache, nodes: list[Node], leases: Iterable[Node] | None) -> None:
    own = None if leases is None else Counter(id(node) for node in leases if node.parent)
    for node in nodes:
        held_below = sum(child.refs > 0 for child in node.children.values())
        if node.refs < held_below or (own is not None and node.refs != own[id(node)] + held_below):
            raise InvariantError(
                f"a node counts {node.refs} leases, {held_below} from its children"
            )
    if own is not None and not own.keys() <= {id(node) for node in nodes}:
        raise InvariantError("a leased node is no longer in the tree")


def _check_claims(nodes: list[Node]) -> None:
    for node in nodes:
        kept = sum(child.keeps > 0 for child in node.children.values())
        pinned = sum(child.pins > 0 for child in node.children.values())
        if node.keeps < kept or node.pins < pinned:
            raise InvariantError("a node is kept or pinned, but what leads to it is not")


def _check_order(cache: RadixCache, nodes: list[Node]) -> None:
    for node in nodes:
        if (node.place > 0) != (node.refs == 0):
            raise InvariantError("the order of eviction has not exactly the unleased nodes")
        if node.parent is None or node.start != node.parent.end:
            raise InvariantError("a node does not begin where the one above it ends")
    goes = {node for node in nodes if node.place and not node.children}
    for domain in cache.order.domains:
        valid = [entry for entry in domain.leaves if is_valid(entry)]
        if any(node.domain is not domain for _, _, node in valid):
            raise InvariantError("a leaf stands in an order of eviction that is not its own")
        goes -= {node for _, _, node in valid}
    if goes:
        raise InvariantError("the order of eviction does not list every unleased leaf")
    for domain in cache.order.domains:
        own = [node for node in nodes if node.domain is domain]
        evictable = sum(len(node.slots) for node in own if node.refs == 0)
        num_tokens = sum(len(node.slots) for node in own)
        if (domain.num_evictable, domain.num_tokens) != (evictable, num_tokens):
            raise InvariantError(
                f"{evictable} evictable slots of {num_tokens}, counted as "
                f"{domain.num_evictable} of {domain.num_tokens}"
            )
