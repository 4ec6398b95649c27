"""Text that is shown, saved or given to a model: by state.py, timeline.py, plan_graph.py,
tool_run.py, branchline/records.py."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with halves of surrogate pairs spelled out: nothing prints or saves them."""
    return text.encode(errors="backslashreplace").decode()
