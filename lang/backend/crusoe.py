"""`Crusoe` under the module name that SGLang programs import. It says what to use instead."""

from .elsewhere import Crusoe

__all__ = ["Crusoe"]
