"""`bl.VertexAI`: the models of a Google Cloud project, where Vertex AI speaks OpenAI's API
(cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview)."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final

from ..chat_template import ChatTemplate
from .openai import OpenAI

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_PROJECT: Final = ("GCP_PROJECT_ID", "GOOGLE_CLOUD_PROJECT")
_LOCATION: Final = ("GCP_LOCATION", "GOOGLE_CLOUD_LOCATION")


class VertexAI(OpenAI):
    """A chat model of Vertex AI: "gemini-2.5-flash", or "publisher/model".

    safety_settings: of Gemini's API: a list of {"category": ..., "threshold": ...}, or a mapping of
        categories to thresholds.
    project: where not given, `GCP_PROJECT_ID` or `GOOGLE_CLOUD_PROJECT`, else the credentials' own.
    location: where not given, `GCP_LOCATION` or `GOOGLE_CLOUD_LOCATION`, else "global".
    api_key: an access token; where not given, tokens come from the application default credentials
        through the package `google-auth`, each as long as it holds.

    Sampling parameters that OpenAI's API lacks are refused, as `bl.OpenAI` refuses them.

    Raises ImportError when a package is not installed, ValueError when nothing names a project.
    """

    def __init__(
        self,
        model_name: str,
        safety_settings: Sequence[Mapping[str, str]] | Mapping[str, str] | None = None,
        project: str | None = None,
        location: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        chat_template: ChatTemplate | str | None = None,
        **client_options: Any,
    ) -> None:
        self._tokens = None if api_key else _Tokens()
        project = project or _named(_PROJECT)
        if project is None and self._tokens is not None:
            project = self._tokens.project
        if not (project or base_url):
            raise ValueError("VertexAI: no project; give project= or set GOOGLE_CLOUD_PROJECT")
        self._own = {} if safety_settings is None else {"google": _safety(safety_settings)}
        super().__init__(
            model_name if "/" in model_name else f"google/{model_name}",
            True,
            chat_template,
            # The package wants one; each call brings its own.
            api_key=api_key or "none",
            base_url=base_url or _address(project, location or _named(_LOCATION) or "global"),
            **client_options,
        )
        self._foreign = False  # it takes what OpenAI's API has, and nothing more

    def _new_client(self) -> Any:
        client = super()._new_client()
        create = client.chat.completions.create

        async def create_here(**request: Any) -> Any:
            if self._own:
                request["extra_body"] = {"extra_body": self._own}
            if self._tokens is not None:
                token = await self._tokens.current()
                request["extra_headers"] = {"Authorization": f"Bearer {token}"}
            return await create(**request)

        return SimpleNamespace(
            chat=SimpleNamespace(completions=SimpleNamespace(create=create_here)),
            close=client.close,
        )


class _Tokens:
    """Access tokens of the application default credentials. `project`: theirs, if they have one."""

    def __init__(self) -> None:
        try:
            auth = importlib.import_module("google.auth")
            transport = importlib.import_module("google.auth.transport.requests")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("google"):
                raise
            raise ImportError(
                "bl.VertexAI needs an access token (api_key=) or the package 'google-auth': "
                "pip install 'branchline[vertexai]'"
            ) from None
        self.project: str | None
        self._credentials, self.project = auth.default(scopes=[_SCOPE])
        self._request = transport.Request()
        self._lock = threading.Lock()

    async def current(self) -> str:
        """One that holds; to get a new one takes a request, which is made beside the loop."""
        if not self._credentials.valid:
            await asyncio.to_thread(self._refresh)
        token: str = self._credentials.token
        return token

    def _refresh(self) -> None:
        with self._lock:
            if not self._credentials.valid:
                self._credentials.refresh(self._request)


def _address(project: str | None, location: str) -> str:
    host = "" if location == "global" else f"{location}-"
    return (
        f"https://{host}aiplatform.googleapis.com/v1/projects/{project}/locations/{location}"
        "/endpoints/openapi"
    )


def _safety(settings: Sequence[Mapping[str, str]] | Mapping[str, str]) -> dict[str, Any]:
    if isinstance(settings, Mapping):
        settings = [
            {"category": category, "threshold": threshold}
            for category, threshold in settings.items()
        ]
    return {"safety_settings": [dict(setting) for setting in settings]}


def _named(variables: Sequence[str]) -> str | None:
    return next((value for name in variables if (value := os.environ.get(name))), None)
