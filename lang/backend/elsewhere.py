"""Backends that SGLang names and that are reached another way here: each says which."""

from __future__ import annotations

from typing import NoReturn


class _Elsewhere:
    remedy = ""

    def __new__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise NotImplementedError(f"bl.{cls.__name__} is not offered: {cls.remedy}")


class LiteLLM(_Elsewhere):
    """Not offered; LiteLLM's proxy serves the same models."""

    remedy = (
        "start LiteLLM's proxy (`litellm --model ...`) and use "
        "bl.OpenAI(model_name, base_url='http://localhost:4000')"
    )


class VertexAI(_Elsewhere):
    """Not offered; Google serves the same models under OpenAI's API."""

    remedy = (
        "use bl.OpenAI(model_name, base_url=..., api_key=...) with the OpenAI-compatible address "
        "of Gemini or Vertex AI"
    )


class Crusoe(_Elsewhere):
    """Not offered; Crusoe speaks OpenAI's API."""

    remedy = "use bl.OpenAI(model_name, base_url=..., api_key=...) with Crusoe's address"
