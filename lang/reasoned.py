"""`separate_reasoning`: outputs that lose their thinking. Used by programs; executor.py cuts it."""

from __future__ import annotations

import dataclasses

from branchline.runtime.reasoning import ReasoningFormat, reasoning_format

from . import ir
from .ir import Expr, ExprList
from .trace_graph import Unknown


class SeparateReasoning(ExprList):
    """Nodes whose outputs lose their thinking, which is told by the tags of `model_type`."""

    def __init__(self, model_type: str | None, expr: Expr | None) -> None:
        form = reasoning_format(model_type)
        nodes = tuple(_reasoned(node, form) for node in ir.flatten(expr or ExprList()))
        super().__init__(nodes)
        self.model_type = model_type

    def __repr__(self) -> str:
        names = [node.reasoning_name for node in self.exprs if isinstance(node, ir.Gen)]
        return f"SeparateReasoning(model_type={self.model_type}, name={', '.join(names)})"


def separate_reasoning(
    expr: Expr | None = None, model_type: str | None = None
) -> SeparateReasoning:
    """Cut the thinking out of the outputs in `expr`: the variable and the text keep the answer,
    `{name}_reasoning_content` becomes the thinking. A select's choices are answers as they are."""
    return SeparateReasoning(model_type, expr)


def _reasoned(node: Expr, form: ReasoningFormat) -> Expr:
    if isinstance(node, Unknown):
        return node
    if isinstance(node, ir.Gen | ir.Select) and node.name is None:
        raise ValueError("separate_reasoning: name must be provided")
    return dataclasses.replace(node, reasoning=form) if isinstance(node, ir.Gen) else node
