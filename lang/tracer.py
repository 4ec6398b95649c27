"""Tracing under the module and class names that SGLang programs import."""

from .tracing import Argument as SglArgument
from .tracing import TracedState as TracerProgramState
from .tracing import Variable as SglVariable

__all__ = ["SglArgument", "SglVariable", "TracerProgramState"]
