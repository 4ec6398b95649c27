"""A service whose clients and engine are played by the test, on a clock that the test winds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from branchline.runtime.engine_protocol import Drop, EngineCommand, Progress, StepEvents, Submit
from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    ClientMessage,
    Done,
    Error,
    FinishReason,
    FrontMessage,
    Generate,
    Hello,
    ModelInfo,
    SamplingParams,
    Text,
    TokenLogprob,
)
from branchline.runtime.server.flight import Limits, run_now
from branchline.runtime.server.service import Service
from branchline.runtime.tokenizer import Tokenizer

CONTEXT = 64
END = 2


@dataclass
class Desk:
    """A service on a hand-wound clock; the test plays its clients and its engine."""

    tokenizer: Tokenizer
    limits: Limits = field(default_factory=Limits)
    context: int = CONTEXT
    pool_limits: bool = False
    now_s: float = 100.0
    sent: list[tuple[bytes, FrontMessage]] = field(default_factory=list)
    commands: list[EngineCommand] = field(default_factory=list)
    offloaded: list[Callable[[], None]] = field(default_factory=list)
    afterwards: Callable[[Callable[[], None]], None] = run_now

    def __post_init__(self) -> None:
        model = ModelInfo("tiny", "/tiny", "Tiny", CONTEXT, self.tokenizer.vocab_size, [END], None)
        self.service = Service(
            self.tokenizer,
            model,
            to_client=lambda client_id, message: self.sent.append((client_id, message)),
            to_engine=self.commands.append,
            epoch="epoch",
            context_limit=self.context,
            pool_limits=self.pool_limits,
            limits=self.limits,
            offload=lambda work, then: self.offloaded.append(lambda: then(work())),
            clock=lambda: self.now_s,
            afterwards=self.afterwards,
        )

    def greet(self, client_id: bytes = b"c") -> None:
        self.service.on_message(client_id, Hello(version=PROTOCOL_VERSION))
        self.sent.clear()

    def ask(self, message: ClientMessage, client_id: bytes = b"c") -> list[FrontMessage]:
        """Send a message; what was answered at once."""
        return self._answers(lambda: self.service.on_message(client_id, message))

    def step(self, *progress: Progress) -> list[FrontMessage]:
        """Play one step of the engine; what clients were told."""
        return self._answers(
            lambda: self.service.on_engine_event(StepEvents(progress=list(progress)))
        )

    def tick(self, seconds: float = 0.0) -> list[FrontMessage]:
        """Let time pass; what clients were told."""
        self.now_s += seconds
        return self._answers(self.service.tick)

    def submits(self) -> list[Submit]:
        return [command for command in self.commands if isinstance(command, Submit)]

    def dropped(self) -> list[int]:
        return [command.sid for command in self.commands if isinstance(command, Drop)]

    def _answers(self, action: Callable[[], None]) -> list[FrontMessage]:
        before = len(self.sent)
        action()
        return [message for _, message in self.sent[before:]]

    def say(
        self,
        sid: int,
        text: str,
        *,
        finish: FinishReason | None = None,
        matched_stop: str | int | None = None,
        end_token: bool = False,
        cached_tokens: int | None = None,
        logprobs: bool = False,
    ) -> Progress:
        """The engine's news that it generated `text` (and the end token)."""
        ids = self.tokenizer.encode_text(text) + ([END] if end_token else [])
        return Progress(
            sid=sid,
            token_ids=ids,
            finish="stop" if end_token else finish,
            matched_stop=END if end_token else matched_stop,
            cached_tokens=cached_tokens,
            logprobs=[TokenLogprob(-0.5, token_id) for token_id in ids] if logprobs else None,
        )


def generate(
    rid: str = "r",
    prompt: str = "hello",
    *,
    stream: bool = False,
    timeout_s: float | None = None,
    **sampling: object,
) -> Generate:
    """A Generate with a prompt; sampling fields by keyword."""
    return Generate(
        rid=rid,
        prompt=[Text(prompt)],
        stream=stream,
        timeout_s=timeout_s,
        sampling=SamplingParams(**sampling),  # type: ignore[arg-type]
    )


def only_error(messages: list[FrontMessage]) -> Error:
    """The one message, which is an error."""
    [message] = messages
    assert isinstance(message, Error)
    return message


def only_done(messages: list[FrontMessage]) -> Done:
    """The one message, which ends a generation."""
    [message] = messages
    assert isinstance(message, Done)
    return message
