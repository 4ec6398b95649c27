"""What SGLang programs import from a module of this name: the classes of a trace, and its functions
that make one. They are `Function.trace` and `cache` in another spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .backend.base import unwrap_backend
from .function import Function
from .prefix import constant_prefix
from .trace_graph import Argument as SglArgument
from .trace_graph import Variable as SglVariable
from .tracing import TracedState
from .tracing import TracedState as TracerProgramState

__all__ = [
    "SglArgument",
    "SglVariable",
    "TracerProgramState",
    "extract_prefix_by_tracing",
    "trace_program",
]


def trace_program(
    program: Function[Any], arguments: Mapping[str, Any], backend: object = None
) -> TracedState:
    """`program.trace`, for arguments that are given and symbols for the others."""
    return program.trace(backend=backend, **arguments)


def extract_prefix_by_tracing(program: Function[Any], backend: object) -> str:
    """The text that every instance begins with: what `program.cache` computes."""
    given = program.bind_arguments
    return constant_prefix(program.func, program.arg_names, given, unwrap_backend(backend)).text
