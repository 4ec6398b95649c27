"""Compiling under the module and class names of older SGLang releases."""

from __future__ import annotations

from typing import Any

from .compiled import CompiledProgram
from .compiled import CompiledProgram as CompiledFunction
from .function import Function

__all__ = ["CompiledFunction", "compile_func"]


def compile_func(function: Function[Any], backend: object = None) -> CompiledProgram:
    """`function.compile()`: traced once, run whole by the runtime."""
    return function.compile(backend=backend)
