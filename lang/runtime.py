"""`bl.Runtime`: a runtime process of one's own together with the endpoint that talks to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from typing import Any

from . import direct
from .backend.runtime_endpoint import RuntimeEndpoint
from .closing import Closing
from .errors import RuntimeUnavailable
from .launch import RuntimeProcess
from .server_args import runtime_options


class ServerInfo(dict[str, Any]):
    """A dict that may be awaited: SGLang's method of this name is a coroutine."""

    def __await__(self) -> Generator[None, None, ServerInfo]:
        yield from ()
        return self


class Runtime(Closing):
    """Starts a runtime as a separate process; usable as a `with` block and as a `backend`.

    model_path: directory of a Hugging Face checkpoint, a hub id, or "embedded".
    launch_timeout: seconds that loading the model may take.
    bind: where it listens; "ipc" (the default) is a private socket, reachable by this user only.
    options: of `branchline serve`, with underscores, or of `ServerArgs`.

    Raises RuntimeUnavailable, with the runtime's own words, when it cannot start. It ends with
    `shutdown()`, with the `with` block, when nothing holds it or its endpoint any more (the default
    backend does), and with this process however that ends.
    """

    def __init__(
        self,
        model_path: str = "embedded",
        *,
        launch_timeout: float = 300.0,
        bind: str = "ipc",
        chat_template_name: str | None = None,
        **options: str | int | float | None,
    ) -> None:
        self.process = RuntimeProcess(
            str(model_path),
            bind=bind,
            start_timeout_s=launch_timeout,
            **runtime_options(options),
        )
        try:
            self.endpoint = RuntimeEndpoint(
                self.process.address, chat_template_name=chat_template_name
            )
        except BaseException:
            self.process.close()
            raise
        self.endpoint.process = self.process

    @property
    def address(self) -> str:
        """For `bl.RuntimeEndpoint` in other processes."""
        return self.process.address

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        """Where HTTP is served, by a runtime that was started with `http="127.0.0.1:0"`."""
        if self.process.http_url is None:
            raise RuntimeUnavailable(
                'this runtime serves no HTTP; start it with Runtime(..., http="127.0.0.1:0")'
            )
        return self.process.http_url

    def flush_cache(self) -> bool:
        return self.endpoint.flush_cache()

    def get_server_info(self) -> ServerInfo:
        """The model and the counters; `await runtime.get_server_info()` works too."""
        return ServerInfo(self.endpoint.get_server_info())

    def cache_prefix(self, prefix: str) -> None:
        """Compute a text and leave it in the cache, for the prompts that begin with it."""
        self.endpoint.cache_prefix(prefix)

    def generate(
        self,
        prompt: str | Sequence[str] | None = None,
        sampling_params: direct.Params | Sequence[direct.Params] | None = None,
        **options: Any,
    ) -> str:
        """Continue prompts without a program; the answer of direct.py's `generate`, whose
        arguments these are, as JSON text."""
        return json.dumps(direct.generate(self.endpoint, prompt, sampling_params, **options))

    def async_generate(
        self,
        prompt: str | None = None,
        sampling_params: Mapping[str, Any] | None = None,
        *,
        input_ids: Sequence[int] | None = None,
    ) -> AsyncIterator[str]:
        """`async for piece in runtime.async_generate(prompt)`: the answer as it comes. Leaving the
        loop ends the call."""
        return direct.stream(self.endpoint, prompt, sampling_params, input_ids=input_ids)

    add_request = async_generate

    def encode(self, prompt: str | Sequence[str], **options: Any) -> str:
        """The embeddings of texts; the answer of direct.py's `encode`, whose arguments these are,
        as JSON text."""
        return json.dumps(direct.encode(self.endpoint, prompt, **options))

    def start_profile(self) -> None:
        """Begin to note what the engine spends its time with; for a runtime that was started with
        `profile_dir`, a folder for the files."""
        self.endpoint.start_profile()

    def stop_profile(self) -> str:
        """End the profile; the path of its file, which Python's `pstats` reads."""
        return self.endpoint.stop_profile()

    def get_tokenizer(self) -> Any:
        """The model's tokenizer as transformers loads it."""
        return direct.load_tokenizer(self.endpoint)

    def close(self) -> None:
        """End the runtime and wait until it is gone. Calling it again does nothing."""
        try:
            self.endpoint.close()
        finally:
            self.process.close()

    def __repr__(self) -> str:
        return f"Runtime({self.endpoint.model_info.name!r}, {self.address!r})"
