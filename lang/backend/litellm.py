"""`LiteLLM` under the module name that SGLang programs import. It says what to use instead."""

from .elsewhere import LiteLLM

__all__ = ["LiteLLM"]
