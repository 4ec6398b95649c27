"""Expressions: what a program appends to its state. Built by api.py, executed by executor.py.

Nodes are immutable, so one object may be appended many times and to many states. Their `repr` is
stable.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from branchline.runtime import protocol
from branchline.runtime.reasoning import ReasoningFormat

from .choices import ChoicesSamplingMethod
from .sampling import NO_OPTIONS, SamplingOptions
from .transcript import Addition
from .values import ValueKind

if TYPE_CHECKING:
    from .backend.base import Backend

REGEX_INT = r"[-+]?[0-9]+[ \n]*"
REGEX_FLOAT = r"[-+]?[0-9]*\.?[0-9]+[ \n]*"
REGEX_BOOL = r"(True|False)"
REGEX_STR = r"\"[\w\d\s]*\""


class Expr:
    """Base of all nodes; `+` with a string or another node makes a flat ExprList."""

    def nodes(self) -> Iterator[Expr]:
        """What is executed, in order."""
        yield self

    def for_backend(self, backend: Backend) -> Expr:
        """The node to execute: what depends on the model that runs it is settled here."""
        return self

    def __add__(self, other: Expr | str) -> ExprList:
        if not isinstance(other, Expr | str):
            return NotImplemented
        return ExprList((*flatten(self), *flatten(other)))

    def __radd__(self, other: Expr | str) -> ExprList:
        if not isinstance(other, Expr | str):
            return NotImplemented
        return ExprList((*flatten(other), *flatten(self)))

    def __format__(self, spec: str) -> NoReturn:
        # It would become the text of its repr, and the model would never be called.
        raise TypeError(
            f'{self!r} cannot stand in an f-string; write it behind the text: s += "..." + gen(...)'
        )


@dataclass(frozen=True, eq=False, repr=False)
class ExprList(Expr):
    """Nodes in order."""

    exprs: tuple[Expr, ...] = ()

    def nodes(self) -> Iterator[Expr]:
        for expr in self.exprs:
            yield from expr.nodes()

    def __repr__(self) -> str:
        return f"ExprList({list(self.exprs)!r})"


@dataclass(frozen=True, eq=False, repr=False)
class Constant(Expr):
    """Text as it stands. Control tokens of the model written in it are ordinary text."""

    value: str

    def __repr__(self) -> str:
        return f"Constant({self.value!r})"


@dataclass(frozen=True, eq=False, repr=False)
class Gen(Expr):
    """One generation call.

    `kind` says how `s.value()` reads the output, `value_type` is the Python type it is validated
    against (for kind "type"). With `reasoning` the thinking is cut out of the output and becomes
    the variable `reasoning_name`.
    """

    name: str | None = None
    sampling: SamplingOptions = NO_OPTIONS
    constraint: protocol.Constraint | None = None
    kind: ValueKind = "text"
    value_type: object = None
    extra_stops: tuple[str, ...] = ()
    reasoning: ReasoningFormat | None = None
    timeout_s: float | None = None

    @property
    def reasoning_name(self) -> str:
        return f"{self.name}_reasoning_content"

    def __repr__(self) -> str:
        return f"Gen({self.name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class Select(Expr):
    """A choice by score."""

    name: str | None
    choices: tuple[str, ...]
    choices_method: ChoicesSamplingMethod

    def __repr__(self) -> str:
        return (
            f"Select({self.name!r}, choices={list(self.choices)!r}, "
            f"choices_method={self.choices_method!r})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class RoleBegin(Expr):
    role: str

    def __repr__(self) -> str:
        return f"RoleBegin({self.role})"


@dataclass(frozen=True, eq=False, repr=False)
class RoleEnd(Expr):
    role: str

    def __repr__(self) -> str:
        return f"RoleEnd({self.role})"


@dataclass(frozen=True, eq=False, repr=False)
class VarScopeBegin(Expr):
    name: str

    def __repr__(self) -> str:
        return f"VarScopeBegin({self.name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class VarScopeEnd(Expr):
    name: str

    def __repr__(self) -> str:
        return f"VarScopeEnd({self.name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class CommitPrefix(Expr):
    """Compute and cache the prompt so far: what a fork's children will share."""

    def __repr__(self) -> str:
        return "CommitPrefix()"


@dataclass(frozen=True, eq=False, repr=False)
class AppendChildren(Expr):
    """What was made elsewhere, one after the other: the text of children after the fork
    (`join("concate_and_append")`), a list of tools, a picture."""

    additions: tuple[Addition, ...]

    def __repr__(self) -> str:
        return f"AppendChildren({len(self.additions)})"


def flatten(expr: Expr | str) -> Iterator[Expr]:
    """The nodes of an expression or of a text."""
    if isinstance(expr, Expr):
        yield from expr.nodes()
    elif expr:
        yield Constant(expr)


def expr_list(exprs: Sequence[Expr | str]) -> ExprList:
    """One flat list of everything given."""
    return ExprList(tuple(node for expr in exprs for node in flatten(expr)))


# The names of these nodes in SGLang.
SglExpr = Expr
SglExprList = ExprList
SglConstantText = Constant
SglGen = Gen
SglSelect = Select
SglRoleBegin = RoleBegin
SglRoleEnd = RoleEnd
SglVarScopeBegin = VarScopeBegin
SglVarScopeEnd = VarScopeEnd
SglCommitLazy = CommitPrefix
SglConcateAndAppend = AppendChildren


# Those whose modules need this one: module and name there.
_LATER = {
    "SglArgument": ("trace_graph", "Argument"),
    "SglFork": ("trace_graph", "Fork"),
    "SglFunction": ("function", "Function"),
    "SglGetForkItem": ("trace_graph", "GetForkItem"),
    "SglImage": ("media", "Image"),
    "SglSamplingParams": ("run_options", "sampling_params"),
    "SglSeparateReasoning": ("reasoned", "SeparateReasoning"),
    "SglVariable": ("trace_graph", "Variable"),
    "SglVideo": ("media", "Video"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own_name = _LATER[name]
    return getattr(importlib.import_module(f".{module}", __package__), own_name)
