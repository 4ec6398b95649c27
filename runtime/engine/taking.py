"""From the logits of a step to the tokens that its sequences take: forced ones as they are, sampled
ones as long as they agree with what was computed ahead. Used by the engine core.

A sequence may have staged tokens: its step computed what the grammar forces next and what is
guessed to follow. Each token is sampled as it would have been without them, from the same row of
logits under the same mask, penalties and random number; the first that differs from the staged one
is taken, too, and ends the turn. So what is taken does not depend on what was guessed. Where no
mask or penalty depends on the tokens before, all are sampled at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..constrained.base import Matcher
from ..device.base import Device
from ..protocol import TokenLogprob
from ..sampling import token_logprobs
from ..scheduler.sequence import Sequence
from ..scheduler.stop import Finish
from .choose import Choice, Chooser, Drawn
from .holding import Held
from .turn import Turn


class Taker:
    """Samples and takes tokens; a sequence for which that fails is blamed, the others go on.

    jump_forward: take what a grammar forces without sampling it.
    """

    def __init__(
        self,
        chooser: Chooser,
        blame: Callable[[Sequence, Exception], None],
        *,
        jump_forward: bool,
    ) -> None:
        self._chooser = chooser
        self._blame = blame
        self._jump_forward = jump_forward
        self.held = Held()

    def take(self, turns: list[Turn], logits: torch.Tensor) -> None:
        """Let each sequence take its tokens. logits: [rows, vocab]."""
        self._chooser.allowance = self.held.allowance(turns)
        try:
            self._take(turns, logits)
        finally:
            self.held.keep(turns, logits, self._chooser.allowance)

    def draw(self, turns: list[Turn], logits: torch.Tensor, device: Device) -> Drawn | None:
        """Queue the drawing of one token for each of `turns`, which have nothing staged and nothing
        forced; `take_drawn` takes them. None where the device cannot draw."""
        self._chooser.allowance = self.held.allowance(turns)
        rows = [turn.next_row for turn in turns]
        if len(rows) < logits.shape[0]:
            device.catch_up()  # the host picks them
        return self._chooser.draw([turn.seq for turn in turns], _select(logits, rows), device)

    def take_drawn(
        self,
        turns: list[Turn],
        drawn: Drawn,
        logits: torch.Tensor,
        is_live: Callable[[Sequence], bool],
    ) -> list[int]:
        """Wait for the tokens that were drawn; `turns`, of the sequences that still run, take
        them. Those of all that were drawn for, in order."""
        token_ids: list[int] = drawn.read().tolist()
        self._take_chosen(turns, self._chooser.finish(drawn, token_ids, is_live), logits)
        self.held.keep(turns, logits, self._chooser.allowance)
        return token_ids

    def _take(self, turns: list[Turn], logits: torch.Tensor) -> None:
        self._take_ahead(turns, logits)
        while True:
            for turn in turns:
                if turn.seq.num_forced and turn.is_open:
                    self._take_forced(turn, logits)
            waiting = [turn for turn in turns if turn.is_open]
            if not waiting:
                return
            rows = [turn.next_row for turn in waiting]
            choices = self._chooser.choose([turn.seq for turn in waiting], _select(logits, rows))
            self._take_chosen(waiting, choices, logits)

    def _take_ahead(self, turns: list[Turn], logits: torch.Tensor) -> None:
        """Let those whose logits are used as they are take their staged tokens. What cannot be
        sampled, or goes beyond what is sampled at once, is left to be taken one by one."""
        free = [turn for turn in turns if turn.is_open and _is_free(turn.seq)]
        if not any(turn.staged for turn in free):
            return
        asked = [(turn, place) for turn in free for place in range(len(turn.staged) + 1)]
        del asked[self._chooser.most_rows :]
        rows = [turn.row + place for turn, place in asked]
        choices = self._chooser.choose_ahead(
            [turn.seq for turn, _ in asked], [place for _, place in asked], _select(logits, rows)
        )
        for (turn, _), row, choice in zip(asked, rows, choices, strict=True):
            if choice is not None and turn.is_open and turn.next_row == row:
                self._take_sampled(turn, choice.token_id, choice.logprob, logits)

    def _take_chosen(self, turns: list[Turn], choices: list[Choice], logits: torch.Tensor) -> None:
        chosen = {choice.seq.sid: choice for choice in choices}
        for turn in turns:
            choice = chosen.get(turn.seq.sid)
            if choice is None:
                turn.failed, turn.is_open = True, False
            elif choice.token_id is None:
                turn.is_held, turn.is_open = True, False
                turn.seq.give([], None)
            else:
                self._take_sampled(turn, choice.token_id, choice.logprob, logits)

    def look_ahead(self, seq: Sequence) -> None:
        """Give a sequence what its grammar forces from the very beginning."""
        if self._jump_forward and seq.matcher is not None:
            forced = seq.matcher.forced(seq.num_remaining)
            seq.give(list(forced.token_ids), forced.likely, ends=forced.ends)

    def _take_sampled(
        self, turn: Turn, token_id: int, logprob: TokenLogprob | None, logits: torch.Tensor
    ) -> None:
        seq, matcher = turn.seq, turn.seq.matcher
        seq.give([], None)
        try:
            if matcher is not None:
                _accept(seq, token_id)
                if self._jump_forward and not matcher.finished:
                    sampled_id, token_id = token_id, _jump(seq, matcher, token_id)
                    if token_id != sampled_id and logprob is not None:
                        logprob = _logprob(seq, token_id, logits, turn.next_row)
            self._add(turn, token_id, logprob)
        except Exception as error:
            self._fail(turn, error)
        else:
            if turn.finish is None and seq.given_ends and seq.logprobs is None:
                # Nothing is left to compute: the forced end does not wait for another step.
                self._take_forced(turn, logits)

    def _take_forced(self, turn: Turn, logits: torch.Tensor) -> None:
        seq = turn.seq
        at_once = seq.given_ends and seq.logprobs is None
        try:
            while seq.num_forced and turn.finish is None and (turn.is_open or at_once):
                token_id = seq.given.pop(0)
                seq.num_forced -= 1
                _accept(seq, token_id)
                logprob = None
                if seq.logprobs is not None:
                    logprob = _logprob(seq, token_id, logits, turn.next_row, forced=True)
                turn.num_forced += 1
                self._add(turn, token_id, logprob)
        except Exception as error:
            self._fail(turn, error)

    def _add(self, turn: Turn, token_id: int, logprob: TokenLogprob | None) -> None:
        """A token joins its sequence, and perhaps ends it."""
        seq = turn.seq
        seq.append(token_id)
        seq.sampling_state.append(token_id)
        finish = seq.stop.push(token_id)
        if seq.matcher is not None and seq.matcher.finished and not _is_stop(finish):
            finish = Finish("stop")
        turn.add(token_id, logprob, finish)

    def _fail(self, turn: Turn, error: Exception) -> None:
        turn.failed, turn.is_open = True, False
        self._blame(turn.seq, error)


def _jump(seq: Sequence, matcher: Matcher, token_id: int) -> int:
    """Give a sequence what its grammar forces behind the token just accepted; return the token
    that is taken for it: another one where both are spelled differently together."""
    forced = matcher.forced(seq.num_remaining - 1, 1)
    token_ids = forced.token_ids
    if forced.num_respelled:
        matcher.rollback(1)
        if not matcher.accept(token_ids[0]):
            _accept(seq, token_id)
            return token_id
        token_id, token_ids = token_ids[0], token_ids[1:]
    seq.give(list(token_ids), forced.likely, ends=forced.ends)
    return token_id


def _accept(seq: Sequence, token_id: int) -> None:
    if seq.matcher is not None and not seq.matcher.accept(token_id):
        raise RuntimeError(f"the grammar refused token {token_id}, which it had allowed")


def _is_stop(finish: Finish | None) -> bool:
    return finish is not None and finish.reason == "stop"


def _is_free(seq: Sequence) -> bool:
    """Whether what is sampled depends on earlier tokens by the logits alone."""
    return seq.matcher is None and seq.sampling_state.plain


def _select(logits: torch.Tensor, rows: list[int]) -> torch.Tensor:
    if rows == list(range(logits.shape[0])):
        return logits
    return logits[torch.tensor(rows, dtype=torch.int64, device=logits.device)]


def _logprob(
    seq: Sequence, token_id: int, logits: torch.Tensor, row: int, *, forced: bool = False
) -> TokenLogprob:
    top = seq.logprobs.top if seq.logprobs is not None else 0
    found = token_logprobs(logits[row : row + 1], [token_id], [top])[0]
    return TokenLogprob(found.logprob, found.token_id, None, found.top, forced)
