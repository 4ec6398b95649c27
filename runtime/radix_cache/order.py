"""In which order cached prefixes go when slots are needed; used by the radix tree alone.

Each domain has one linked list per class of all its unprotected nodes. A use moves the unprotected
part of its path to the young end, deepest node first. Hence within a class a child always stands
before its parent, and as no child is of a higher class, the first node of the lowest class that has
any is always a leaf: evicting never searches, its time does not depend on the size of the tree.
"""

from __future__ import annotations

from collections.abc import Mapping

from .node import Domain, Node


class EvictionOrder:
    """quotas: tokens per namespace that other namespaces can never evict."""

    def __init__(self, quotas: Mapping[str, int]) -> None:
        self.common = Domain(0)
        self._own = {name: Domain(quota) for name, quota in quotas.items()}
        self.domains = [*self._own.values(), self.common]

    def domain_of(self, namespace: str) -> Domain:
        return self._own.get(namespace, self.common)

    def num_evictable_for(self, namespace: str | None) -> int:
        """Tokens that can be evicted on behalf of a namespace, or of several (None)."""
        own = None if namespace is None else self.domain_of(namespace)
        return sum(d.num_evictable if d is own else d.num_for_others for d in self.domains)

    @property
    def num_evictable(self) -> int:
        return sum(domain.num_evictable for domain in self.domains)

    def add(self, node: Node) -> None:
        """It is unprotected now, and the youngest."""
        node.domain.num_evictable += len(node.slots)
        node.domain.orders[node.eviction_class][node] = None

    def discard(self, node: Node) -> None:
        """It is protected now, or gone."""
        node.domain.num_evictable -= len(node.slots)
        del node.domain.orders[node.eviction_class][node]

    def touch(self, node: Node) -> None:
        node.domain.orders[node.eviction_class].move_to_end(node)

    def hasten(self, node: Node) -> None:
        """Let it go first of its class."""
        node.domain.orders[node.eviction_class].move_to_end(node, last=False)

    def insert_upper(self, upper: Node) -> None:
        """It was cut off the upper end of an unprotected node, and must go after that."""
        upper.domain.orders[upper.eviction_class][upper] = None

    def reclass(self, node: Node, keeps: int, pins: int) -> None:
        """Change what the class depends on. In another class it is the youngest."""
        before = node.eviction_class
        node.keeps += keeps
        node.pins += pins
        if node.refs == 0 and node.eviction_class != before:
            del node.domain.orders[before][node]
            node.domain.orders[node.eviction_class][node] = None

    def first(self, own: Domain | None) -> Node | None:
        """The leaf that goes next on behalf of the domain `own`; None when there is none."""
        for number in range(len(self.common.orders)):
            best: Node | None = None
            for domain in self.domains:
                order = domain.orders[number]
                if not order or (domain is not own and not domain.num_for_others):
                    continue
                node = next(iter(order))
                if best is None or node.used_s < best.used_s:
                    best = node
            if best is not None:
                return best
        return None
