"""Generation and scoring calls, between the clients and the engine's sequences. Held by service.py,
which hands it messages of clients and news of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from msgspec.structs import replace

from ..constrained.jobs import Judge
from ..constrained.limits import GrammarLimits
from ..constrained.workers import Workers
from ..engine_protocol import Drop, Failed, NextCall, Progress, Submit
from ..errors import RequestError
from ..plans.prompt import Speller
from ..protocol import Done, FinishReason, FrontMessage, Generate, Score
from ..tokenizer import Tokenizer
from . import validate
from .call import Call, Membership
from .engine_link import EngineLink
from .flight import InFlight, Limits, Offload, run_inline
from .flights import Flights, defect
from .following import Follower, Following, Promise
from .history import History
from .leases import Leases
from .requests import GenerateRequest, SequenceRequest, SequenceSpec
from .scoring import ScoreRequest
from .sessions import Sessions
from .waiting import WaitingRoom

# Tokenizing this many characters takes about 10 ms; longer prompts are tokenized beside the loop.
_INLINE_CHARS: Final = 32_768
# The front ends the engine's leases itself; one never ends for want of a word.
_NO_END: Final = float("inf")


_ALONE: Final = Membership()


class Calls:
    """See the module's text.

    numbers: gives sequences and leases theirs. waiting: how many wait for the engine.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        bounds: validate.Bounds,
        flights: Flights,
        engine: EngineLink,
        history: History,
        *,
        limits: Limits,
        numbers: Iterator[int],
        offload: Offload,
        clock: Callable[[], float],
    ) -> None:
        self._tokenizer = tokenizer
        self._bounds = bounds
        self._flights = flights
        self._engine = engine
        self._history = history
        self._limits = limits
        self._numbers = numbers
        self._offload = offload
        self._clock = clock
        self._sequences: dict[int, tuple[Call, int]] = {}
        # By lease: the sequence that has gone on with the next call, which is taken in at once.
        self._gone_on: dict[int, int] = {}
        self._judges = Workers(GrammarLimits())
        self.leases = Leases(engine)
        self.waiting = WaitingRoom(limits.max_waiting_sequences)
        self.sessions = Sessions(
            limits.session_ttl_s, limits.session_tokens, on_end=self.leases.end
        )
        self._following = Following(
            flights, engine, Speller(tokenizer), limits.max_waiting_sequences
        )

    @property
    def num_sequences(self) -> int:
        return len(self._sequences)

    def close(self) -> None:
        """End the processes that judge finished values."""
        self._judges.close()

    def start(
        self,
        client_id: bytes,
        message: Generate | Score,
        digest: bytes | None,
        part_of: Membership = _ALONE,
    ) -> None:
        """Take a call in. Raises RequestError."""
        if message.base is not None:
            promise = self._following.find(client_id, message.base)
            if promise is not None:
                self._check(message)
                self._following.add(promise, message, digest)
                return
            message, part_of = self._based(client_id, message)
        self._check(message)
        request = self._request_of(message)
        timeout_s = self._time_of(message)
        self.waiting.enter(request.num_sequences, timeout_s)
        flight = self._flights.open(client_id, message.rid, timeout_s, digest)
        promise = self._following.promise(client_id, message)
        self._begin(flight, message, request, part_of, promise)

    def tell_ahead(self) -> None:
        """Let the engine know of the calls that came for sequences which run."""
        self._following.tell()

    def _request_of(self, message: Generate | Score) -> SequenceRequest:
        if isinstance(message, Generate):
            return GenerateRequest(message, self._tokenizer)
        return ScoreRequest(message)

    def _check(self, message: Generate | Score) -> None:
        if isinstance(message, Generate):
            validate.check_generate(message, self._bounds)
        else:
            validate.check_score(message, self._bounds)

    def _based(
        self, client_id: bytes, message: Generate | Score
    ) -> tuple[Generate | Score, Membership]:
        """The call with what its session holds in front, and what it then belongs to."""
        assert message.base is not None
        held, program = self.sessions.use(client_id, message.base, self._clock())
        whole = replace(message, prompt=[*held, *message.prompt])
        return whole, Membership(program=program)

    def _time_of(self, message: Generate | Score) -> float:
        own_s = message.timeout_s if isinstance(message, Generate) else None
        return own_s or self._limits.request_timeout_s

    def _begin(
        self,
        flight: InFlight,
        message: Generate | Score,
        request: SequenceRequest,
        part_of: Membership,
        promise: Promise | None,
    ) -> None:
        """Make a call that has a place."""
        number = request.num_sequences
        record = self._history.begin(flight.client_id, message, number)
        own_lease = message.keep_as is not None
        if own_lease:
            lease = next(self._numbers)
            part_of = Membership(lease, part_of.program or lease)
        record.program = part_of.program
        call = Call(flight, message, request, record, part_of, own_lease, number, number, promise)
        flight.on_end = partial(self._release, call)

        def prepare() -> list[SequenceSpec] | RequestError:
            try:
                return request.prepare(self._tokenizer, self._bounds)
            except RequestError as error:
                return error
            except Exception as error:
                return defect(error)

        num_encodings = len(message.choices) if isinstance(message, Score) else 1
        is_short = validate.size_of(message.prompt) * num_encodings <= _INLINE_CHARS
        run = run_inline if is_short else self._offload
        run(prepare, lambda specs: self._within(call, lambda: self._submit(call, specs)))

    def on_progress(self, progress: Progress) -> None:
        """One step's news of a sequence."""
        entry = self._sequences.get(progress.sid)
        if entry is None:
            return
        call, index = entry
        try:
            self._hear(call, index, progress)
        except Exception as error:
            self._fail(call, error)

    def _within(self, call: Call, act: Callable[[], None]) -> None:
        """Do something for a call; what fails in it ends that call and nothing else."""
        try:
            act()
        except Exception as error:
            self._fail(call, error)

    def _fail(self, call: Call, error: Exception) -> None:
        if isinstance(error, RequestError):
            self._flights.abort(call.flight, error)
        else:
            self._flights.give_up(call.flight, error)

    def _hear(self, call: Call, index: int, progress: Progress) -> None:
        if progress.cached_tokens is not None and call.num_waiting:
            call.num_waiting -= 1
            self.waiting.leave(1)
        self._history.progressed(call.record, index, progress)
        finish = progress.finish
        if finish is None:
            for message in call.request.progress(index, progress):
                self._flights.send(call.flight.client_id, message)
            return
        if progress.goes_on and call.part_of.went_on is not None:
            self._succeed(call, call.part_of.went_on, progress)
            return
        del self._sequences[progress.sid]
        self.waiting.note_finish(self._clock())
        if progress.goes_on:
            self._gone_on[call.part_of.lease] = progress.sid
        messages = call.request.progress(index, progress)
        doubt = call.request.doubt(index)
        if doubt is None:
            self._tell(call, messages, finish)
        else:
            self._judge(call, index, doubt, finish)

    def _succeed(
        self, call: Call, went_on: Callable[[Done], Generate | None], progress: Progress
    ) -> None:
        """A plan's call has ended, and its sequence makes the next one: it takes this one's place
        as it is, for there are as many as a program has gens."""
        done = call.request.progress(0, progress)[-1]
        assert isinstance(done, Done)
        self._history.ended(call.record, progress.finish or "stop")
        self.waiting.note_finish(self._clock())
        message = went_on(done)
        if message is None or call.flight.ended:
            self._flights.forget(call.flight, "client_gone")  # nobody wants the next one
            return
        request = GenerateRequest(message, self._tokenizer)
        call.message, call.request = message, request
        self._flights.count("requests")
        self._flights.rename(call.flight, message.rid, self._time_of(message))
        call.record = self._history.begin(call.flight.client_id, message, 1)
        call.record.program = call.part_of.program
        self._went_on(call, request, self._tokenizer.encode(message.prompt), [])

    def _tell(self, call: Call, messages: list[FrontMessage], finish: FinishReason) -> None:
        """Hand on what a sequence that has ended has to say."""
        call.num_unfinished -= 1
        if call.num_unfinished == 0:
            self._hold(call)
        for message in messages:
            self._flights.send(call.flight.client_id, message)
        if call.num_unfinished == 0:
            self._go_on(call)
            self._flights.close(call.flight, messages[-1], finish)

    def _go_on(self, call: Call) -> None:
        """Begin the calls that waited for one that has ended well and is kept."""
        promise, call.promise = call.promise, None
        if promise is None:
            return
        for follower in self._following.keep(promise):
            sid = None
            if follower is promise.told:
                sid = self._gone_on.pop(call.part_of.lease, None)
            try:
                self._begin_follower(follower, call.part_of, sid)
            except RequestError as error:
                self._flights.abort(follower.flight, error)
                if sid is not None:
                    self._engine.send(Drop(sid))

    def _begin_follower(self, follower: Follower, leads: Membership, sid: int | None) -> None:
        """sid: the sequence that has gone on with it. Raises RequestError."""
        flight = follower.flight
        message, part_of = self._based(flight.client_id, follower.message)
        if sid is not None and isinstance(message, Generate):
            self._take_over(follower, message, leads, sid)  # its tokens are in the engine already
            return
        self._check(message)
        request = self._request_of(message)
        self._following.forget_told(follower.promise)
        self.waiting.enter(request.num_sequences)
        self._flights.limit(flight, self._time_of(message))
        self._begin(flight, message, request, part_of, follower.promise)

    def _take_over(
        self, follower: Follower, message: Generate, leads: Membership, sid: int
    ) -> None:
        """Sequence `sid` makes a call that waited for the one before it."""
        flight, own_lease = follower.flight, message.keep_as is not None
        if own_lease:
            self.leases.share(leads.lease)
        self._flights.limit(flight, self._time_of(message))
        request = GenerateRequest(message, self._tokenizer)
        record = self._history.begin(flight.client_id, message, 1)
        record.program = leads.program
        part_of = Membership(leads.lease, leads.program)
        call = Call(
            flight, message, request, record, part_of, own_lease, 0, 1, follower.promise, [sid]
        )
        flight.on_end = partial(self._release, call)
        self._sequences[sid] = (call, 0)
        held = message.prompt[: len(message.prompt) - len(follower.message.prompt)]
        settled = self._tokenizer.encode(held)
        self._within(call, lambda: self._went_on(call, request, settled, follower.new_ids))

    def _went_on(
        self, call: Call, request: GenerateRequest, settled: list[int], new_ids: list[int]
    ) -> None:
        """Note the prompt of a call that a sequence has gone on with."""
        prompt_ids = settled + new_ids
        request.went_on(prompt_ids, len(settled), self._bounds)
        self._history.submitted(call.record, call.sids, prompt_ids)

    def _judge(self, call: Call, index: int, doubt: Judge, finish: FinishReason) -> None:
        """Let the output of a sequence stand or run it again, beside the loop."""

        def work() -> str | RequestError:
            try:
                return self._judges.run(doubt).decode()
            except RequestError as error:
                return error
            except Exception as error:
                return defect(error)

        def then(fault: str | RequestError) -> None:
            if call.flight.ended:
                return
            if isinstance(fault, RequestError):
                raise fault
            if fault:
                self._send(call, index, call.request.again(index, fault))
            else:
                self._tell(call, call.request.approved(index), finish)

        self._offload(work, lambda fault: self._within(call, lambda: then(fault)))

    def on_failed(self, failure: Failed) -> None:
        """A sequence ended with an error, and its call with it."""
        entry = self._sequences.pop(failure.sid, None)
        if entry is None:
            return
        error = RequestError(failure.code, failure.message, pointer=failure.pointer)
        self._flights.abort(entry[0].flight, error)

    def _submit(self, call: Call, specs: list[SequenceSpec] | RequestError) -> None:
        """Hand a prepared call to the engine, unless it ended while it was prepared."""
        if call.flight.ended:
            return
        if isinstance(specs, RequestError):
            self._flights.abort(call.flight, specs)
            return
        self._history.submitted(call.record, call.sids, specs[0].input_ids)
        for index, spec in enumerate(specs):
            self._send(call, index, spec)

    def _send(self, call: Call, index: int, spec: SequenceSpec) -> None:
        """Run a sequence."""
        sid = next(self._numbers)
        then: list[NextCall] = []
        if index == 0:
            then = call.part_of.ahead()
            if call.promise is not None:
                then += self._following.ahead(call.promise, sid)
        call.sids.append(sid)
        self._sequences[sid] = (call, index)
        self._engine.send(
            Submit(
                sid=sid,
                input_ids=spec.input_ids,
                sampling=spec.sampling,
                constraint=spec.constraint,
                logprobs=spec.logprobs,
                namespace=call.message.namespace,
                session=0 if index else call.part_of.lease,
                session_ttl_s=_NO_END,
                embed=spec.embed,
                then=then,
                program=call.part_of.program,
                tokens_after=call.part_of.tokens_after,
                quiet=spec.quiet,
                private=call.part_of.private,
            )
        )

    def _hold(self, call: Call) -> None:
        """Keep what an ended call leaves as a session, where that was asked for."""
        keep_as = call.message.keep_as
        if keep_as is not None:
            client_id, held = call.flight.client_id, call.request.hold()
            lease, program = call.part_of.lease, call.part_of.program
            self.sessions.keep(client_id, keep_as, held, self._clock(), lease, program)
            call.own_lease = False

    def _release(self, call: Call, outcome: str) -> None:
        """Free what an ended call still holds, here and in the engine."""
        self._history.ended(call.record, outcome)
        self.waiting.leave(call.num_waiting)
        call.num_waiting = 0
        for sid in call.sids:
            # One that has gone on is the next call's by now.
            if sid in self._sequences and self._sequences[sid][0] is call:
                del self._sequences[sid]
                self._engine.send(Drop(sid=sid))
        if (gone_on := self._gone_on.pop(call.part_of.lease, None)) is not None:
            self._engine.send(Drop(sid=gone_on))  # with a call that nobody makes
        if call.promise is not None:
            self._following.give_up(call.promise)
        if call.own_lease and call.sids:
            self.leases.end([call.part_of.lease])
