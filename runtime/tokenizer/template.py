"""Chat templates: rendered in a sandbox, and taken apart into per-role markup.

Called by Tokenizer. A template is code from a model directory: it runs in jinja2's immutable
sandbox, which stops attribute tricks but not resource use, so time, output size, ranges and
string repetition are bounded here as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_TEMPLATE_CHARS = 256 * 1024
MAX_RENDERED_CHARS = 1024 * 1024
MAX_RENDER_S = 2.0

Message = dict[str, str]
RoleMarkup = dict[str, tuple[str, str]]


class TemplateError(ValueError):
    """The template does not parse, refuses the messages, or costs too much."""


class _GenerationTag(jinja2.ext.Extension):
    """Transformers' `{% generation %}` block marks trained text; here it is transparent."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's own class attribute)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox with a clock: lookups and calls check the deadline, products their size."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_GenerationTag, jinja2.ext.loopcontrols],
        )
        self.deadline_s = float("inf")
        self.filters["tojson"] = _to_json
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = time.strftime

    def check_clock(self) -> None:
        if time.monotonic() > self.deadline_s:
            raise TemplateError(f"the chat template ran for more than {MAX_RENDER_S} s")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.check_clock()
        sized = next((side for side in (left, right) if isinstance(side, (str, list, tuple))), None)
        count = right if sized is left else left
        if operator == "*" and sized is not None and isinstance(count, int):
            if len(sized) * count > MAX_RENDERED_CHARS:
                raise TemplateError("the chat template repeats a string too often")
        elif operator == "%" and isinstance(left, str):
            raise TemplateError("the chat template formats with %, which is not supported")
        elif operator == "**" and isinstance(right, int) and right > 64:
            raise TemplateError("the chat template computes a power over 64")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        self.check_clock()
        return super().getattr(obj, attribute)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        self.check_clock()
        return super().call(*args, **kwargs)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Transformers' `tojson`: unlike jinja2's own it does not escape for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


class ChatTemplate:
    """One compiled chat template with the special token texts it may refer to."""

    def __init__(self, source: str, variables: dict[str, str]) -> None:
        if len(source) > MAX_TEMPLATE_CHARS:
            raise TemplateError(f"chat template over {MAX_TEMPLATE_CHARS} characters")
        self._sandbox = _Sandbox()
        self._variables = variables
        try:
            self._template = self._sandbox.from_string(source)
        except jinja2.TemplateError as error:
            raise TemplateError(f"chat template does not parse: {error}") from None

    def render(
        self, messages: Iterable[Mapping[str, Any]], *, add_generation_prompt: bool = False
    ) -> str:
        """The conversation as one text. Raises TemplateError, whatever the template does."""
        self._sandbox.deadline_s = time.monotonic() + MAX_RENDER_S
        pieces: list[str] = []
        size = 0
        try:
            for piece in self._template.generate(
                messages=list(messages),
                add_generation_prompt=add_generation_prompt,
                **self._variables,
            ):
                self._sandbox.check_clock()
                size += len(piece)
                if size > MAX_RENDERED_CHARS:
                    raise TemplateError(f"chat template wrote over {MAX_RENDERED_CHARS} characters")
                pieces.append(piece)
        except TemplateError:
            raise
        except Exception as error:  # a template is foreign code and may raise anything
            raise TemplateError(f"chat template failed: {type(error).__name__}: {error}") from None
        return "".join(pieces)
