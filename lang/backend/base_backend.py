"""The backend interface under the module and class name that SGLang programs import."""

from .base import Backend as BaseBackend

__all__ = ["BaseBackend"]
