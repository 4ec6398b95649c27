"""A real HTTP server in front of a real service; the engine behind it is played by the test."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from branchline.runtime.engine_protocol import (
    Drop,
    EngineCommand,
    EngineFlush,
    EngineFlushed,
    EngineInspect,
    EngineInspected,
    EnginePin,
    EnginePing,
    EnginePinned,
    EnginePong,
    Failed,
    Progress,
    StepEvents,
    Submit,
)
from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    ClientMessage,
    Error,
    FrontMessage,
    Generate,
    GetInfo,
    Hello,
    ModelInfo,
    TokenLogprob,
)
from branchline.runtime.server.flight import Limits
from branchline.runtime.server.http.quota import Quota
from branchline.runtime.server.http.server import HttpServer
from branchline.runtime.server.http.settings import parse_http
from branchline.runtime.server.service import Service
from branchline.runtime.tokenizer import Tokenizer
from branchline.runtime.views import EngineQuery, EngineView, SequencesView

CONTEXT = 256
END = 2
CLIENT = b"http"
CHATML = {
    role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ("system", "user", "assistant")
}


@dataclass
class Running:
    """A sequence in the played engine."""

    submit: Submit
    rest: list[int]
    full: bool
    started: bool = False


@dataclass
class Answer:
    """What an HTTP request got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]

    @property
    def events(self) -> list[Any]:
        """The data of the server-sent events; the last one of a whole stream is "[DONE]"."""
        blocks = self.body.decode().split("\n\n")
        datas = [block.partition("data: ")[2] for block in blocks if block.strip()]
        return [data if data == "[DONE]" else json.loads(data) for data in datas]


class PlayedFront:
    """Front process and engine in one thread.

    reply: what the model says to a prompt. hung, computes: its engine answers no ping, because it
    hangs, or is in a long step. steps: how many steps the engine may make; None is any
    number. fail: an error for a sequence, instead of its next token.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, limits: Limits | None = None, context: int = CONTEXT
    ) -> None:
        self.tokenizer = tokenizer
        self._running: dict[int, Running] = {}
        self.reset()
        self.model = ModelInfo(
            "tiny", "/models/tiny", "Tiny", context, tokenizer.vocab_size, [END], CHATML
        )
        self.service = Service(
            tokenizer,
            self.model,
            to_client=self._to_client,
            to_engine=self._to_engine,
            epoch="epoch",
            context_limit=context,
            limits=limits,
            # One that hangs has done so for a minute.
            clock=lambda: time.monotonic() + (60.0 if self.hung else 0.0),
        )
        self.server: HttpServer | None = None
        self._loaded = False
        self._errands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """As new, without anything in flight."""
        self.reply: Callable[[Submit], str] = lambda submit: "good island"
        self.fail: Callable[[Submit], Failed | None] = lambda submit: None
        self.steps: int | None = None
        self.hung = self.computes = False
        self.stats = {"running": 0.0}
        self.inspect: Callable[[str, EngineQuery], EngineView] = self._inspect
        self.commands: list[EngineCommand] = []
        self.messages: list[ClientMessage] = []
        self._running.clear()

    def listen(
        self,
        *keys: str,
        hosts: tuple[str, ...] = (),
        loaded: bool = True,
        quota: Quota | None = None,
    ) -> HttpServer:
        settings = parse_http("127.0.0.1:0", list(keys), list(hosts), quota=quota)
        self.server = HttpServer(settings, self._post)
        self.do(lambda: self.service.on_message(CLIENT, Hello(version=PROTOCOL_VERSION)))
        self._loaded = loaded
        if loaded:
            self.server.serve(self.model, self.tokenizer, self.service.entrance)
        return self.server

    def close(self) -> None:
        self._errands.put(None)
        self._thread.join()
        if self.server is not None:
            self.server.stop()

    def do(self, errand: Callable[[], None]) -> None:
        """Run something on the front's thread and wait until it is done."""
        done = threading.Event()
        self._errands.put(lambda: (errand(), done.set())[0])
        assert done.wait(60)

    def allow(self, steps: int | None) -> None:
        """Let the engine make so many more steps."""
        self.do(lambda: setattr(self, "steps", steps))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the front's thread will do."""
        with self._changed:
            assert self._changed.wait_for(condition, 60), "it did not happen within 60 s"

    @property
    def submits(self) -> list[Submit]:
        return [command for command in self.commands if isinstance(command, Submit)]

    @property
    def dropped(self) -> list[int]:
        return [command.sid for command in self.commands if isinstance(command, Drop)]

    @property
    def cancelled(self) -> list[str]:
        return [message.rid for message in self.messages if isinstance(message, Cancel)]

    # --- on the front's thread ---

    def _main(self) -> None:
        while True:
            idle = not self._has_work() or self.steps == 0
            try:
                errand = self._errands.get(block=idle)
            except queue.Empty:
                self._step()
            else:
                if errand is None:
                    return
                errand()
            if self.server is not None:
                self.server.flush()
            with self._changed:
                self._changed.notify_all()

    def _has_work(self) -> bool:
        return bool(self._running)

    def _post(self, message: ClientMessage) -> None:
        def take() -> None:
            self.messages.append(message)
            if not self.hung:
                self.service.on_engine_pulse()
            if self._loaded:
                self.service.on_message(CLIENT, message)
            elif isinstance(message, Generate | GetInfo):
                # Like reception.py before there is a service.
                self._to_client(CLIENT, Error(message.rid, "unavailable", "loading", None, 1.0))

        self._errands.put(take)

    def _to_client(self, client_id: bytes, message: FrontMessage) -> None:
        if self.server is not None:
            self.server.deliver(message)

    def _to_engine(self, command: EngineCommand) -> None:
        self.commands.append(command)
        match command:
            case Submit():
                ids = self.tokenizer.encode_text(self.reply(command))
                room = command.sampling.max_new_tokens
                self._running[command.sid] = Running(command, ids[:room], full=room <= len(ids))
            case Drop(sid=sid):
                self._running.pop(sid, None)
            case EnginePing(seq=seq) if not self.hung and not self.computes:
                self._errands.put(
                    lambda: self.service.on_engine_event(EnginePong(seq, dict(self.stats)))
                )
            case EngineInspect(seq=seq, namespace=namespace, query=query) if not self.hung:
                view = self.inspect(namespace, query)
                self._errands.put(lambda: self.service.on_engine_event(EngineInspected(seq, view)))
            case EngineFlush(seq=seq):
                self._errands.put(lambda: self.service.on_engine_event(EngineFlushed(seq, 7)))
            case EnginePin(seq=seq, input_ids=ids):
                pinned = EnginePinned(seq, 4711, len(ids))
                self._errands.put(lambda: self.service.on_engine_event(pinned))

    def _inspect(self, namespace: str, query: EngineQuery) -> EngineView:
        return SequencesView([], dict(self.stats))

    def _step(self) -> None:
        if self.steps is not None:
            self.steps -= 1
        progress: list[Progress] = []
        failed: list[Failed] = []
        for sid, running in list(self._running.items()):
            failure = self.fail(running.submit)
            if failure is not None:
                failed.append(Failed(sid, failure.code, failure.message, failure.pointer))
                del self._running[sid]
                continue
            progress.append(self._advance(sid, running))
            if progress[-1].finish is not None:
                del self._running[sid]
        self.service.on_engine_event(StepEvents(progress, failed))

    def _advance(self, sid: int, running: Running) -> Progress:
        submit, asked = running.submit, running.submit.logprobs
        token_ids, running.rest = running.rest[:1], running.rest[1:]
        ended, full = not running.rest, running.full
        first, running.started = not running.started, True
        prompt_logprobs = None
        if first and asked is not None and asked.prompt_start is not None:
            prompt_logprobs = [
                _logprob(token_id, asked.top) if index else TokenLogprob(None, token_id)
                for index, token_id in enumerate(submit.input_ids)
            ][asked.prompt_start :]
        if ended and not full:
            token_ids = [*token_ids, END]
        logprobs = [_logprob(token_id, asked.top) for token_id in token_ids] if asked else None
        return Progress(
            sid=sid,
            token_ids=token_ids,
            logprobs=logprobs,
            finish=("length" if full else "stop") if ended else None,
            matched_stop=END if ended and not full else None,
            cached_tokens=3 if first else None,
            prompt_logprobs=prompt_logprobs,
            embedding=_vector(submit) if submit.embed is not None else None,
        )


def _vector(submit: Submit) -> bytes:
    """Not of length 1, so that nobody scales it once more without being seen."""
    return array("f", [len(submit.input_ids), 0.5, -2.0, 0.25]).tobytes()


def _logprob(token_id: int, num_top: int) -> TokenLogprob:
    top: list[tuple[float, int, str | None]] = [(-0.25, 100 + i, None) for i in range(num_top)]
    return TokenLogprob(-0.5, token_id, None, top)


@dataclass
class Asker:
    """An HTTP client that sends exactly what it is told."""

    server: HttpServer
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.server.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        sent = {**self.headers, **(headers or {})}
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, raw, sent)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, response.read())
        finally:
            connection.close()

    def send(self, path: str, fields: dict[str, object]) -> socket.socket:
        """POST and keep the connection, without waiting for the answer."""
        body = json.dumps(fields).encode()
        connection = socket.create_connection(self.address, timeout=60)
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return connection

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, **fields: object) -> Answer:
        return self.ask("POST", path, fields)

    def chat(self, content: str = "hello", **fields: object) -> Answer:
        messages = [{"role": "user", "content": content}]
        return self.post("/v1/chat/completions", **{"messages": messages, **fields})
