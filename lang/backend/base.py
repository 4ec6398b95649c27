"""The interface between the language and whatever executes its calls. Implemented by each backend
beside this file and by scripted backends in tests; called by executor.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from branchline.runtime import protocol
from branchline.runtime.tool_formats import ToolFormat, ToolSpec, tool_format_for

from ..chat_template import ChatTemplate, template_for
from ..errors import InvalidRequest
from ..loop import shared_loop

OnChunk = Callable[[protocol.Chunk], None]
# The first calls of an instance of a plan, by its number.
OnNews = Callable[[int, list[protocol.PlanCall]], None]


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do. What it cannot is refused before the call is sent."""

    regex: bool = True
    # `gen(dtype=...)` where regular expressions are not to be had.
    dtype: bool = False
    json_schema: bool = True
    select: bool = True
    logprobs: bool = True
    stop_regex: bool = True
    multiple_outputs: bool = True
    tool_calls: bool = False
    token_healing: bool = False
    grammar: bool = False
    islands: bool = False
    grammar_options: bool = False
    plans: bool = False
    images: bool = False


class Backend(ABC):
    """Executes generation and scoring calls.

    The coroutines run on the language's shared event loop. They raise `GenerationError` for every
    failure, and cancelling one of them stops the call in the runtime too.
    """

    capabilities: Capabilities = Capabilities()
    # Of an API: whether it takes messages (True) or text (False). None for a runtime.
    is_chat_model: bool | None = None
    _chat_template: ChatTemplate | None = None

    @property
    @abstractmethod
    def model_info(self) -> protocol.ModelInfo:
        """The model that is served."""

    @abstractmethod
    async def generate(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        *,
        constraint: protocol.Constraint | None = None,
        logprobs: protocol.LogprobParams | None = None,
        on_chunk: OnChunk | None = None,
    ) -> protocol.Done:
        """Run one call. With `on_chunk` the runtime streams and every Chunk goes through it, on
        the loop's thread, before the Done is returned."""

    @abstractmethod
    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        """Log probabilities of each choice as a continuation of the prompt."""

    async def run_plan(
        self, plan: protocol.Plan, texts: list[list[str]], on_news: OnNews
    ) -> list[Coroutine[object, object, protocol.PlanDone]]:
        """Run a plan whole, once per list of texts; what each instance answers, in order.
        `on_news` may get its first calls before. For backends whose capabilities say `plans`."""
        raise InvalidRequest(f"{type(self).__name__} does not offer plans", pointer="plans")

    async def embed(
        self, prompt: list[protocol.Part], params: protocol.EmbedParams
    ) -> protocol.Done:
        """What the model makes of a prompt, as a vector (`Done.embedding`). Raises InvalidRequest
        where a backend has none."""
        raise InvalidRequest(f"{type(self).__name__} does not offer embeddings", pointer="embed")

    def session(self) -> Session:
        """What the calls of one new state go through. A backend that holds states overrides it."""
        return Session(self)

    def offer_tools(
        self,
        specs: Sequence[ToolSpec],
        tool_format: ToolFormat | None,
        *,
        parallel: bool,
        choice: str,
    ) -> tuple[ToolFormat, protocol.Tagged]:
        """How calls of tools are asked for: the form in which they come to stand in the text
        (`tool_format`, or else the model's own), and the constraint of the call."""
        tool_format = tool_format or tool_format_for(self.model_info)
        chosen = [
            spec for spec in specs if choice != "none" and choice in ("auto", "required", spec.name)
        ]
        return tool_format, tool_format.constraint(
            chosen, max_calls=None if parallel else 1, text=choice in ("auto", "none")
        )

    def list_tools(
        self, specs: Sequence[ToolSpec], tool_format: ToolFormat | None
    ) -> list[tuple[str, bool]]:
        """What the prompt shows of tools: pieces of text, each with whether it is markup."""
        return (tool_format or tool_format_for(self.model_info)).listing(specs)

    @abstractmethod
    async def drop_cache(self) -> int:
        """Forget every cached prefix that nothing running holds; returns the tokens freed."""

    async def pin(self, prompt: list[protocol.Part], ttl_s: float) -> protocol.Pinned:
        """Compute a prompt and let it be evicted last for so long. For backends with a cache of
        ours."""
        raise InvalidRequest(f"{type(self).__name__} does not offer pins", pointer="pin")

    async def unpin(self, pin: int) -> None:
        """End a pin early."""
        raise InvalidRequest(f"{type(self).__name__} does not offer pins", pointer="pin")

    @abstractmethod
    async def server_info(self) -> protocol.Info:
        """The model and the counters of the runtime."""

    @property
    def chat_template(self) -> ChatTemplate:
        """The template that roles expand to: one that was assigned, or else the model's own."""
        if self._chat_template is None:
            self._chat_template = template_for(self.model_info)
        return self._chat_template

    @chat_template.setter
    def chat_template(self, template: ChatTemplate) -> None:
        self._chat_template = template

    def get_model_name(self) -> str:
        return self.model_info.name

    def get_chat_template(self) -> ChatTemplate:
        return self.chat_template

    def cache_prefix(self, prefix_str: str) -> None:
        """Compute a text and leave it in the cache, for the prompts that begin with it. Blocks."""
        nothing = protocol.SamplingParams(max_new_tokens=0)
        shared_loop().run(self.generate([protocol.Text(prefix_str)], nothing))

    def flush_cache(self) -> bool:
        """Blocking form of `drop_cache`; True when it was done."""
        shared_loop().run(self.drop_cache())
        return True

    def get_server_info(self) -> dict[str, Any]:
        """Blocking form of `server_info`, as a flat dict: the model's fields and the counters."""
        info = shared_loop().run(self.server_info())
        return {
            "model_name": info.model.name,
            "model_path": info.model.path,
            "architecture": info.model.architecture,
            "context_length": info.model.context_length,
            **info.stats,
        }

    def require(self, **wanted: bool) -> None:
        """Refuse what this backend cannot do, by the field names of `Capabilities`."""
        for feature, needed in wanted.items():
            if needed and not getattr(self.capabilities, feature):
                instead = ""
                if feature in ("regex", "select") and self.capabilities.json_schema:
                    instead = '; it takes schemas, such as gen(name, schema=Literal["yes", "no"])'
                raise InvalidRequest(
                    f"{type(self).__name__} does not offer {feature.replace('_', ' ')}{instead}",
                    pointer=feature,
                )


@dataclass(frozen=True)
class FollowingCall:
    """A call behind another one's output: what stands between them, and what is asked for."""

    rest: list[protocol.Part]
    sampling: protocol.SamplingParams
    constraint: protocol.Constraint | None
    logprobs: protocol.LogprobParams | None
    keep_output: bool = True


# Tells the calls that will follow the one that is made, as far as it has not told them before.
Ahead = Callable[[], list[FollowingCall]]


class Session:
    """The calls of one state. This one passes them on whole, to a backend that holds nothing.

    The prompts of a state's calls grow: each begins with the one before it, followed by the first
    output's tokens where `keep_output` said so.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def branch(self) -> Session:
        """The session of a state that goes on from here on its own."""
        return self

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
        """`Backend.generate`. With `keep_output` the state goes on with the first output. What
        `ahead` tells may be sent already, should the backend gain by that."""
        return await self._backend.generate(
            prompt, sampling, constraint=constraint, logprobs=logprobs, on_chunk=on_chunk
        )

    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        """`Backend.score`."""
        return await self._backend.score(prompt, choices, unconditional=unconditional)

    def drop_ahead(self) -> None:
        """The calls that were told ahead are not going to be made."""


def unwrap_backend(backend: object) -> Backend:
    """The Backend that a user's `backend=` argument stands for: itself, or its `.endpoint`."""
    candidate = getattr(backend, "endpoint", backend)
    if not isinstance(candidate, Backend):
        raise TypeError(
            f"{backend!r} is not a backend; pass a Runtime, a RuntimeEndpoint or another "
            "branchline backend"
        )
    return candidate
