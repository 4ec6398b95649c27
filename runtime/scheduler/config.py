"""The scheduler's settings, each with the reason for its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Policy = Literal["lpm", "dfs-weight", "fcfs", "priority"]


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """max_running: sequences in one step.
    chunk_tokens: new tokens per step over all sequences; decoding sequences always take part.
    max_waiting: sequences that wait or compile; one more is refused as overloaded.
    policy: "lpm" admits the longest cached prefix first, "dfs-weight" goes through the radix tree
        branch by branch, the one with most waiting first, "fcfs" takes the oldest first, "priority"
        the highest priority, for which it takes the places and slots of lower ones.
    max_overtakes: with "lpm" and "dfs-weight", a sequence that finds q others waiting, with r calls
        to come, is admitted as one of the next 3 * q + 2 * r + max_overtakes + 1; see waiting.py.
    max_calls_after: of what is to come after a waiting call, so many calls count there at most.
    max_tries: sequences that admission looks at in one step; bounds the work per step.
    max_preemptions: how often one sequence gives way to higher priorities; then it stays.
    max_retractions: how often slots may run out for one sequence; then it is admitted only with
        room for all that it and those beside it may generate, and nobody who would not leave it.
    min_shared_tokens: a sequence waits for another that is just computing at least so many tokens
        of its own prefix. Below, waiting a step costs more than computing them twice.
    lookahead: tokens that each running sequence is expected to generate before another one ends.
        Doubles with each retraction, decays with each end of a sequence.
    """

    max_running: int = 64
    chunk_tokens: int = 512
    max_waiting: int = 4_096
    policy: Policy = "lpm"
    max_overtakes: int = 64
    max_calls_after: int = 4
    max_tries: int = 256
    max_preemptions: int = 8
    max_retractions: int = 8
    min_shared_tokens: int = 8
    lookahead: int = 32
