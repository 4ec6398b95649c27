"""Requests in flight: what goes to the engine for each and what comes back to the client. Scoring
is in scoring.py. Held by calls.py; service.py knows who asked and when it must end."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from array import array
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from ..constrained.jobs import Judge
from ..engine_protocol import Progress
from ..errors import RequestError
from ..protocol import (
    CacheMiss,
    Chunk,
    Constraint,
    Done,
    EmbedParams,
    FinishReason,
    FrontMessage,
    Generate,
    JsonSchema,
    LogprobParams,
    Output,
    SamplingParams,
    TokenLogprob,
    Usage,
)
from ..tokenizer import Tokenizer
from . import validate
from .healing import Healed, heal, held_to
from .output import OutputText, Piece
from .sessions import HeldPrompt

# Outputs of one sequence whose schema is checked when they are there.
_MAX_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """A Submit without its number."""

    input_ids: list[int]
    sampling: SamplingParams
    logprobs: LogprobParams | None
    constraint: Constraint | None = None
    embed: EmbedParams | None = None
    quiet: bool = False


class SequenceRequest(ABC):
    """A request that runs as one or more sequences in the engine.

    `prepare` may run on another thread; everything else runs on the service's.
    """

    num_sequences: int

    @abstractmethod
    def hold(self) -> HeldPrompt:
        """The prompt as a session holds it, with what was generated, where that is kept."""

    @abstractmethod
    def prepare(self, tokenizer: Tokenizer, bounds: validate.Bounds) -> list[SequenceSpec]:
        """Tokenize and check against the context: the sequences to run. May raise RequestError."""

    @abstractmethod
    def progress(self, index: int, progress: Progress) -> list[FrontMessage]:
        """Take one step's news of sequence `index`; the messages for the client.

        The message that ends the request comes last, when the last sequence has ended.
        """

    def doubt(self, index: int) -> Judge | None:
        """What decides whether the output of a sequence that has ended may stand; then `approved`
        or `again` follows. None where it stands."""
        return None

    def approved(self, index: int) -> list[FrontMessage]:
        """The messages for the client of an output that may stand."""
        raise NotImplementedError

    def again(self, index: int, fault: str) -> SequenceSpec:
        """The sequence to run in place of one whose output has a fault. Raises RequestError when
        there were enough."""
        raise NotImplementedError


class GenerateRequest(SequenceRequest):
    """`n` sequences of one prompt."""

    def __init__(self, request: Generate, tokenizer: Tokenizer) -> None:
        self._request = request
        self._tokenizer = tokenizer
        self.num_sequences = request.sampling.n
        self._texts = [
            OutputText(tokenizer, request.sampling, stream=request.stream)
            for _ in range(self.num_sequences)
        ]
        self._outputs: list[Output | None] = [None] * self.num_sequences
        self._num_unfinished = self.num_sequences
        self._num_chunks = 0
        # Set while the request is prepared, where the prompt ends inside a token.
        self._healed: Healed | None = None
        # Per sequence: characters of the prompt that its stream would say once more.
        self._num_repeated_chars = [0] * self.num_sequences
        self._prompt_ids: list[int] = []
        # Of them those before the last text, to which more may be added.
        self._num_settled = 0
        self._held: HeldPrompt | None = None
        self._num_prompt_tokens = 0
        self._num_completion_tokens = 0
        self._num_cached_tokens = 0
        self._cache_miss: CacheMiss | None = None
        self._num_forced_tokens = 0
        self._num_drafted_tokens = 0
        self._num_accepted_tokens = 0
        self._arrived_s = time.monotonic()
        self._queue_s: float | None = None
        self._first_token_s: float | None = None
        self._prompt_logprobs: list[TokenLogprob] | None = None
        self._embedding: bytes | None = None
        self._with_text = request.logprobs is not None and request.logprobs.with_text
        constraint = request.constraint
        self._checked = (
            constraint
            if isinstance(constraint, JsonSchema) and constraint.on_unsupported == "validate"
            else None
        )
        self._shows_pieces = request.stream and self._checked is None
        # Of a checked request: what runs, how often it has run, what its stream does not show yet.
        self._specs: list[SequenceSpec] = []
        self._num_attempts = [1] * self.num_sequences
        self._unshown: dict[int, Piece | None] = {}

    def prepare(self, tokenizer: Tokenizer, bounds: validate.Bounds) -> list[SequenceSpec]:
        request = self._request
        prompt_ids, num_settled = tokenizer.encode_settled(request.prompt)
        self._prompt_ids, self._num_settled = prompt_ids, num_settled
        validate.check_prompt_ids(prompt_ids, request.sampling, bounds)
        max_new_tokens = min(
            request.sampling.max_new_tokens, bounds.context_limit - len(prompt_ids)
        )
        constraint = request.constraint
        if request.sampling.token_healing and max_new_tokens:
            self._healed = heal(request.prompt, prompt_ids, request.sampling, tokenizer)
        if self._healed is not None:
            constraint = held_to(self._healed.text, constraint)
            self._num_repeated_chars = [len(self._healed.text)] * self.num_sequences
            # Spelling the prompt's end once more must not cost the output anything.
            max_new_tokens += len(prompt_ids) - len(self._healed.input_ids)
            prompt_ids = self._healed.input_ids
        self._num_prompt_tokens = len(prompt_ids)
        sampling = replace(request.sampling, n=1, max_new_tokens=max_new_tokens)
        # Each further sequence gets a seed of its own, or n equal outputs would come back.
        self._specs = [
            SequenceSpec(
                prompt_ids,
                sampling
                if sampling.seed is None or index == 0
                else replace(sampling, seed=(sampling.seed + index) % 2**63),
                request.logprobs if index == 0 else _without_prompt(request.logprobs),
                constraint,
                request.embed,
                quiet=not request.stream,
            )
            for index in range(self.num_sequences)
        ]
        return self._specs

    def went_on(self, prompt_ids: list[int], num_settled: int, bounds: validate.Bounds) -> None:
        """Instead of `prepare`, for a request that the engine makes already: its prompt, and how
        much of that no further text can change. May raise RequestError."""
        validate.check_prompt_ids(prompt_ids, self._request.sampling, bounds)
        self._prompt_ids, self._num_settled = prompt_ids, num_settled
        self._num_prompt_tokens = len(prompt_ids)

    def progress(self, index: int, progress: Progress) -> list[FrontMessage]:
        self._num_completion_tokens += len(progress.token_ids)
        self._num_forced_tokens += progress.num_forced
        if progress.cached_tokens is not None or self._first_token_s is None:
            self._begun(index, progress)
        if progress.finish is not None:
            return self._ended(index, progress, progress.finish)
        text, logprobs = self._texts[index], progress.logprobs
        if logprobs is not None:
            logprobs = self._worded(logprobs)
        if not self._shows_pieces:
            text.push(progress.token_ids, logprobs)
            return []
        piece = text.more(progress.token_ids, logprobs)
        return [] if piece is None else [self._chunk(index, piece)]

    def _begun(self, index: int, progress: Progress) -> None:
        """What is told once, at first."""
        if index == 0 and progress.cached_tokens is not None:
            self._num_cached_tokens = progress.cached_tokens
            self._queue_s = progress.queue_s
            self._cache_miss = spelled(self._tokenizer, progress.cache_miss)
        if progress.token_ids and self._first_token_s is None:
            # A call that the engine went on with is begun there before it is heard of here.
            arrived_s = self._arrived_s + progress.held_s
            self._first_token_s = max(0.0, time.monotonic() - arrived_s)
        if progress.prompt_logprobs is not None:
            self._prompt_logprobs = self._worded(progress.prompt_logprobs)

    def _ended(self, index: int, progress: Progress, finish: FinishReason) -> list[FrontMessage]:
        token_ids, logprobs = progress.token_ids, progress.logprobs
        self._embedding = progress.embedding
        if progress.drafts is not None:
            self._num_drafted_tokens += progress.drafts[0]
            self._num_accepted_tokens += progress.drafts[1]
        if isinstance(progress.matched_stop, int) and token_ids[-1:] == [progress.matched_stop]:
            token_ids = token_ids[:-1]
            logprobs = None if logprobs is None else logprobs[:-1]
        text = self._texts[index]
        logprobs = self._worded(logprobs)
        if len(token_ids) > 1:
            # Only the last token can have ended it: a stop in those before was allowed to stand.
            text.push(token_ids[:-1], logprobs and logprobs[:-1])
            token_ids, logprobs = token_ids[-1:], logprobs and logprobs[-1:]
        text.push(token_ids, logprobs)
        output, rest = text.finish(finish, progress.matched_stop)
        if progress.closed_by_budget:
            output = replace(output, closed_by_budget=True)
        prompt_ids = self._prompt_ids
        if self._healed is not None:
            output = self._without_repeated(output, self._healed)
            prompt_ids = self._healed.input_ids
        self._outputs[index] = output
        if self._checked is not None:
            self._unshown[index] = rest
            return []
        return self._settled(index, output, rest, prompt_ids)

    def _settled(
        self, index: int, output: Output, rest: Piece | None, prompt_ids: list[int]
    ) -> list[FrontMessage]:
        """The output stands."""
        messages: list[FrontMessage] = []
        is_held = self._request.keep_as is not None and self._request.keep_output
        if index == 0 and is_held and output.token_ids:
            self._held = HeldPrompt(array("i", prompt_ids + output.token_ids))
        self._num_unfinished -= 1
        if rest is not None:
            messages.append(self._chunk(index, rest))
        if self._num_unfinished == 0:
            messages.append(self._done())
        return messages

    def hold(self) -> HeldPrompt:
        if self._held is not None:
            return self._held
        return HeldPrompt.of(self._request.prompt, self._prompt_ids[: self._num_settled])

    def doubt(self, index: int) -> Judge | None:
        output = self._outputs[index]
        if self._checked is None or output is None:
            return None
        return Judge(self._checked, output.text)

    def approved(self, index: int) -> list[FrontMessage]:
        output = self._outputs[index]
        assert output is not None  # it was doubted
        return self._settled(index, output, self._unshown.pop(index), self._prompt_ids)

    def again(self, index: int, fault: str) -> SequenceSpec:
        attempts = self._num_attempts[index]
        if attempts >= _MAX_ATTEMPTS:
            raise RequestError(
                "grammar",
                f"none of {attempts} outputs satisfied the schema; the last: {fault}",
                pointer="/constraint/schema",
            )
        self._num_attempts[index] += 1
        self._outputs[index] = None
        request = self._request
        self._texts[index] = OutputText(self._tokenizer, request.sampling, stream=request.stream)
        spec = self._specs[index]
        sampling = spec.sampling
        if sampling.seed is not None:
            # n outputs have seeds of their own, one after the other.
            seed = (sampling.seed + attempts * self.num_sequences) % 2**63
            sampling = replace(sampling, seed=seed)
        if sampling.temperature == 0:
            sampling = replace(sampling, temperature=1.0)  # or the same output would come back
        return dataclasses.replace(spec, sampling=sampling)

    def _without_repeated(self, output: Output, healed: Healed) -> Output:
        """The output behind the prompt's end, which it begins with unless it was cut before."""
        repeated = healed.text
        if output.text.startswith(repeated):
            rest = output.text[len(repeated) :]
            return replace(output, text=rest, healed_chars=len(repeated))
        taken = self._prompt_ids[len(healed.input_ids) :]
        return replace(output, text="", token_ids=taken, logprobs=None, healed_chars=len(repeated))

    def _done(self) -> Done:
        return Done(
            rid=self._request.rid,
            outputs=[output for output in self._outputs if output is not None],
            usage=Usage(
                prompt_tokens=self._num_prompt_tokens,
                completion_tokens=self._num_completion_tokens,
                cached_tokens=self._num_cached_tokens,
                queue_s=self._queue_s,
                first_token_s=self._first_token_s,
                forced_tokens=self._num_forced_tokens,
                drafted_tokens=self._num_drafted_tokens,
                accepted_tokens=self._num_accepted_tokens,
                cache_miss=self._cache_miss,
            ),
            prompt_logprobs=self._prompt_logprobs,
            num_chunks=self._num_chunks if self._request.stream else 0,
            embedding=self._embedding,
        )

    def _chunk(self, index: int, piece: Piece) -> Chunk:
        text = piece.text
        if self._healed is not None:
            text = text[self._num_repeated_chars[index] :]
            self._num_repeated_chars[index] -= len(piece.text) - len(text)
        number = self._num_chunks
        self._num_chunks = number + 1
        return Chunk(self._request.rid, number, index, text, piece.token_ids, piece.logprobs)

    def _worded(self, logprobs: list[TokenLogprob] | None) -> list[TokenLogprob] | None:
        """The same log probabilities with the text of each token, where asked for."""
        if logprobs is None or not self._with_text:
            return logprobs
        return with_texts(self._tokenizer, logprobs)


def with_texts(tokenizer: Tokenizer, logprobs: list[TokenLogprob]) -> list[TokenLogprob]:
    """The same log probabilities with the text of each token."""

    def word(token_id: int) -> str:
        return tokenizer.decode([token_id], skip_special_tokens=False)

    return [
        TokenLogprob(
            logprob=entry.logprob,
            token_id=entry.token_id,
            text=word(entry.token_id),
            top=[(logprob, token_id, word(token_id)) for logprob, token_id, _ in entry.top],
            forced=entry.forced,
        )
        for entry in logprobs
    ]


def spelled(tokenizer: Tokenizer, miss: CacheMiss | None) -> CacheMiss | None:
    """The same with the text of its token."""
    if miss is None:
        return None
    return replace(miss, text=tokenizer.decode([miss.token_id], skip_special_tokens=False))


def _without_prompt(logprobs: LogprobParams | None) -> LogprobParams | None:
    """The prompt's log probabilities are the same for all n sequences: one computes them."""
    return None if logprobs is None else replace(logprobs, prompt_start=None)
