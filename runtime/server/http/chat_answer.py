"""What /v1/chat/completions answers: a message, or a stream of its pieces. Used by chat.py."""

from __future__ import annotations

from functools import partial
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from ...protocol import Chunk, Done, FinishReason, TokenLogprob
from ...tokenizer import Tokenizer
from .answer import event
from .frame import TextFrame
from .link import Arrival
from .openai_fields import UsageBody, finite, now, token_text, usage_of
from .outputs import OutputEvent, OutputReader, Reading, new_id

ChatFinish = Literal["stop", "length", "tool_calls"]


class TopLogprob(Struct, frozen=True):
    """One of the likeliest tokens at a position."""

    token: str
    logprob: float
    bytes: list[int]


class ChatTokenLogprob(Struct, frozen=True):
    """A token of the answer with its natural log probability before temperature and masks."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChatLogprobs(Struct, frozen=True):
    """One entry for each token of the content."""

    content: list[ChatTokenLogprob]
    refusal: None = None


class FunctionCalled(Struct, frozen=True):
    """A call's function and the JSON text of its arguments, which validates against its schema."""

    name: str
    arguments: str


class ToolCalled(Struct, frozen=True):
    """A call that the model makes."""

    id: str
    function: FunctionCalled
    type: Literal["function"] = "function"


class AnswerMessage(Struct, frozen=True):
    """What the model said; `content` is null where it only calls tools."""

    content: str | None
    tool_calls: list[ToolCalled] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class ChatChoice(Struct, frozen=True):
    """One of the `n` answers. `closed_by_budget`, an extension: it is complete, but `max_tokens`
    left no room for all that the form would have allowed."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinish
    closed_by_budget: bool | UnsetType = UNSET


class ChatCompletion(Struct, frozen=True):
    """A whole answer."""

    id: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageBody
    object: Literal["chat.completion"] = "chat.completion"
    system_fingerprint: None = None


class FunctionDelta(Struct, frozen=True, omit_defaults=True):
    """More of a call: its name at first, then pieces of its arguments."""

    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class ToolDelta(Struct, frozen=True, omit_defaults=True):
    """More of call number `index`; id and type come with its first piece."""

    index: int
    function: FunctionDelta
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class Delta(Struct, frozen=True, omit_defaults=True):
    """What a stream's event adds to the message."""

    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolDelta] | UnsetType = UNSET
    role: str | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True):
    """An event's news of one of the `n` answers."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: ChatFinish | None = None
    closed_by_budget: bool | UnsetType = UNSET


class ChatChunk(Struct, frozen=True):
    """One event of a stream."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageBody | UnsetType | None = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


def chat_completion(
    done: Done, reading: Reading, model: str, tokenizer: Tokenizer
) -> ChatCompletion:
    """A whole answer. Raises RequestError."""
    choices = []
    for index, output in enumerate(done.outputs):
        said = reading.read(output.text)
        calls = [
            ToolCalled(new_id("call"), FunctionCalled(call.name, call.arguments))
            for call in said.calls
        ]
        message = AnswerMessage(
            said.text if said.text or not calls else None,
            calls or UNSET,
            said.thinking or UNSET,
        )
        logprobs = chat_logprobs(output.logprobs, tokenizer)
        finish = chat_finish(output.finish_reason, bool(calls))
        closed = output.closed_by_budget or UNSET
        choices.append(ChatChoice(index, message, logprobs, finish, closed))
    return ChatCompletion(new_id("chatcmpl"), now(), model, choices, usage_of([done]))


class ChatWriter:
    """The events of one conversation's stream with `n` answers."""

    def __init__(
        self, reading: Reading, model: str, tokenizer: Tokenizer, *, n: int, with_usage: bool
    ) -> None:
        self._id = new_id("chatcmpl")
        self._created = now()
        self._model = model
        self._tokenizer = tokenizer
        self._with_usage = with_usage
        self._readers = [OutputReader(reading) for _ in range(n)]
        # Log probabilities of tokens whose text is held back wait for the next text.
        self._logprobs: list[list[TokenLogprob]] = [[] for _ in range(n)]
        self._frames = [TextFrame(partial(self._text, index)) for index in range(n)]
        self._called = [False] * n
        self._opened = False

    def events(self, arrivals: list[Arrival]) -> bytes:
        events = b""
        if not self._opened:
            self._opened = True
            opening = Delta(content="", role="assistant")
            for index in range(len(self._readers)):
                events += self._event([ChunkChoice(index, opening)])
        for _, message in arrivals:
            if isinstance(message, Chunk):
                self._logprobs[message.index] += message.logprobs or []
                pieces = self._readers[message.index].feed(message.text)
                events += self._pieces(message.index, pieces)
            elif isinstance(message, Done):
                for index, output in enumerate(message.outputs):
                    events += self._pieces(index, self._readers[index].finish())
                    finish = chat_finish(output.finish_reason, self._called[index])
                    closed = output.closed_by_budget or UNSET
                    logprobs = self._take_logprobs(index)
                    last = ChunkChoice(index, Delta(), logprobs, finish, closed)
                    events += self._event([last])
                if self._with_usage:
                    events += self._event([], usage_of([message]))
        return events

    def _pieces(self, index: int, pieces: list[OutputEvent]) -> bytes:
        events = b""
        for piece in pieces:
            logprobs = self._take_logprobs(index) if piece.kind == "text" else None
            if piece.kind == "text" and logprobs is None:
                events += self._frames[index].around(piece.text)
            else:
                events += self._event([ChunkChoice(index, self._delta(index, piece), logprobs)])
        return events

    def _text(self, index: int, text: str) -> bytes:
        return self._event([ChunkChoice(index, Delta(content=text))])

    def _delta(self, index: int, piece: OutputEvent) -> Delta:
        if piece.kind == "text":
            return Delta(content=piece.text)
        if piece.kind == "thinking":
            return Delta(reasoning_content=piece.text)
        if piece.kind == "arguments":
            more = ToolDelta(piece.call, FunctionDelta(arguments=piece.text))
            return Delta(tool_calls=[more])
        self._called[index] = True
        function = FunctionDelta(name=piece.text, arguments="")
        return Delta(tool_calls=[ToolDelta(piece.call, function, new_id("call"), "function")])

    def _take_logprobs(self, index: int) -> ChatLogprobs | None:
        taken, self._logprobs[index] = self._logprobs[index], []
        return chat_logprobs(taken, self._tokenizer) if taken else None

    def _event(self, choices: list[ChunkChoice], usage: UsageBody | None = None) -> bytes:
        shown = usage if self._with_usage else UNSET
        return event(ChatChunk(self._id, self._created, self._model, choices, shown))


def chat_finish(reason: FinishReason, called: bool) -> ChatFinish:
    """OpenAI's word; a cancelled sequence never gets an answer."""
    if reason == "length":
        return "length"
    return "tool_calls" if called else "stop"


def chat_logprobs(logprobs: list[TokenLogprob] | None, tokenizer: Tokenizer) -> ChatLogprobs | None:
    """OpenAI's form of log probabilities; None where none were asked for."""
    if logprobs is None:
        return None
    content = []
    for entry in logprobs:
        text, exact = token_text(tokenizer, entry.token_id)
        top = []
        for logprob, token_id, _ in entry.top:
            top_text, top_exact = token_text(tokenizer, token_id)
            top.append(TopLogprob(top_text, finite(logprob), list(top_exact)))
        content.append(ChatTokenLogprob(text, finite(entry.logprob), list(exact), top))
    return ChatLogprobs(content)
