"""The runtime inside this process: the same service and engine as the server's, on one thread and
without sockets. Behind `bl.Engine`; the only module that imports both the language and the runtime.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import queue
import secrets
import threading
import traceback
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, overload

from branchline.lang import direct
from branchline.lang.backend.runtime_endpoint import ConnectionBackend
from branchline.lang.closing import Closing
from branchline.lang.connection import RequestTable
from branchline.lang.errors import InvalidRequest, RuntimeUnavailable
from branchline.lang.loop import shared_loop
from branchline.lang.server_args import runtime_options
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.process import execute, load, save_cache
from branchline.runtime.engine_protocol import EngineCommand
from branchline.runtime.errors import RequestError
from branchline.runtime.models.errors import ModelLoadError
from branchline.runtime.models.resolve import resolve_model
from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    ClientMessage,
    FrameError,
    FrontMessage,
    Hello,
    ModelInfo,
    client_messages,
)
from branchline.runtime.server.flight import Limits
from branchline.runtime.server.model import describe, engine_config
from branchline.runtime.server.service import Service
from branchline.runtime.tokenizer import Tokenizer, TokenizerError
from branchline.runtime.writable import check_writable

_CLIENT: Final = b"in-process"
_IDLE_S: Final = 0.1
_STOP_S: Final = 10.0
# Writing a saved cache takes a second per gigabyte or two.
_SAVE_S: Final = 60.0


class Engine(Closing):
    """A runtime in a thread of this process, without sockets; usable as a `with` block and as a
    `backend`. Arguments and errors are those of `InProcessConnection`; `chat_template_name`
    replaces the model's own template by a registered one.
    """

    def __init__(
        self,
        model_path: str = "embedded",
        *,
        chat_template_name: str | None = None,
        **options: str | int | float | None,
    ) -> None:
        self.endpoint = ConnectionBackend(
            InProcessConnection(str(model_path), **runtime_options(options)),
            chat_template_name=chat_template_name,
        )

    def flush_cache(self) -> bool:
        return self.endpoint.flush_cache()

    def get_server_info(self) -> dict[str, Any]:
        return self.endpoint.get_server_info()

    @overload
    def generate(
        self,
        prompt: str | Sequence[str] | None = None,
        sampling_params: direct.Params | Sequence[direct.Params] | None = None,
        *,
        stream: Literal[False] = False,
        **options: Any,
    ) -> dict[str, Any] | list[dict[str, Any]]: ...
    @overload
    def generate(
        self,
        prompt: str | None = None,
        sampling_params: Mapping[str, Any] | None = None,
        *,
        stream: Literal[True],
        **options: Any,
    ) -> Iterator[dict[str, Any]]: ...
    def generate(
        self,
        prompt: Any = None,
        sampling_params: Any = None,
        *,
        stream: bool = False,
        **options: Any,
    ) -> Any:
        """Continue prompts without a program; arguments and answer are those of
        lang/direct.py's `generate`, with `stream` those of its `stream_answers`."""
        ask = direct.stream_answers if stream else direct.generate
        return ask(self.endpoint, prompt, sampling_params, **options)

    @overload
    async def async_generate(
        self,
        prompt: str | Sequence[str] | None = None,
        sampling_params: direct.Params | Sequence[direct.Params] | None = None,
        *,
        stream: Literal[False] = False,
        **options: Any,
    ) -> dict[str, Any] | list[dict[str, Any]]: ...
    @overload
    async def async_generate(
        self,
        prompt: str | None = None,
        sampling_params: Mapping[str, Any] | None = None,
        *,
        stream: Literal[True],
        **options: Any,
    ) -> AsyncIterator[dict[str, Any]]: ...
    async def async_generate(
        self,
        prompt: Any = None,
        sampling_params: Any = None,
        *,
        stream: bool = False,
        **options: Any,
    ) -> Any:
        """`generate` for coroutines: `async for answer in await engine.async_generate(...,
        stream=True)`."""
        if stream:
            return direct.stream_answers_async(self.endpoint, prompt, sampling_params, **options)
        return await direct.generate_async(self.endpoint, prompt, sampling_params, **options)

    def start_profile(self) -> None:
        """Begin to note what the engine spends its time with; for one with `profile_dir`, a folder
        for the files."""
        self.endpoint.start_profile()

    def stop_profile(self) -> str:
        """End the profile; the path of its file, which Python's `pstats` reads."""
        return self.endpoint.stop_profile()

    def encode(
        self, prompt: str | Sequence[str], **options: Any
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """The embeddings of texts; arguments and answer are those of lang/direct.py's `encode`."""
        return direct.encode(self.endpoint, prompt, **options)

    def get_tokenizer(self) -> Any:
        """The model's tokenizer as transformers loads it."""
        return direct.load_tokenizer(self.endpoint)

    def close(self) -> None:
        """End the engine; calling it again does nothing."""
        self.endpoint.close()


class InProcessConnection(RequestTable):
    """A `Connection` to a runtime in a thread of this process.

    model_path: directory of a Hugging Face checkpoint, a hub id, or "embedded".
    options: fields of `EngineConfig`.

    Blocks until the model is loaded. Raises RuntimeUnavailable when that fails.
    """

    def __init__(self, model_path: str = "embedded", **options: str | int | float | None) -> None:
        super().__init__()
        self._loop = shared_loop()
        self._closed = False
        self._fault: str | None = None
        self._stopping = False
        self._commands: deque[EngineCommand] = deque()
        self._outbox: list[FrontMessage] = []
        self._inbox: queue.SimpleQueue[ClientMessage | None] = queue.SimpleQueue()
        try:
            given = {name: value for name, value in options.items() if value is not None}
            known = [field.name for field in dataclasses.fields(EngineConfig)]
            if unknown := given.keys() - set(known):
                raise ValueError(
                    f"Engine: no option {', '.join(sorted(unknown))}; known: {', '.join(known)}"
                )
            config = EngineConfig(model=model_path, **given)  # type: ignore[arg-type]
            if config.cache_file is not None:
                check_writable("cache_file", config.cache_file)
            model_dir = resolve_model(model_path)
            tokenizer = Tokenizer.load(model_dir)
            self._core, ready = load(engine_config(config, model_dir))
            self._cache_file = config.cache_file
        except (ModelLoadError, TokenizerError, RequestError, OSError, ValueError, TypeError) as e:
            raise RuntimeUnavailable(str(e)) from e
        self._model = describe(model_path, model_dir, tokenizer, ready)
        self._service = Service(
            tokenizer,
            self._model,
            to_client=self._to_client,
            to_engine=self._commands.append,
            epoch=secrets.token_hex(8),
            context_limit=self._model.context_length,
            pool_limits=ready.num_slots < ready.context_length,
            # The client lives exactly as long as the runtime: nobody pings, nobody gets lost.
            limits=Limits(max_waiting_sequences=config.max_waiting, client_silence_s=float("inf")),
        )
        self._inbox.put(Hello(version=PROTOCOL_VERSION, client="in-process"))
        self._thread = threading.Thread(target=self._main, name="branchline-engine", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def model(self) -> ModelInfo:
        return self._model

    @property
    def address(self) -> str:
        return "in-process"

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._inbox.put(None)
        self._thread.join(_STOP_S if self._cache_file is None else _SAVE_S)
        if self._loop.alive:
            self._loop.call(self._fail_all, "the engine was closed")

    # --- called on the shared loop ---

    async def _ready(self) -> None:
        if self._closed:
            raise RuntimeUnavailable("the engine was closed")
        if self._fault is not None:
            raise RuntimeUnavailable(self._fault)

    def _send(self, message: ClientMessage) -> None:
        # Through a frame and back: nothing gets in here that the wire would refuse.
        try:
            self._inbox.put(client_messages.decode(self._frame(message)))
        except FrameError as error:
            raise InvalidRequest(str(error)) from None

    def _post(self, message: ClientMessage) -> None:
        self._inbox.put(message)

    def _dispatch_all(self, messages: list[FrontMessage]) -> None:
        for message in messages:
            self._dispatch(message)

    # --- called on the engine's thread ---

    def _main(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:
            # A step that raises leaves the engine in an unknown state: it is not used again.
            traceback.print_exception(error)
            self._fault = f"the engine failed: {type(error).__name__}: {error}"
            self._service.on_engine_lost(self._fault)
        self._flush()
        self._service.close()
        if self._fault is None:
            save_cache(self._core, self._cache_file)
        self._core.close()

    def _turn(self) -> bool:
        """Take messages, run one step, deliver. False when told to stop."""
        self._service.on_messages(_CLIENT, self._heard())
        if self._stopping:
            self._service.abort_all("the engine was closed")
            return False
        while self._commands:
            answer = execute(self._core, self._commands.popleft())
            if answer is not None:
                self._service.on_engine_event(answer)
        if self._core.has_work:
            self._service.on_engine_event(self._core.step())
        self._service.tick()
        self._flush()
        return True

    def _heard(self) -> Iterator[ClientMessage]:
        """What has come since; waited for where there is nothing to do."""
        wait = not (self._core.has_work or self._commands)
        with contextlib.suppress(queue.Empty):
            while (message := self._inbox.get(block=wait, timeout=_IDLE_S)) is not None:
                wait = False
                yield message
            self._stopping = True

    def _to_client(self, client_id: bytes, message: FrontMessage) -> None:
        self._outbox.append(message)

    def _flush(self) -> None:
        """Hand over what this turn produced, with one wake-up of the loop."""
        if self._outbox:
            messages, self._outbox = self._outbox, []
            # The loop may have ended with the process; then nobody waits for these.
            with contextlib.suppress(RuntimeError):
                self._loop.call(self._dispatch_all, messages)
