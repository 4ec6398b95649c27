"""Backends that SGLang names and that are reached another way here: each says which."""

from __future__ import annotations

from typing import NoReturn


class VertexAI:
    """Not offered; LiteLLM reaches the same models, and Google serves them under OpenAI's API."""

    def __new__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise NotImplementedError(
            "bl.VertexAI is not offered: use bl.LiteLLM('vertex_ai/gemini-...'), or "
            "bl.OpenAI(model_name, base_url=..., api_key=...) with the OpenAI-compatible address "
            "of Gemini or Vertex AI"
        )
