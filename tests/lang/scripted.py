"""A scripted model as a backend: deterministic, in memory; calls can be held or failed."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from branchline.lang.backend.base import Backend, Capabilities, OnChunk
from branchline.lang.loop import shared_loop
from branchline.runtime import protocol

CHATML = {role: (f"<|{role}|>", "<|end|>\n") for role in ("system", "user", "assistant")}


def model_info(**changes: object) -> protocol.ModelInfo:
    values: dict[str, object] = {
        "name": "scripted",
        "path": "/models/scripted",
        "architecture": "ScriptedForCausalLM",
        "context_length": 4096,
        "vocab_size": 0x110000,
        "eos_token_ids": [0],
        "role_markup": CHATML,
    }
    return protocol.ModelInfo(**{**values, **changes})


@dataclass
class Call:
    """What the backend was asked for, for tests to look at."""

    prompt: list[protocol.Part]
    text: str
    sampling: protocol.SamplingParams
    constraint: protocol.Constraint | None = None
    logprobs: protocol.LogprobParams | None = None
    streamed: bool = False


def text_of(prompt: Sequence[protocol.Part]) -> str:
    """The prompt as text: in this model a token is a character."""
    return "".join(
        part.text if isinstance(part, protocol.Text) else "".join(map(chr, part.ids))
        for part in prompt
    )


def default_reply(prompt: str) -> str:
    """Eight letters that depend on every character of the prompt."""
    number = zlib.crc32(prompt.encode("utf-8", "surrogatepass"))
    return "".join(chr(ord("a") + (number >> shift) % 26) for shift in range(0, 24, 3))


def logprob_of(character: str) -> float:
    return -(ord(character) % 7) / 4


@dataclass(eq=False)
class Scripted(Backend):
    """`reply(prompt)` is what the model would say next; `fail(prompt)` may give an error to raise.

    While `hold(prompt)` is true a call waits for `release()`. `started` counts calls begun, `ended`
    those that wait no more.
    """

    reply: Callable[[str], str] = default_reply
    fail: Callable[[str], Exception | None] = lambda prompt: None
    hold: Callable[[str], bool] = lambda prompt: False
    chunk_size: int = 3
    info: protocol.ModelInfo = field(default_factory=model_info)
    score_token: Callable[[str, str], float] = lambda prompt, character: logprob_of(character)
    capabilities: Capabilities = Capabilities()  # noqa: RUF009
    calls: list[Call] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    flushes: int = 0
    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self._gate = asyncio.Event()

    @property
    def model_info(self) -> protocol.ModelInfo:
        return self.info

    def release(self) -> None:
        """Let the held calls go, and all later ones."""
        self.hold = lambda prompt: False
        shared_loop().call(self._gate.set)

    async def _enter(self, call: Call) -> None:
        self.calls.append(call)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.started.release()
        try:
            # Every call suspends at least once, as a real one does.
            await asyncio.sleep(0)
            if self.hold(call.text):
                await self._gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(call.text)
            raise
        finally:
            self.running -= 1
            self.ended.release()
        if (error := self.fail(call.text)) is not None:
            raise error

    async def generate(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        *,
        constraint: protocol.Constraint | None = None,
        logprobs: protocol.LogprobParams | None = None,
        on_chunk: OnChunk | None = None,
    ) -> protocol.Done:
        text = text_of(prompt)
        await self._enter(Call(prompt, text, sampling, constraint, logprobs, on_chunk is not None))
        rid = f"call-{len(self.calls)}"
        outputs = [self._output(text, sampling, logprobs, i) for i in range(sampling.n)]
        if on_chunk is not None:
            await self._stream(rid, outputs, on_chunk)
        return protocol.Done(
            rid=rid,
            outputs=outputs,
            usage=protocol.Usage(
                prompt_tokens=len(text),
                completion_tokens=sum(len(output.token_ids) for output in outputs),
                cached_tokens=len(text) // 2,
            ),
        )

    def _output(
        self,
        prompt: str,
        sampling: protocol.SamplingParams,
        logprobs: protocol.LogprobParams | None,
        index: int,
    ) -> protocol.Output:
        text = self.reply(prompt) + (str(index) if index else "")
        cuts = [(text.index(stop), stop) for stop in sampling.stop if stop in text]
        matched: str | None = None
        if cuts:
            end, matched = min(cuts)
            text = text[:end]
        finish: protocol.FinishReason = "stop"
        if len(text) > sampling.max_new_tokens:
            text, finish, matched = text[: sampling.max_new_tokens], "length", None
        return protocol.Output(
            text=text,
            token_ids=[ord(character) for character in text],
            finish_reason=finish,
            matched_stop=matched,
            logprobs=None if logprobs is None else [_logprob(c, logprobs) for c in text],
        )

    async def _stream(self, rid: str, outputs: list[protocol.Output], on_chunk: OnChunk) -> None:
        sequence = 0
        for index, output in enumerate(outputs):
            for start in range(0, len(output.text), self.chunk_size):
                piece = slice(start, start + self.chunk_size)
                on_chunk(
                    protocol.Chunk(
                        rid=rid,
                        seq=sequence,
                        index=index,
                        text=output.text[piece],
                        token_ids=output.token_ids[piece],
                        logprobs=output.logprobs[piece] if output.logprobs else None,
                    )
                )
                sequence += 1
                await asyncio.sleep(0)

    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        text = text_of(prompt)
        await self._enter(Call(prompt, text, protocol.SamplingParams(max_new_tokens=0)))

        def tokens(choice: str, prompt: str) -> list[protocol.TokenLogprob]:
            return [protocol.TokenLogprob(self.score_token(prompt, c), ord(c), c) for c in choice]

        return protocol.Scores(
            rid=f"call-{len(self.calls)}",
            choices=[
                protocol.ChoiceScore(
                    token_ids=[ord(character) for character in choice],
                    logprobs=tokens(choice, text),
                    unconditional=tokens(choice, "") if unconditional else None,
                )
                for choice in choices
            ],
            usage=protocol.Usage(len(text), 0, 0),
        )

    async def drop_cache(self) -> int:
        self.flushes += 1
        return 7

    async def server_info(self) -> protocol.Info:
        return protocol.Info(rid="info", model=self.info, stats={"running": 0.0})


def _logprob(character: str, wanted: protocol.LogprobParams) -> protocol.TokenLogprob:
    def text(c: str) -> str | None:
        return c if wanted.with_text else None

    top = [(logprob_of(c), ord(c), text(c)) for c in (character, "z", "y", "x")[: wanted.top]]
    return protocol.TokenLogprob(logprob_of(character), ord(character), text(character), top)
