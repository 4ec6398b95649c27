"""The backend that talks to a Branchline runtime through a `Connection`: over ZeroMQ for
`bl.RuntimeEndpoint`, within the process for `branchline/engine.py`."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from branchline.runtime import protocol

from ..chat_template import get_chat_template
from ..client import ZmqConnection
from ..closing import Closing
from ..connection import Connection
from ..curve import CurveKeys
from ..loop import shared_loop
from .base import Backend, Capabilities, OnChunk, OnNews, Session
from .runtime_session import RuntimeSession, finish
from .sglang import SGLang


class ConnectionBackend(Closing, Backend):
    """Any `Connection` as a backend of programs. Closing it closes the connection."""

    capabilities = Capabilities(
        tool_calls=True,
        plans=True,
        token_healing=True,
        grammar=True,
        islands=True,
        grammar_options=True,
    )

    def __init__(self, connection: Connection, *, chat_template_name: str | None = None) -> None:
        self.connection = connection
        if chat_template_name is not None:
            self.chat_template = get_chat_template(chat_template_name)

    @property
    def model_info(self) -> protocol.ModelInfo:
        return self.connection.model

    async def generate(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        *,
        constraint: protocol.Constraint | None = None,
        logprobs: protocol.LogprobParams | None = None,
        on_chunk: OnChunk | None = None,
    ) -> protocol.Done:
        request = protocol.Generate(
            rid=self.connection.new_rid(),
            prompt=prompt,
            sampling=sampling,
            constraint=constraint,
            logprobs=logprobs,
            stream=on_chunk is not None,
        )
        return await finish(self.connection, request, on_chunk)

    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        return await self.connection.score(
            protocol.Score(
                rid=self.connection.new_rid(),
                prompt=prompt,
                choices=list(choices),
                unconditional=unconditional,
            )
        )

    async def embed(
        self, prompt: list[protocol.Part], params: protocol.EmbedParams
    ) -> protocol.Done:
        request = protocol.Generate(
            rid=self.connection.new_rid(),
            prompt=prompt,
            sampling=protocol.SamplingParams(max_new_tokens=0),
            embed=params,
        )
        return await finish(self.connection, request, None)

    async def run_plan(
        self, plan: protocol.Plan, texts: list[list[str]], on_news: OnNews
    ) -> list[Coroutine[object, object, protocol.PlanDone]]:
        instances = [protocol.PlanInstance(self.connection.new_rid(), given) for given in texts]
        return await self.connection.run_plan(protocol.RunPlan(plan, instances), on_news)

    def session(self) -> Session:
        return RuntimeSession(self, self.connection)

    async def drop_cache(self) -> int:
        return await self.connection.flush_cache()

    async def pin(self, prompt: list[protocol.Part], ttl_s: float) -> protocol.Pinned:
        await self.generate(prompt, protocol.SamplingParams(max_new_tokens=0))
        return await self.connection.pin(prompt, ttl_s)

    async def unpin(self, pin: int) -> None:
        await self.connection.unpin(pin)

    def start_profile(self) -> None:
        """Begin to note what the engine spends its time with. Blocks. Raises InvalidRequest where
        the runtime was started without a folder for profiles (`profile_dir`)."""
        shared_loop().run(self.connection.profile(active=True))

    def stop_profile(self) -> str:
        """End the profile; the path, on the runtime's machine, of a file that Python's `pstats`
        reads. Blocks."""
        path = shared_loop().run(self.connection.profile(active=False))
        assert path is not None
        return path

    async def server_info(self) -> protocol.Info:
        return await self.connection.info()

    def close(self) -> None:
        """Release the connection; the runtime goes on."""
        self.connection.close()


class RuntimeEndpoint(ConnectionBackend):
    """A runtime that runs elsewhere, at `ipc:///path` or `tcp://host:port`.

    The constructor connects and raises `RuntimeUnavailable` when nobody answers there. For an
    `http://` address it makes a `bl.SGLang` with the same arguments and `api_key, verify`.
    `chat_template_name` replaces the model's own template by a registered one.
    `server_key` (the runtime's NAME.key) and `client_key` (one's own NAME.key_secret) are files;
    a runtime on another machine wants them.
    """

    def __new__(cls, address: str, *args: Any, **options: Any) -> Any:
        if address.startswith(("http://", "https://")):
            return SGLang(address, *args, **options)
        return super().__new__(cls)

    def __init__(
        self,
        address: str,
        *,
        chat_template_name: str | None = None,
        server_key: str | Path | None = None,
        client_key: str | Path | None = None,
    ) -> None:
        if (server_key is None) != (client_key is None):
            raise ValueError("server_key and client_key need each other")
        keys = None
        if server_key is not None and client_key is not None:
            keys = CurveKeys.load(server_key, client_key)
        super().__init__(ZmqConnection(address, keys=keys), chat_template_name=chat_template_name)
        # What ends when nobody holds it, where `bl.Runtime` has started it.
        self.process: object = None

    @property
    def address(self) -> str:
        return self.connection.address

    def __repr__(self) -> str:
        return f"RuntimeEndpoint({self.address!r})"
