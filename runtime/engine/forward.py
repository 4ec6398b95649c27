"""One forward pass over the scheduler's chunks, and what its rows of logits are for.

Used by the engine core.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch

from ..device.base import Device
from ..memory.allocator import SlotIds
from ..protocol import TokenLogprob
from ..sampling import token_logprobs
from ..scheduler.scheduler import Chunk
from ..scheduler.sequence import Sequence
from .batch import ForwardBatch
from .inputs import build_batch
from .turn import Turn

_log = logging.getLogger(__name__)


class Runner(Protocol):
    """What the engine needs of `ModelRunner`."""

    @property
    def num_slots(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def context_length(self) -> int: ...
    @property
    def eos_token_ids(self) -> tuple[int, ...]: ...
    @property
    def architecture(self) -> str: ...
    @property
    def device(self) -> Device: ...
    @property
    def execution(self) -> dict[str, str]: ...
    @property
    def fingerprint(self) -> str: ...
    def forward(self, batch: ForwardBatch, /) -> torch.Tensor: ...
    def embed(self, batch: ForwardBatch, /) -> torch.Tensor: ...
    def read_kv(self, slots: SlotIds, /) -> Mapping[str, torch.Tensor]: ...
    def write_kv(self, slots: SlotIds, kv: Mapping[str, torch.Tensor], /) -> None: ...


def bytes_per_slot(runner: Runner) -> int:
    """What the keys and values of one token take."""
    kv = runner.read_kv(np.empty(0, np.int64))
    return sum(t.element_size() * t.shape[0] * t.shape[2] for t in kv.values())


class Computed(NamedTuple):
    """The chunks that were computed, and a row of logits, or of last hidden states, for each of
    their positions."""

    chunks: list[Chunk]
    positions: list[range]
    rows: torch.Tensor


def compute(
    forward: Callable[[ForwardBatch], torch.Tensor],
    device: Device,
    chunks: list[Chunk],
    positions: list[range],
    blame: Callable[[Sequence, Exception], None],
) -> Computed:
    """Run one step. When it fails as a whole each chunk gets a step of its own: only those that
    fail again are blamed."""
    try:
        return Computed(chunks, positions, forward(build_batch(chunks, positions, device)))
    except Exception:
        _log.exception("a step of %d sequences failed; trying them one by one", len(chunks))
    done: list[Chunk] = []
    done_positions: list[range] = []
    rows: list[torch.Tensor] = []
    for chunk, wanted in zip(chunks, positions, strict=True):
        try:
            rows.append(forward(build_batch([chunk], [wanted], device)))
        except Exception as error:
            blame(chunk.seq, error)
        else:
            done.append(chunk)
            done_positions.append(wanted)
    return Computed(done, done_positions, torch.cat(rows) if rows else torch.empty(0, 0))


def split_rows(computed: Computed) -> list[Turn]:
    """Note the log probabilities of prompts; return the sequences that were computed to their
    end."""
    turns: list[Turn] = []
    row = 0
    logits = computed.rows
    for chunk, wanted in zip(computed.chunks, computed.positions, strict=True):
        seq = chunk.seq
        if seq.first_logprob_row is not None:
            if chunk.start == 0 and seq.logprobs and seq.logprobs.prompt_start == 0:
                seq.prompt_logprobs.append(TokenLogprob(None, int(seq.ids[0])))
            num = sum(position + 1 < seq.prompt_len for position in wanted)
            seq.prompt_logprobs += _of_prompt(seq, wanted[:num], logits[row : row + num])
        if chunk.reaches_end:
            staged: list[int] = seq.ids[seq.num_tokens : chunk.end].tolist()
            turns.append(Turn(seq, row + seq.num_tokens - 1 - wanted.start, staged))
        row += len(wanted)
    return turns


def _of_prompt(seq: Sequence, positions: range, logits: torch.Tensor) -> list[TokenLogprob]:
    """Log probabilities of the tokens behind `positions`."""
    wanted = seq.logprobs
    if wanted is None or not positions:
        return []
    targets = seq.ids[positions.start + 1 : positions.stop + 1].tolist()
    return token_logprobs(logits, targets, [wanted.top] * len(targets))
