"""How model families write tool calls: one description each, from which the grammar, the parser
and the list of tools in the prompt are made. Used by the language's tool_calls.py and by the HTTP
APIs; plain data and text, so that the language may import it.

A description is data. `constraint` turns it into what the runtime holds the output to, `parse`
reads what came out, `listing` says what the prompt shows; there is no code per family.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from . import protocol
from .schema_outline import outline


class ToolSpec(NamedTuple):
    """A tool as models see it; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


class RawCall(NamedTuple):
    """A call as it stands in an output: the tool's name and the JSON text of its arguments."""

    name: str
    arguments: str


@dataclass(frozen=True)
class ToolFormat:
    """One family's way of writing calls.

    A call is `before_name`, the name, `before_arguments`, the arguments as a JSON object,
    `after_arguments`; several stand with `separator` between `opening` and `closing`. `trigger`
    is how calls begin: free text may stand "before" it, or "instead" of calls. The prompt shows
    the tools between `tools_before` and `tools_after`, each as a "signature" on a line or as
    "json"; `tools_joint` stands between a system message and them. Control tokens of the model may
    be written in all of these.
    """

    name: str
    trigger: str
    before_name: str
    before_arguments: str
    after_arguments: str
    opening: str = ""
    separator: str = ""
    closing: str = ""
    text: Literal["before", "instead"] = "before"
    tools_joint: str = "\n"
    tools_before: str = ""
    tools_between: str = "\n"
    tools_after: str = ""
    tool_style: Literal["signature", "json"] = "json"
    tool_indent: int | None = None

    def render(self, calls: Sequence[RawCall]) -> str:
        """The text of calls."""
        return "".join(text for text, _ in self.pieces(calls))

    def pieces(self, calls: Sequence[RawCall]) -> list[tuple[str, bool]]:
        """The same in pieces: (text, whether it is the format's own and may hold control
        tokens)."""
        pieces = [(self.opening, True)]
        for index, (name, arguments) in enumerate(calls):
            before = self.before_name if index == 0 else self.separator + self.before_name
            pieces += [(before, True), (name, False), (self.before_arguments, True)]
            pieces += [(arguments, False), (self.after_arguments, True)]
        return [*pieces, (self.closing, True)]

    def constraint(
        self, tools: Sequence[ToolSpec], *, max_calls: int | None, text: bool
    ) -> protocol.Tagged:
        """What the runtime holds an output to: calls of these tools, and free text if allowed.
        Without tools there is free text only."""
        return protocol.Tagged(
            tags=[
                protocol.Tag(
                    begin=self.before_name + tool.name + self.before_arguments,
                    schema=_compact(tool.parameters),
                    end=self.after_arguments,
                )
                for tool in tools
            ],
            opening=self.opening,
            separator=self.separator,
            closing=self.closing,
            max_values=max_calls,
            text=self.text if text else "none",
            trigger=self.trigger,
        )

    def parse(self, output: str) -> tuple[str, list[RawCall]]:
        """The free text and the calls of an output. White space in and around the format's own
        text may differ. Raises ValueError when something begins like a call and is none."""
        if self.text == "before":
            start = output.find(self.trigger)
        else:
            start = 0 if output.startswith(self.trigger[0]) else -1
        if start < 0:
            return output, []
        calls: list[RawCall] = []
        place = _after(output, start, self.opening)
        while True:
            call, place = self._parse_call(output, place)
            calls.append(call)
            end = _matched(output, place, self.closing)
            if end is not None and not output[end:].strip():
                return output[:start], calls
            place = _after(output, place, self.separator)

    def _parse_call(self, output: str, place: int) -> tuple[RawCall, int]:
        # Old SentencePiece tokenizers write a space after every control token.
        start = end = _spaces(output, _after(output, place, self.before_name))
        while end < len(output) and (output[end].isalnum() or output[end] in "_.-"):
            end += 1
        name = output[start:end]
        start = _spaces(output, _after(output, end, self.before_arguments))
        try:
            value, end = json.JSONDecoder().raw_decode(output, start)
        except RecursionError:
            raise ValueError(f"the arguments of {name!r} nest too deeply") from None
        if not isinstance(value, dict):
            raise ValueError(f"the arguments of {name!r} are no JSON object")
        return RawCall(name, output[start:end]), _after(output, end, self.after_arguments)

    def listing(
        self, tools: Sequence[ToolSpec], *, match_patterns: bool = True
    ) -> list[tuple[str, bool]]:
        """What the prompt shows of the tools, in pieces like those of `pieces`.
        `match_patterns` as in `outline`. Raises ValueError for a schema without end."""
        pieces = [(self.tools_before, True)]
        for index, tool in enumerate(tools):
            if index:
                pieces.append((self.tools_between, True))
            pieces.append((self._shown(tool, match_patterns), False))
        return [*pieces, (self.tools_after, True)]

    def _shown(self, tool: ToolSpec, match_patterns: bool) -> str:
        if self.tool_style == "signature":
            return signature_line(tool, match_patterns=match_patterns)
        function = {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        }
        described = {"type": "function", "function": function}
        return json.dumps(described, ensure_ascii=False, indent=self.tool_indent)


def signature_line(tool: ToolSpec, *, match_patterns: bool = True) -> str:
    """A tool on one line: `get_weather(city: string, day?: date): Weather of a city`."""
    schema = tool.parameters
    shared = {key: schema[key] for key in ("$defs",) if key in schema}
    required = schema.get("required", ())

    def shown(kind: dict[str, Any] | bool) -> str:
        if isinstance(kind, bool):
            return "any"
        return outline({**kind, **shared}, match_patterns=match_patterns)

    parameters = ", ".join(
        f"{name}{'' if name in required else '?'}: {shown(kind)}"
        for name, kind in schema.get("properties", {}).items()
    )
    line = f"{tool.name}({parameters})"
    description = " ".join(tool.description.split())
    return f"{line}: {description}" if description else line


EMBEDDED = ToolFormat(
    name="embedded",
    trigger="<tool_call>",
    before_name='<tool_call>{"name":"',
    before_arguments='","arguments":',
    after_arguments="}</tool_call>",
    tools_before="Tools:\n",
    tool_style="signature",
)
HERMES = ToolFormat(
    name="hermes",
    trigger="<tool_call>",
    before_name='<tool_call>\n{"name": "',
    before_arguments='", "arguments": ',
    after_arguments="}\n</tool_call>",
    separator="\n",
    tools_joint="\n\n",
    tools_before=(
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
    ),
    tools_after=(
        "\n</tools>\n\nFor each function call, return a json object with function name and "
        "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
        '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
    ),
)
LLAMA3 = ToolFormat(
    name="llama3",
    trigger="{",
    before_name='{"name": "',
    before_arguments='", "parameters": ',
    after_arguments="}",
    separator="; ",
    text="instead",
    tools_before=(
        "You have access to the following functions. To call a function, please respond with "
        'JSON for a function call.Respond in the format {"name": function name, "parameters": '
        "dictionary of argument name and its value}.Do not use variables.\n\n"
    ),
    tools_between="\n\n",
    tools_after="\n\n",
    tool_indent=4,
)
MISTRAL = ToolFormat(
    name="mistral",
    trigger="[TOOL_CALLS]",
    opening="[TOOL_CALLS] [",
    before_name='{"name": "',
    before_arguments='", "arguments": ',
    after_arguments="}",
    separator=", ",
    closing="]",
    tools_before="[AVAILABLE_TOOLS] [",
    tools_between=", ",
    tools_after="][/AVAILABLE_TOOLS]",
)
MISTRAL_ARGS = ToolFormat(
    name="mistral-args",
    trigger="[TOOL_CALLS]",
    before_name="[TOOL_CALLS]",
    before_arguments="[ARGS]",
    after_arguments="",
    tools_before="[AVAILABLE_TOOLS][",
    tools_between=", ",
    tools_after="][/AVAILABLE_TOOLS]",
)
JSON = ToolFormat(
    name="json",
    trigger="{",
    before_name='{"name":"',
    before_arguments='","arguments":',
    after_arguments="}",
    separator="\n",
    text="instead",
    tools_before=(
        'Call a tool by writing {"name":"<tool>","arguments":{...}} on a line of its own, or '
        "answer in plain text. Tools:\n"
    ),
)

_formats = {one.name: one for one in (EMBEDDED, HERMES, LLAMA3, MISTRAL, MISTRAL_ARGS, JSON)}


def register_tool_format(tool_format: ToolFormat) -> None:
    """Make a format known by its name, replacing one of the same name. Models whose chat template
    writes calls in this form use it from now on."""
    _formats[tool_format.name] = tool_format
    _detected.cache_clear()


def get_tool_format(name: str) -> ToolFormat:
    """The format of that name."""
    if name not in _formats:
        raise KeyError(f"no tool format {name!r}; known: {', '.join(sorted(_formats))}")
    return _formats[name]


def tool_format_for(model: protocol.ModelInfo) -> ToolFormat:
    """The format of a model: the one that writes calls as the model's own chat template does.
    "json" where the template writes none."""
    return _detected(model.tool_call_example)


@lru_cache(maxsize=64)
def _detected(example: str | None) -> ToolFormat:
    if example is None:
        return JSON
    name, arguments = protocol.EXAMPLE_TOOL, protocol.EXAMPLE_ARGUMENTS
    written = [RawCall(name, _compact(arguments)), RawCall(name, json.dumps(arguments))]
    for one in _formats.values():
        if any(one.render([call]) == example for call in written):
            return one
    # Templates add ids, or differ in white space; what begins the call is still theirs.
    for one in _formats.values():
        if one.text == "before" and one.trigger in example and _reads(one, example):
            return one
    for one in _formats.values():
        if example.startswith(one.trigger) or (one.text == "before" and one.trigger in example):
            return one
    return JSON


def _reads(tool_format: ToolFormat, example: str) -> bool:
    try:
        return len(tool_format.parse(example)[1]) == 1
    except ValueError:
        return False


def _after(output: str, place: int, literal: str) -> int:
    """The place after a text of the format."""
    end = _matched(output, place, literal)
    if end is None:
        found = output[place : place + 40]
        raise ValueError(f"expected {literal!r} at character {place}, found {found!r}")
    return end


def _matched(output: str, place: int, literal: str) -> int | None:
    """The place after a text of the format, white space aside; None where it does not stand."""
    for char in literal:
        if char.isspace():
            continue
        place = _spaces(output, place)
        if output[place : place + 1] != char:
            return None
        place += 1
    return place


def _spaces(output: str, place: int) -> int:
    """The place after white space."""
    while output[place : place + 1].isspace():
        place += 1
    return place


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
