"""The text that every instance of a program begins with. Behind `Function.cache`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import ir
from .backend.base import Backend
from .errors import InvalidRequest
from .ir import Expr
from .trace_graph import TraceError, refuse
from .tracing import trace_body
from .transcript import Transcript


def constant_prefix(
    body: Callable[..., Any], names: list[str], given: Mapping[str, Any], backend: Backend
) -> Transcript:
    """What a program appends before the first argument, call or fork. The body runs up to there."""
    prefix = Transcript()
    template = backend.chat_template

    def on_node(node: Expr) -> None:
        match node.for_backend(backend):
            case ir.Constant(value=text):
                prefix.add_text(text)
            case ir.AppendChildren(additions=additions):  # a list of tools
                for addition in additions:
                    prefix.add(addition)
            case ir.RoleBegin(role=role):
                prefix.begin_role(role, template)
            case ir.RoleEnd(role=role):
                prefix.end_role(role, template)
            case ir.VarScopeBegin() | ir.VarScopeEnd():
                pass
            case _:
                refuse("what comes behind the constant beginning")

    try:
        trace_body(body, names, given, backend, on_node)
    except TraceError:
        pass
    except InvalidRequest as error:
        raise ValueError(error.message) from None
    return prefix
