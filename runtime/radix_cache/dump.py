"""The tree as data for people: text, hits, owners and ages of its nodes; made for the web page, the
command line and the log. Called by the engine core, which knows text and sequences.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from ..engine_protocol import TreeNode
from .node import Node
from .tree import RadixCache


def dump(
    cache: RadixCache,
    text_of: Callable[[list[int]], str],
    owners: Mapping[Node, list[int]],
    *,
    max_nodes: int,
    max_chars: int,
) -> list[TreeNode]:
    """At most `max_nodes` nodes, parents before their children, the most recently used first.

    owners: by node, the ids of the sequences whose cached prefix ends there.
    """
    now_s = cache.clock()
    found: list[TreeNode] = []
    # (age, order of discovery, node, the parent's id, namespace, depth): a heap, youngest first.
    frontier: list[tuple[float, int, Node, int | None, str, int]] = []
    num_seen = 0
    shown: dict[int, int] = {}

    def discover(parent: Node, parent_id: int | None, namespace: str, depth: int) -> None:
        nonlocal num_seen
        for child in parent.children.values():
            num_seen += 1
            age_s = 0.0 if child.refs else max(0.0, now_s - child.used_s)
            heapq.heappush(frontier, (age_s, num_seen, child, parent_id, namespace, depth))

    for namespace, root in cache.roots.items():
        discover(root, None, namespace, 0)
    while frontier and len(found) < max_nodes:
        age_s, node_id, node, parent_id, namespace, depth = heapq.heappop(frontier)
        # Almost every token has a character: the beginning of the text takes no more than these.
        tokens = node.token_ids[: max_chars + 1].tolist()
        found.append(
            TreeNode(
                id=node_id,
                parent=parent_id,
                namespace=namespace,
                text=text_of(tokens)[:max_chars] if max_chars else "",
                num_tokens=len(node.slots),
                depth=depth,
                hits=node.hits,
                age_s=age_s,
                leased=node.refs > 0,
                owners=owners.get(node, []),
                num_left_out=len(node.children),
            )
        )
        shown[node_id] = len(found) - 1
        if parent_id is not None:
            parent = found[shown[parent_id]]
            found[shown[parent_id]] = replace(parent, num_left_out=parent.num_left_out - 1)
        discover(node, node_id, namespace, depth + len(node.slots))
    return found
