"""The scheduler's settings, each with the reason for its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Policy = Literal["lpm", "fcfs"]


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """max_running: sequences in one step.
    chunk_tokens: new tokens per step over all sequences; decoding sequences always take part.
    max_waiting: sequences that wait or compile; one more is refused as overloaded.
    policy: "lpm" admits the longest cached prefix first, "fcfs" the oldest first.
    max_overtakes: after so many younger ones were admitted before it, a sequence goes first.
    window: how many of the oldest waiting ones lpm chooses from; bounds the work per step.
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
    window: int = 256
    min_shared_tokens: int = 8
    lookahead: int = 32
