"""A session whose answers are there already: those of a plan that has run. Set by held.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from branchline.runtime import protocol

from .backend.base import Ahead, Backend, OnChunk, Session
from .errors import GenerationError, InternalError, from_wire


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one call; times are of `time.monotonic()`."""

    reply: protocol.Done | protocol.Scores | GenerationError
    started_s: float
    ended_s: float

    @classmethod
    def of(cls, call: protocol.PlanCall, arrived_s: float) -> Answer:
        reply = call.reply
        return cls(
            from_wire(reply) if isinstance(reply, protocol.Error) else reply,
            arrived_s + call.started_s,
            arrived_s + call.ended_s,
        )


class Playback(Session):
    """Answers in order, whatever is asked; after the last one the state's own session goes on.

    `last` is the answer that was given last, None once a call was really made.
    """

    def __init__(self, backend: Backend, session: Session, answers: deque[Answer]) -> None:
        super().__init__(backend)
        self.last: Answer | None = None
        self._session = session
        self._answers = answers

    def branch(self) -> Session:
        return self._session.branch()

    async def generate(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        *,
        constraint: protocol.Constraint | None = None,
        logprobs: protocol.LogprobParams | None = None,
        on_chunk: OnChunk | None = None,
        keep_output: bool = True,
        ahead: Ahead | None = None,
    ) -> protocol.Done:
        if not self._answers:
            self.last = None
            return await self._session.generate(
                prompt,
                sampling,
                constraint=constraint,
                logprobs=logprobs,
                on_chunk=on_chunk,
                keep_output=keep_output,
                ahead=ahead,
            )
        reply = self._next()
        if not isinstance(reply, protocol.Done):
            raise InternalError("a plan answered a generation with scores")
        return reply

    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        if not self._answers:
            self.last = None
            return await self._session.score(prompt, choices, unconditional=unconditional)
        reply = self._next()
        if not isinstance(reply, protocol.Scores):
            raise InternalError("a plan answered a selection with a generation")
        return reply

    def drop_ahead(self) -> None:
        self._session.drop_ahead()

    def _next(self) -> protocol.Done | protocol.Scores:
        self.last = self._answers.popleft()
        if isinstance(self.last.reply, GenerationError):
            raise self.last.reply
        return self.last.reply
