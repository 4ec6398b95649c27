"""`bl.tool_call` and `bl.tool_list`: expressions whose form depends on the model that runs them,
and the calls that come out. Used by programs; executor.py asks `for_backend`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from branchline.runtime import protocol
from branchline.runtime.tool_formats import RawCall, ToolFormat, get_tool_format

from . import ir
from .errors import InvalidRequest
from .sampling import SamplingOptions
from .tools import CHOICES, Tool, as_tool
from .transcript import Addition

if TYPE_CHECKING:
    from .backend.base import Backend

# Arguments that hold a document, or several calls, take their room.
DEFAULT_MAX_TOKENS = 512


@dataclass(frozen=True)
class ToolCall:
    """One call that a model asks for: the tool's `name` and its `arguments`, validated."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, eq=False)
class ToolCalls:
    """How the calls in an output are read: the form that they have and the tools."""

    tool_format: ToolFormat
    tools: dict[str, Tool[..., Any]]

    def read(self, output: str) -> list[ToolCall]:
        """The calls, validated. Raises ValueError."""
        _, calls = self.tool_format.parse(output)
        return [ToolCall(call.name, self.validated(call)) for call in calls]

    def validated(self, call: RawCall) -> dict[str, Any]:
        if call.name not in self.tools:
            raise ValueError(f"no tool {call.name!r}; known: {', '.join(self.tools)}")
        return self.tools[call.name].validate(call.arguments)


@dataclass(frozen=True, eq=False, repr=False)
class ToolCallGen(ir.Gen):
    """A generation of calls. What it is held to is known once the model is."""

    tools: tuple[Tool[..., Any], ...] = ()
    parallel: bool = False
    choice: str = "auto"
    tool_format: ToolFormat | None = None

    def for_backend(self, backend: Backend) -> ir.Gen:
        tool_format, constraint = backend.offer_tools(
            [tool.spec for tool in self.tools],
            self.tool_format,
            parallel=self.parallel,
            choice=self.choice,
        )
        return replace(
            self,
            constraint=constraint,
            kind="calls",
            value_type=ToolCalls(tool_format, {tool.name: tool for tool in self.tools}),
        )

    def __repr__(self) -> str:
        return f"ToolCall({self.name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class ToolList(ir.Expr):
    """The tools as a prompt shows them."""

    tools: tuple[Tool[..., Any], ...]
    tool_format: ToolFormat | None = None

    def for_backend(self, backend: Backend) -> ir.Expr:
        pieces = backend.list_tools([tool.spec for tool in self.tools], self.tool_format)
        parts = tuple(protocol.Text(text, markup) for text, markup in pieces)
        return ir.AppendChildren((Addition("".join(part.text for part in parts), parts),))

    def __repr__(self) -> str:
        return f"ToolList({[tool.name for tool in self.tools]!r})"


def tool_call(
    name: str,
    tools: Sequence[object],
    parallel: bool = False,
    choice: Literal["auto", "required", "none"] | str = "auto",
    *,
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    seed: int | None = None,
    tool_format: ToolFormat | str | None = None,
) -> ir.Expr:
    """Calls of `tools` by the model, in the model family's own form.

    `choice`: "auto" leaves it to the model whether it calls or answers in text, "required" means
    at least one call, "none" means text, a tool's name means a call of that tool. With `parallel`
    there may be several calls. Every call parses and validates against its tool's schema; stop
    strings do not apply, since they could cut one. `s[name]` is the text as it came,
    `s.value(name)` the list of `ToolCall`s, `s.run_tools()` executes them.

    `tool_format` overrides the form that the model's chat template tells. A vendor's API takes
    the tools beside the prompt and has a form of its own; what it does not enforce, `s.value`
    and `s.run_tools()` find.
    """
    where = f"tool_call({name!r})"
    offered = _tools(tools, where)
    names = [one.name for one in offered]
    if choice not in (*CHOICES, *names):
        known = ", ".join(map(repr, (*CHOICES, *names)))
        raise ValueError(f"{where}: choice={choice!r}: expected one of {known}")
    sampling = SamplingOptions(
        max_tokens=DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        seed=seed,
    )
    return ToolCallGen(
        name,
        sampling.checked(where),
        tools=offered,
        parallel=parallel,
        choice=choice,
        tool_format=_format(tool_format),
    )


def tool_list(tools: Sequence[object], *, tool_format: ToolFormat | str | None = None) -> ir.Expr:
    """What the prompt shows of `tools`, in the words that the model's family knows. It belongs
    into the system turn: `s += bl.system("Be brief.\\n" + bl.tool_list(tools))`."""
    return ToolList(_tools(tools, "tool_list()"), _format(tool_format))


def _tools(tools: Sequence[object], where: str) -> tuple[Tool[..., Any], ...]:
    offered = tuple(as_tool(one) for one in tools)
    if not offered:
        raise ValueError(f"{where}: tools={tools!r}: expected a list with at least one tool")
    if len(offered) > protocol.MAX_TAGS:
        raise ValueError(f"{where}: {len(offered)} tools; at most {protocol.MAX_TAGS}")
    names = [one.name for one in offered]
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: two tools have the same name, among {', '.join(names)}")
    return offered


def _format(tool_format: ToolFormat | str | None) -> ToolFormat | None:
    return get_tool_format(tool_format) if isinstance(tool_format, str) else tool_format


def calls_of(value_type: object) -> ToolCalls:
    """The reader of a variable that `tool_call` made."""
    if not isinstance(value_type, ToolCalls):
        raise InvalidRequest("this variable holds no tool calls; generate it with bl.tool_call")
    return value_type
