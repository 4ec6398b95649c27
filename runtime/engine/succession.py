"""Calls of a program that follow each other in the engine: where one has ended, its sequence makes
way for an heir, the next call, which keeps its place in the batch and its KV. Used by core.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..engine_protocol import Submit
from ..protocol import SamplingParams
from ..scheduler.sequence import Sequence
from ..scheduler.stop import Finish
from .compiling import GrammarThreads
from .intake import Intake

_ASCII: Final = frozenset(bytes([byte]) for byte in range(128))


class Succession:
    """look_ahead: gives a sequence what its grammar forces from the very beginning. token_bytes: of
    the tokenizer."""

    def __init__(
        self,
        intake: Intake,
        grammars: GrammarThreads,
        look_ahead: Callable[[Sequence], None],
        token_bytes: list[bytes],
    ) -> None:
        self._token_bytes = token_bytes
        self._intake = intake
        self._grammars = grammars
        self._look_ahead = look_ahead

    def heir_of(self, seq: Sequence, finish: Finish) -> Sequence | None:
        """The next call of a sequence that has ended. None where there is none, or where it must
        be submitted like any other.

        Only tokens are known here. So there is none where the output's text decides: it is cut
        inside a token, or nothing, so that the texts round it are tokenized together. And none
        waits for its grammar here.
        """
        if not seq.then:
            return None
        said = seq.ids[seq.prompt_len : seq.num_tokens].tolist()
        num_kept = num_kept_tokens(said, finish.matched_stop, seq.sampling, self._token_bytes)
        if not num_kept:
            return None
        try:
            return self._next(seq, seq.prompt_len + num_kept)
        except Exception:
            # Submitted by itself it meets the same, and whoever waits for it is told.
            return None

    def _next(self, seq: Sequence, num_kept: int) -> Sequence | None:
        call = seq.then[0]
        heir = self._intake.take_behind(
            Submit(
                sid=seq.sid,
                input_ids=call.input_ids,
                sampling=call.sampling,
                constraint=call.constraint,
                logprobs=call.logprobs,
                namespace=seq.namespace,
                priority=seq.priority,
                session=seq.session,
                ends_session=seq.ends_session,
                program=seq.program,
                then=seq.then[1:],
                quiet=seq.quiet,
                private=call.private,
            ),
            seq.ids[:num_kept],
        )
        if heir.constraint is not None:
            grammar = self._grammars.ready(heir.constraint, heir.max_new_tokens)
            if grammar is None:
                return None
            heir.matcher = grammar.matcher()
            self._look_ahead(heir)
        heir.tokens_after = max(0.0, seq.tokens_after - heir.max_new_tokens)
        heir.calls_after = max(0, seq.calls_after - 1)
        return heir


def num_kept_tokens(
    said: list[int],
    matched_stop: str | int | None,
    sampling: SamplingParams,
    token_bytes: list[bytes],
) -> int | None:
    """How many tokens of an output stand in the prompt that goes on from it: all but the stop that
    ended it. None where its text is cut inside of a token, or may be.

    What the front process keeps of a text that it has cut (server/output.py) is the same.
    """
    if matched_stop is None or not said:
        return len(said)
    if isinstance(matched_stop, int):
        return len(said) - (said[-1] == matched_stop)
    if matched_stop not in sampling.stop:
        return None  # a pattern's match stays in the text
    last = token_bytes[said[-1]]
    if not last and sampling.skip_special_tokens:
        return len(said)  # a control token is no text unless it is asked for
    # A longer stop may begin earlier, and a character that is not finished ends with the stop.
    is_whole = not last or (len(matched_stop) == 1 and last == matched_stop.encode())
    follows_whole = len(said) == 1 or token_bytes[said[-2]][-1:] in _ASCII
    return len(said) - 1 if is_whole and follows_whole else None
