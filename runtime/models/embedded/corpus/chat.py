"""ChatML text of a conversation, exactly as the tokenizer's chat template renders it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .schema import Field, Value, compact_json

TOOLS_HEADING = "Tools:"
CHAT_TEMPLATE = (
    "{%- macro type_of(s) -%}"
    "{%- if s.enum is defined -%}"
    "{%- for o in s.enum -%}{{ o | tojson }}{%- if not loop.last -%}|{%- endif -%}{%- endfor -%}"
    "{%- elif s.format is defined and s.format == 'date' -%}date"
    "{%- elif s.anyOf is defined -%}"
    "{%- for o in s.anyOf -%}{{ type_of(o) }}{%- if not loop.last -%}|{%- endif -%}{%- endfor -%}"
    "{%- elif s.type == 'array' -%}[{{ type_of(s['items']) if s['items'] is defined else 'any' }}]"
    "{%- else -%}{{ s.type if s.type is defined else 'any' }}{%- endif -%}"
    "{%- endmacro -%}"
    "{%- macro tool_lines() -%}"
    "{{- 'Tools:\n' -}}"
    "{%- for tool in tools -%}"
    "{%- set f = tool.function if tool.function is defined else tool -%}"
    "{%- set p = f.parameters if f.parameters is defined else {} -%}"
    "{%- set required = p.required if p.required is defined else [] -%}"
    "{{- '\n' if not loop.first else '' -}}"
    "{{- f.name -}}("
    "{%- for key, s in (p.properties if p.properties is defined else {}).items() -%}"
    "{{ key }}{% if key not in required %}?{% endif %}: {{ type_of(s) }}"
    "{%- if not loop.last -%}{{ ', ' }}{%- endif -%}"
    "{%- endfor -%})"
    "{%- if f.description is defined -%}{{ ': ' + f.description }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- endmacro -%}"
    "{%- set has_tools = tools is defined and tools -%}"
    "{%- if has_tools and (not messages or messages[0].role != 'system') -%}"
    "{{- '<|im_start|>system\n' + tool_lines() + '<|im_end|>\n' -}}"
    "{%- endif -%}"
    "{%- for m in messages -%}"
    "{{- '<|im_start|>' + m.role + '\n' -}}"
    "{%- if m.content is defined and m.content is not none -%}"
    "{%- if m.content is string -%}{{- m.content -}}"
    "{%- else -%}{%- for part in m.content -%}{{- part.text if part.text is defined else '' -}}"
    "{%- endfor -%}{%- endif -%}"
    "{%- endif -%}"
    "{%- if loop.first and has_tools and m.role == 'system' -%}"
    "{{- '\n' + tool_lines() -}}"
    "{%- endif -%}"
    "{%- if m.tool_calls is defined and m.tool_calls -%}"
    "{%- for call in m.tool_calls -%}"
    "{%- set c = call.function if call.function is defined else call -%}"
    "{{- '<tool_call>{\"name\":' + (c.name | tojson) + ',\"arguments\":' -}}"
    "{{- c.arguments if c.arguments is string"
    " else (c.arguments | tojson(separators=(',', ':'))) -}}"
    "{{- '}</tool_call>' -}}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<|im_end|>\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


@dataclass(frozen=True)
class Param:
    """A parameter of a tool; kind as in JSON schema, or "date"; options for an enum."""

    name: str
    kind: str
    options: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Tool:
    """A tool as the prompt shows it."""

    name: str
    description: str
    params: tuple[Param, ...]


@dataclass
class Message:
    """One turn."""

    role: str
    content: str


@dataclass
class Sample:
    """A conversation to learn from; each assistant turn is an answer to learn.

    task names the skill; gold_turns gives the indices of the turns by which the skill is measured.
    fields, tools, choices: what a program would hold those turns to, where it would.
    """

    task: str
    messages: list[Message]
    gold_turns: list[int] = field(default_factory=list)
    choices: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    tools: tuple[Tool, ...] = ()


def tool_line(tool: Tool) -> str:
    """One tool on one line, as in get_weather(city: string, day?: date): Weather of a city."""
    params = ", ".join(
        f"{p.name}{'?' if p.optional else ''}: "
        + ("|".join(compact_json(o) for o in p.options) if p.options else p.kind)
        for p in tool.params
    )
    return f"{tool.name}({params}): {tool.description}"


def tool_lines(tools: list[Tool]) -> str:
    """The part of the system turn that lists the tools."""
    return "\n".join([TOOLS_HEADING, *map(tool_line, tools)])


def tool_call(name: str, arguments: dict[str, Value]) -> str:
    """The text of a call."""
    return f"<tool_call>{compact_json({'name': name, 'arguments': arguments})}</tool_call>"


def chatml(messages: list[Message]) -> str:
    """The whole conversation."""
    return "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in messages)
