"""The next token of each sequence, from its logits and its grammar; used by the engine core."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..constrained.allowance import Allowance
from ..device.base import Device
from ..errors import RequestError
from ..protocol import TokenLogprob
from ..sampling import (
    RowSampler,
    Sampled,
    SamplingState,
    Scored,
    of_drawn,
    sample,
    sample_by,
    scored,
    told,
)
from ..scheduler.sequence import Sequence

_log = logging.getLogger(__name__)

_Mask = npt.NDArray[np.int32]


class ChosenAhead(NamedTuple):
    """A token that was sampled, with its log probability if that was asked for."""

    token_id: int
    logprob: TokenLogprob | None


class Choice(NamedTuple):
    """A token that was sampled for a sequence, with its log probability if that was asked for.
    None: its mask needs another step."""

    seq: Sequence
    token_id: int | None
    logprob: TokenLogprob | None


class Drawn(NamedTuple):
    """Tokens whose drawing is queued on the device, for `seqs` in order; `read` waits for them.
    unfinished: choices of sequences whose mask needs more than a step may work. read_logprobs: of
    the rows that ask for log probabilities, in order."""

    seqs: list[Sequence]
    unfinished: list[Choice]
    token_ids: torch.Tensor
    read: Callable[[], torch.Tensor]
    read_logprobs: Callable[[], Scored] | None


class Chooser:
    """Masks and samples; a sequence for which that fails is blamed, the others go on.

    num_real_tokens: of the tokenizer. num_columns: of the logits; checkpoints pad them, and a
    padding column must never be sampled.
    allowance: what the masks of a step may cost; None for as much as they take.
    sampler: draws where the logits are; None where the device has none. most_rows: that it draws
    from at once.
    """

    def __init__(
        self,
        num_real_tokens: int,
        num_columns: int,
        blame: Callable[[Sequence, Exception], None],
        most_rows: int,
    ) -> None:
        self.most_rows = most_rows
        self._blame = blame
        self._num_words = -(-num_columns // 32)
        self.allowance: Allowance | None = None
        self.sampler: RowSampler | None = None
        self.num_masks = 0
        self.num_unfinished_masks = 0
        self.mask_s = 0.0
        self._rows = np.empty((0, self._num_words), np.int32)
        self._real = None
        if num_real_tokens < num_columns:
            bits = np.zeros(self._num_words * 32, np.uint8)
            bits[:num_real_tokens] = 1
            self._real = np.packbits(bits, bitorder="little").view(np.int32)

    def stats(self) -> dict[str, float]:
        """Counters."""
        return {
            "masks": self.num_masks,
            "mask_seconds": self.mask_s,
            "unfinished_masks": self.num_unfinished_masks,
        }

    def choose(self, seqs: list[Sequence], logits: torch.Tensor) -> list[Choice]:
        """One token, or none yet, for each of `seqs` that did not fail. logits: [seqs, columns]."""
        seqs, masks, logits, unfinished = self._allowed(seqs, logits)
        if not seqs:
            return unfinished
        try:
            sampled = self._sample(logits, [seq.sampling_state for seq in seqs], masks)
        except Exception:
            _log.exception("sampling %d sequences failed; trying them one by one", len(seqs))
            return unfinished + self._choose_singly(seqs, masks, logits)
        return unfinished + self._choices(seqs, sampled)

    def choose_ahead(
        self, seqs: list[Sequence], ahead: list[int], logits: torch.Tensor
    ) -> list[ChosenAhead | None]:
        """The token of each row as if as many tokens as `ahead` tells had joined its sequence,
        whose logits are used as they are and which may stand here several times. None for rows that
        fail; nobody is blamed. logits: [rows, columns]."""
        masks: list[_Mask | None] = [self._real] * len(seqs)
        try:
            sampled = self._sample(logits, [seq.sampling_state for seq in seqs], masks, ahead)
        except Exception:
            _log.exception("sampling %d rows failed; trying them step by step", len(seqs))
            return [None] * len(seqs)
        found = map(ChosenAhead, sampled.token_ids, sampled.logprobs)
        return [None if i in sampled.failures else row for i, row in enumerate(found)]

    def draw(self, seqs: list[Sequence], logits: torch.Tensor, device: Device) -> Drawn | None:
        """`choose` as far as the host need not wait; `finish` does the rest. None where nothing is
        left to draw, or the device cannot draw."""
        if self.sampler is None:
            return None
        seqs, masks, logits, unfinished = self._allowed(seqs, logits, device)
        if not seqs:
            return None
        self.sampler.load([seq.sampling_state for seq in seqs], masks)
        token_ids = device.draw(self.sampler, logits)
        read_logprobs = _queue_logprobs(seqs, logits, token_ids, device)
        return Drawn(seqs, unfinished, token_ids, device.fetch(token_ids), read_logprobs)

    def finish(
        self, drawn: Drawn, token_ids: list[int], is_live: Callable[[Sequence], bool]
    ) -> list[Choice]:
        """What became of a drawing of these tokens; nobody is blamed who does not run any more."""
        logprobs = _logprobs_of(drawn, token_ids)
        live = [(i, seq) for i, seq in enumerate(drawn.seqs) if is_live(seq)]
        sampled = of_drawn([token_ids[i] for i, _ in live])
        sampled.logprobs[:] = [logprobs.get(seq.sid) for _, seq in live]
        return drawn.unfinished + self._choices([seq for _, seq in live], sampled)

    def _allowed(
        self, seqs: list[Sequence], logits: torch.Tensor, device: Device | None = None
    ) -> tuple[list[Sequence], list[_Mask | None], torch.Tensor, list[Choice]]:
        """The sequences that may be sampled now with their masks and logits, and those whose masks
        are not finished; others are blamed. device: on which the logits may be on their way."""
        masks: list[_Mask | None] = [self._real] * len(seqs)
        unfinished: list[Choice] = []
        if any(seq.matcher is not None for seq in seqs):
            rows = self._fill_masks(seqs, masks, unfinished)
            if len(rows) < len(seqs):
                seqs = [seqs[row] for row in rows]
                masks = [masks[row] for row in rows]
                if device is not None:
                    device.catch_up()
                logits = logits[torch.tensor(rows, dtype=torch.int64, device=logits.device)]
        return seqs, masks, logits, unfinished

    def _fill_masks(
        self, seqs: list[Sequence], masks: list[_Mask | None], unfinished: list[Choice]
    ) -> list[int]:
        """Ask the grammars what may follow; the rows for which something may."""
        if len(self._rows) < len(seqs):
            self._rows = np.empty((2 * len(seqs), self._num_words), np.int32)
        started_s = time.perf_counter()
        rows = []
        for row, seq in enumerate(seqs):
            if seq.matcher is not None:
                mask = self._rows[row]
                try:
                    if self.allowance is None:
                        seq.matcher.fill_mask(mask, seq.num_remaining)
                    elif not seq.matcher.try_mask(mask, seq.num_remaining, self.allowance):
                        unfinished.append(Choice(seq, None, None))
                        continue
                    if not mask.any():
                        raise RequestError(
                            "grammar",
                            f"after {seq.num_generated} tokens the constraint allows no token",
                            pointer="/constraint",
                        )
                except Exception as error:
                    self._blame(seq, error)
                    continue
                masks[row] = mask
                self.num_masks += 1
            rows.append(row)
        self.num_unfinished_masks += len(unfinished)
        self.mask_s += time.perf_counter() - started_s
        return rows

    def _choose_singly(
        self, seqs: list[Sequence], masks: list[_Mask | None], logits: torch.Tensor
    ) -> list[Choice]:
        """The slow way after a failure, which finds the sequence that is to blame."""
        choices: list[Choice] = []
        for row, seq in enumerate(seqs):
            try:
                sampled = self._sample(logits[row : row + 1], [seq.sampling_state], [masks[row]])
            except Exception as error:
                self._blame(seq, error)
            else:
                choices += self._choices([seq], sampled)
        return choices

    def _sample(
        self,
        logits: torch.Tensor,
        states: list[SamplingState],
        masks: list[_Mask | None],
        ahead: list[int] | None = None,
    ) -> Sampled:
        if self.sampler is None:
            return sample(logits, states, masks, ahead)
        return sample_by(self.sampler, logits, states, masks, ahead)

    def _choices(self, seqs: list[Sequence], sampled: Sampled) -> list[Choice]:
        choices = []
        for row, seq in enumerate(seqs):
            if row in sampled.failures:
                self._blame(seq, RequestError("internal", sampled.failures[row]))
            else:
                choices.append(Choice(seq, sampled.token_ids[row], sampled.logprobs[row]))
        return choices


def _queue_logprobs(
    seqs: list[Sequence], logits: torch.Tensor, token_ids: torch.Tensor, device: Device
) -> Callable[[], Scored] | None:
    """Log probabilities of tokens that are being drawn, where some ask for them: computed and
    copied without waiting."""
    tops = {row: seq.logprobs.top for row, seq in enumerate(seqs) if seq.logprobs is not None}
    if not tops:
        return None

    def compute() -> Scored:
        if len(tops) == len(seqs):
            return scored(logits, token_ids, max(tops.values()))
        (rows,) = device.put([np.array(list(tops), np.int64)])
        own = logits.index_select(0, rows), token_ids.index_select(0, rows)
        return scored(*own, max(tops.values()))

    read = device.fetch_all(compute)
    return lambda: Scored(*read())


def _logprobs_of(drawn: Drawn, token_ids: list[int]) -> dict[int, TokenLogprob]:
    """By sequence."""
    if drawn.read_logprobs is None:
        return {}
    asked = [
        (row, seq, wanted.top) for row, seq in enumerate(drawn.seqs) if (wanted := seq.logprobs)
    ]
    found = told(
        drawn.read_logprobs(), [token_ids[row] for row, _, _ in asked], [top for *_, top in asked]
    )
    return {seq.sid: logprob for (_, seq, _), logprob in zip(asked, found, strict=True)}
