"""A traced program as text and as a Mermaid flowchart. Called by compiled.py."""

from __future__ import annotations

from . import ir
from .ir import Expr
from .printable import printable
from .trace_graph import Argument, Fork, GetForkItem, Join, TraceNode, Variable
from .tracing import TracedState

_MAX_LABEL = 60


def graph_text(traced: TracedState) -> str:
    """One line per node: its number, the node before it in its state, what it appends and, behind
    `reads`, the nodes whose output it takes."""
    lines = []
    for node in _ordered(traced):
        before = "" if node.prev_node is None else f"%{node.prev_node.node_id} + "
        reads = ", ".join(f"%{source.node_id}" for source in node.inputs)
        lines.append(
            f"%{node.node_id} = {before}{node.expr!r}{f'  reads {reads}' if reads else ''}"
        )
    return "\n".join(lines) + "\n"


def mermaid(traced: TracedState) -> str:
    """A flowchart: arrows are what follows what, dotted ones are read outputs and joined
    branches."""
    lines = ["flowchart TD"]
    for node in _ordered(traced):
        lines.append(f"    n{node.node_id}{_shape(node.expr)}")
        if node.prev_node is not None:
            lines.append(f"    n{node.prev_node.node_id} --> n{node.node_id}")
        lines += [f"    n{source.node_id} -.-> n{node.node_id}" for source in node.inputs]
    gathers = [at for at, step in enumerate(traced.steps) if step.mode == "gather_variable"]
    for number, at in enumerate(gathers):
        gather = traced.steps[at]
        lines.append(f'    join{number}{{{{"gather"}}}}')
        lines += [f"    n{child.last_node.node_id} -.-> join{number}" for child in gather.children]
        behind = (step.node for step in traced.steps[at:] if step.state is gather.state)
        if (follower := next(filter(None, behind), None)) is not None:
            lines.append(f"    join{number} -.-> n{follower.node_id}")
    return printable("\n".join(lines) + "\n")


def _ordered(traced: TracedState) -> list[TraceNode]:
    return sorted(traced.flatten_nodes(), key=lambda node: node.node_id)


def _shape(node: Expr) -> str:
    """The node's label in the brackets that give it its form."""
    match node:
        case ir.Constant(value=text):
            return f'["{_label(text)}"]'
        case Argument(name=name):
            return f'[/"{_label(name)}"/]'
        case Variable(name=name):
            return f'[/"text of {_label(name)}"/]'
        case ir.Gen(name=name):
            return f'(["gen {_label(name or "")}"])'
        case ir.Select(name=name, choices=choices):
            return f'(["select {_label(name or "")}: {_label(", ".join(choices))}"])'
        case Fork(number=number):
            return f'{{{{"fork {number}"}}}}'
        case GetForkItem(index=index):
            return f'["branch {index}"]'
        case Join(number=number):
            return f'{{{{"join {number}"}}}}'
        case _:
            return f'["{_label(repr(node))}"]'


def _label(text: str) -> str:
    """Text that Mermaid shows as it stands."""
    shown = text if len(text) <= _MAX_LABEL else text[:_MAX_LABEL] + "…"
    escaped = shown.replace("#", "#35;").replace('"', "#quot;").replace("\n", "↵")
    return escaped.replace("<", "#lt;").replace(">", "#gt;")
