"""`VertexAI` under the module name that SGLang programs import. It says what to use instead."""

from .elsewhere import VertexAI

__all__ = ["VertexAI"]
