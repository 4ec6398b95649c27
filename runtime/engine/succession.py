"""Calls of a program that follow each other in the engine: where one has ended, its sequence makes
way for an heir, the next call, which keeps its place in the batch and its KV. Used by core.py.
"""

from __future__ import annotations

from collections.abc import Callable

from ..protocol import Submit
from ..scheduler.sequence import Sequence
from ..scheduler.stop import Finish
from .compiling import GrammarThreads
from .intake import Intake


class Succession:
    """look_ahead: gives a sequence what its grammar forces from the very beginning."""

    def __init__(
        self, intake: Intake, grammars: GrammarThreads, look_ahead: Callable[[Sequence], None]
    ) -> None:
        self._intake = intake
        self._grammars = grammars
        self._look_ahead = look_ahead

    def heir_of(self, seq: Sequence, finish: Finish) -> Sequence | None:
        """The next call of a sequence that has ended. None where there is none, or where it must
        be submitted like any other.

        Only tokens are known here. So there is none where the output's text decides: it is cut at
        a stop string, or nothing, so that the texts round it are tokenized together. And none
        waits for its grammar here.
        """
        if not seq.then or isinstance(finish.matched_stop, str):
            return None
        num_kept = seq.num_tokens
        num_kept -= (
            finish.matched_stop is not None and seq.ids[-1 + num_kept] == finish.matched_stop
        )
        if num_kept <= seq.prompt_len:
            return None
        try:
            return self._next(seq, num_kept)
        except Exception:
            # Submitted by itself it meets the same, and whoever waits for it is told.
            return None

    def _next(self, seq: Sequence, num_kept: int) -> Sequence | None:
        call = seq.then[0]
        heir = self._intake.take(
            Submit(
                sid=seq.sid,
                input_ids=[*seq.ids[:num_kept].tolist(), *call.input_ids],
                sampling=call.sampling,
                constraint=call.constraint,
                logprobs=call.logprobs,
                namespace=seq.namespace,
                priority=seq.priority,
                session=seq.session,
                ends_session=seq.ends_session,
                then=seq.then[1:],
            )
        )
        if heir.constraint is not None:
            grammar = self._grammars.ready(heir.constraint, heir.max_new_tokens)
            if grammar is None:
                return None
            heir.matcher = grammar.matcher()
            self._look_ahead(heir)
        return heir
