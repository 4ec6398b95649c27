"""Which running sequences begin with the same KV slots, and how far; for `tree_decode.py`.

A slot has one place in the radix tree, so sequences that have it in common have all slots before
it in common, too. Whether a whole range is shared is one comparison of its end, and where two
sequences part is found by bisection: a step looks at some hundred slots, not at all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .work import Int64


class Branch:
    """Slots begin .. end - 1 of `lead`, which all `members` have; children by their first slot."""

    __slots__ = ("begin", "children", "end", "lead", "members")

    def __init__(self, lead: Int64, begin: int, end: int, members: list[int]) -> None:
        self.lead = lead
        self.begin = begin
        self.end = end
        self.members = members
        self.children: dict[int, Branch] = {}

    def below(self) -> Iterator[Branch]:
        """All branches under this one, each after the one it grows from."""
        for child in self.children.values():
            yield child
            yield from child.below()


def branches_of(slots: Sequence[Int64]) -> Branch:
    """The root, without slots, of the tree that the sequences form; members are their indices. A
    sequence's last slot, which holds its new token, is its own and not in the tree."""
    root = Branch(slots[0], 0, 0, [])
    for i, own in enumerate(slots):
        _insert(root, i, own, len(own) - 1)
    return root


def _insert(node: Branch, i: int, own: Int64, limit: int) -> None:
    node.members.append(i)
    at = node.end
    while at < limit:
        first = own.item(at)
        child = node.children.get(first)
        if child is None:
            node.children[first] = Branch(own, at, limit, [i])
            return
        at = _parting(own, child.lead, at, min(child.end, limit))
        if at < child.end:
            upper = Branch(child.lead, child.begin, at, child.members.copy())
            upper.children[child.lead.item(at)] = child
            child.begin = at
            node.children[first] = child = upper
        child.members.append(i)
        node = child


def _parting(a: Int64, b: Int64, same: int, end: int) -> int:
    """The first index up to `end` where a and b differ; they have index `same` in common."""
    if a.item(end - 1) == b.item(end - 1):
        return end
    differ = end - 1
    while differ - same > 1:
        middle = (same + differ) // 2
        if a.item(middle) == b.item(middle):
            same = middle
        else:
            differ = middle
    return differ
