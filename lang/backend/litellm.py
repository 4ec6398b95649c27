"""`bl.LiteLLM`: the models of many vendors through the `litellm` package, which answers in the
forms of the `openai` package."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any

from ..chat_template import ChatTemplate
from .openai import OpenAI
from .vendor import import_vendor


class LiteLLM(OpenAI):
    """A chat model by LiteLLM's name for it ("vertex_ai/gemini-2.5-pro", "bedrock/...").

    Sampling parameters that OpenAI's API lacks are refused, as `bl.OpenAI` refuses them; with
    `base_url` they are sent. Keys come from the vendors' own variables unless `api_key` is given.

    Raises ImportError when the package is not installed.
    """

    def __init__(
        self,
        model_name: str,
        chat_template: ChatTemplate | str | None = None,
        api_key: str | None = None,
        organization: str | None = None,
        base_url: str | None = None,
        timeout: float | None = 600,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> None:
        self._complete = import_vendor("litellm", type(self).__name__).acompletion
        given: dict[str, Any] = {
            "api_key": api_key,
            "organization": organization,
            "base_url": base_url,
            "timeout": timeout,
            "max_retries": max_retries,
            "extra_headers": None if default_headers is None else dict(default_headers),
        }
        options = {name: value for name, value in given.items() if value is not None}
        super().__init__(model_name, True, chat_template, **options)

    def _new_client(self) -> Any:
        completions = SimpleNamespace(create=_bound(self._complete, self.client_options))
        return SimpleNamespace(chat=SimpleNamespace(completions=completions), close=_nothing)


async def _nothing() -> None:
    """Connections are the package's own, shared by all that use it."""


def _bound(
    complete: Callable[..., Awaitable[Any]], options: Mapping[str, Any]
) -> Callable[..., Awaitable[Any]]:
    """A call that the package completes, as a method of a client."""

    async def create(**request: Any) -> Any:
        return await complete(**options, **request)

    return create
