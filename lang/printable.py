"""Text that is shown: by state.py, timeline.py and plan_graph.py."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with halves of surrogate pairs spelled out: nothing prints or saves them."""
    return text.encode(errors="backslashreplace").decode()
