"""`@bl.tool`: an annotated function as a tool that models may call. Used by programs and by
tool_calls.py and tool_run.py."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from functools import cached_property, partial, update_wrapper
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, overload

from branchline.runtime.tool_formats import ToolSpec

from .sampling import checked_timeout
from .schema import json_schema_of, type_adapter

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

CHOICES = ("auto", "required", "none")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_SECTION = re.compile(r"(args|arguments|parameters)\s*:\s*$", re.IGNORECASE)
_DESCRIBED = re.compile(r"\s*(?::param\s+)?(\w+)\s*(?:\([^)]*\))?\s*:\s*(\S.*)")


class Tool(Generic[Arguments, Result]):
    """A function that models may call; still callable as before.

    `name` and `description` are what models see, `parameters` the JSON Schema of the arguments.
    """

    # False for a tool that only describes what others run.
    runs: bool = True

    def __init__(
        self,
        func: Callable[Arguments, Result],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout: float | None = None,
    ) -> None:
        self.func = func
        inner = _inner(func)
        self.name = checked_name(
            name if name is not None else str(getattr(inner, "__name__", type(inner).__name__))
        )
        self.timeout_s = checked_timeout(timeout, f"tool {self.name!r}")
        text, self._documented = _read_docstring(inspect.getdoc(inner) or "")
        self.description = text if description is None else description
        self._parameters = _checked_parameters(func, self.name)
        update_wrapper(self, func, updated=())

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return self.func(*args, **kwargs)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments: an object with one property per parameter, those
        without a default required, and no others."""
        return json_schema_of(self._arguments_type)

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.description, self.parameters)

    def validate(self, arguments: str) -> dict[str, Any]:
        """The arguments of a call, given as JSON text, as the types that the function asks for.
        Raises ValueError (pydantic's ValidationError)."""
        return dict(type_adapter(self._arguments_type).validate_json(arguments))

    @cached_property
    def _arguments_type(self) -> Any:
        """A TypedDict of the parameters, which pydantic turns into a schema and a validator."""
        import typing_extensions
        from pydantic import Field

        inner = inspect.unwrap(_inner(self.func))
        function = inner if inspect.isroutine(inner) else type(inner).__call__
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except NameError as error:
            raise TypeError(
                f"tool {self.name!r}: {error}: annotations that are text are looked up in the "
                "module; define the type there"
            ) from error
        fields: dict[str, Any] = {}
        for parameter in self._parameters:
            kind = hints[parameter.name]
            optional = parameter.default is not parameter.empty
            if optional and parameter.default is None:
                # A model leaves the argument out; null would be a second way to say the same.
                kind = _without_none(kind)
            if (described := self._documented.get(parameter.name)) is not None:
                kind = Annotated[kind, Field(description=described)]
            mark = typing_extensions.NotRequired if optional else typing_extensions.Required
            fields[parameter.name] = mark[kind]
        make: Any = typing_extensions.TypedDict
        kind = make(self.name, fields)
        kind.__pydantic_config__ = {"extra": "forbid"}
        return kind

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"


@overload
def tool(func: Callable[Arguments, Result], /) -> Tool[Arguments, Result]: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, timeout: float | None = None
) -> Callable[[Callable[Arguments, Result]], Tool[Arguments, Result]]: ...
def tool(
    func: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
) -> Any:
    """Decorator, with or without parentheses: makes a tool of a function, plain or async.

    Every parameter needs a type (what `gen(schema=...)` takes). The docstring's first paragraph
    describes the tool, its `Args:` section (or `:param x:` lines) the parameters. `timeout`
    bounds each call in seconds.
    """
    if func is not None:
        return Tool(func)

    def decorate(func: Callable[Arguments, Result]) -> Tool[Arguments, Result]:
        return Tool(func, name=name, description=description, timeout=timeout)

    return decorate


def as_tool(candidate: object) -> Tool[..., Any]:
    """A tool as it is, or made of a function or a dict."""
    if isinstance(candidate, Tool):
        return candidate
    if isinstance(candidate, Mapping):
        from .schema_tools import tool_from_schema

        return tool_from_schema(candidate)
    if not callable(candidate):
        raise TypeError(
            f"tools: {candidate!r} is no tool; give functions, decorated with @bl.tool or not, or "
            "dicts with a name and the JSON Schema of the parameters"
        )
    return Tool(candidate)


def checked_name(name: str) -> str:
    """A name that every format can write, or ValueError."""
    if not _NAME.fullmatch(name) or name in CHOICES:
        raise ValueError(
            f"tool name {name!r}: expected a letter or _, then letters, digits and _ . - "
            f"(64 at most), and none of {', '.join(CHOICES)}"
        )
    return name


def _inner(func: Callable[..., Any]) -> Callable[..., Any]:
    """What a partial calls: it has the name, the docstring and the types."""
    while isinstance(func, partial):
        func = func.func
    return func


def _checked_parameters(func: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    if isinstance(func, type):
        raise TypeError(f"tool {name!r}: a class; give a function that makes one of it")
    parameters = list(inspect.signature(func).parameters.values())
    for parameter in parameters:
        where = f"tool {name!r}: parameter {parameter}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{where}: a model calls with named arguments only; declare each")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(f"{where}: a model calls with named arguments; remove the slash")
        if parameter.annotation is parameter.empty:
            raise TypeError(f"{where}: needs a type, such as {parameter.name}: str")
    return parameters


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) is Annotated:
        inner, *metadata = typing.get_args(kind)
        return Annotated[(_without_none(inner), *metadata)]
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    members = tuple(one for one in typing.get_args(kind) if one is not type(None))
    return typing.Union[members]  # noqa: UP007 - of a tuple there is no other spelling


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph, and what is said of each parameter."""
    described: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        if _SECTION.match(line):
            inside = True
        elif line and not line[0].isspace() and not line.startswith(":param"):
            inside = False
        elif (inside or line.startswith(":param")) and (found := _DESCRIBED.match(line)):
            described[found[1]] = found[2].strip()
    first = text.split("\n\n")[0]
    if _SECTION.match(first.splitlines()[0] if first else "") or first.startswith(":param"):
        first = ""
    return " ".join(first.split()), described
