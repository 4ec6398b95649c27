"""The synthetic corpus that the embedded model learns from: documents, records, calls, dialogues.

Everything is generated from a seed by code in this folder; nothing is downloaded.
"""

from __future__ import annotations

from .chat import CHAT_TEMPLATE, Message, Sample, chatml
from .mixture import TASKS, sample
from .writer import Writer

__all__ = ["CHAT_TEMPLATE", "TASKS", "Message", "Sample", "Writer", "chatml", "generate"]


def generate(seed: int, count: int, task: str | None = None, heldout: bool = False) -> list[Sample]:
    """Return `count` samples, the same for the same arguments.

    task: "extraction", "tools", "classification", "reading", "dialogue", "lookup" or None for the
    mixture. heldout: use only wordings that training never uses.
    """
    return [sample(Writer(f"{seed}:{index}", heldout), task) for index in range(count)]
