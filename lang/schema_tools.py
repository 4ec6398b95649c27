"""Tools that are given as a schema, the way APIs describe them, instead of as a function. Made by
`bl.tool_from_schema`, and by tools.py of each dict in a list of tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from branchline.runtime.tool_formats import ToolSpec

from .sampling import checked_timeout
from .tools import Tool, checked_name

_NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}


class SchemaTool(Tool[..., Any]):
    """A tool whose arguments are what its schema says: plain JSON values, not Python types."""

    def __init__(
        self,
        definition: Mapping[str, Any],
        func: Callable[..., Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        told = definition.get("function", definition)
        if not isinstance(told, Mapping) or not isinstance(told.get("name"), str):
            raise TypeError(
                f"tools: {definition!r} is no tool; a dict has a name, a description and the JSON "
                'Schema of its parameters, alone or under "function"'
            )
        self.name = checked_name(told["name"])
        self.description = str(told.get("description") or "")
        self.timeout_s = checked_timeout(timeout, f"tool {self.name!r}")
        schema = told.get("parameters", told.get("input_schema")) or _NO_PARAMETERS
        if not isinstance(schema, Mapping):
            raise TypeError(f"tool {self.name!r}: parameters={schema!r}: expected a JSON Schema")
        self._schema = dict(schema)
        self.runs = func is not None
        self.func = self._without_function if func is None else func

    @property
    def parameters(self) -> dict[str, Any]:
        """The schema as it was given."""
        return self._schema

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.description, self._schema)

    def validate(self, arguments: str) -> dict[str, Any]:
        """The arguments of a call, given as JSON text. Raises ValueError saying which is wrong."""
        import jsonschema

        values = json.loads(arguments)
        try:
            jsonschema.validate(values, self._schema)
        except jsonschema.ValidationError as error:
            raise ValueError(f"{error.json_path}: {error.message}") from None
        if not isinstance(values, dict):
            raise ValueError(f"the arguments are {values!r}; expected an object")
        return values

    def _without_function(self, **arguments: Any) -> Any:
        raise TypeError(f"tool {self.name!r} was given as a schema and has no function")


def tool_from_schema(
    definition: Mapping[str, Any],
    func: Callable[..., Any] | None = None,
    *,
    timeout: float | None = None,
) -> SchemaTool:
    """A tool from a dict: `{"name", "description", "parameters"}`, with the JSON Schema of the
    arguments, alone or as `{"type": "function", "function": {...}}`.

    `func` is what `s.run_tools()` calls, with the arguments by name; without it the tool can be
    called by the model, and who runs the program answers. A dict among the tools of `tool_call`
    is such a tool by itself.
    """
    return SchemaTool(definition, func, timeout=timeout)
