"""The order "dfs-weight": through the radix tree depth first, the branch with most waiting first.

Used by the waiting queue. Whatever shares a prefix is admitted in a row, so that each cached branch
is needed once and may then be evicted: the order of SGLang's policy of that name
(arXiv:2312.07104, section 3).
"""

from __future__ import annotations

import sys

from ..radix_cache.node import TOKEN_BYTES, Node
from ..radix_cache.tree import RadixCache
from .sequence import Sequence
from .wait_index import WaitIndex


def dfs_order(cache: RadixCache, index: WaitIndex) -> list[Sequence]:
    """All that wait, the one to admit first in front."""
    ordered: list[Sequence] = []
    # What is left to do, the next thing last: (node, depth in bytes, those below it).
    todo: list[tuple[Node | None, int, list[Sequence]]] = [
        (cache.roots.get(name), 0, index.in_order(name)) for name in index.namespaces
    ]
    todo.sort(key=lambda item: len(item[2]))
    while todo:
        node, depth, seqs = todo.pop()
        here: list[Sequence] = []
        below: dict[int, list[Sequence]] = {}
        for seq in seqs:
            token = int.from_bytes(seq.prefix_bytes[depth : depth + TOKEN_BYTES], sys.byteorder)
            is_cached = seq.hit_estimate * TOKEN_BYTES > depth
            if node is None or not is_cached or token not in node.children:
                here.append(seq)
            else:
                below.setdefault(token, []).append(seq)
        here.sort(key=_arrival)
        # Pushed first, done last: the longer prefixes come before those that end here.
        if here and below:
            todo.append((None, depth, here))
        else:
            ordered += here
        for token, group in sorted(below.items(), key=lambda item: len(item[1])):
            if node is not None:
                child = node.children[token]
                todo.append((child, depth + len(child.tokens), group))
    return ordered


def _arrival(seq: Sequence) -> int:
    return seq.arrival
