"""Chat templates: rendered in a sandbox. Called by Tokenizer.

A template is code from a model directory; sandbox.py says what it may do and how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jinja2

from .sandbox import MAX_RENDERED_CHARS, Sandbox, TemplateError

MAX_TEMPLATE_CHARS = 256 * 1024

Message = dict[str, str]
RoleMarkup = dict[str, tuple[str, str]]


class ChatTemplate:
    """One compiled chat template with the special token texts it may refer to."""

    def __init__(self, source: str, variables: dict[str, str]) -> None:
        if len(source) > MAX_TEMPLATE_CHARS:
            raise TemplateError(f"chat template over {MAX_TEMPLATE_CHARS} characters")
        self._sandbox = Sandbox()
        self._variables = variables
        try:
            self._template = self._sandbox.from_string(source)
        except jinja2.TemplateError as error:
            raise TemplateError(f"chat template does not parse: {error}") from None

    def render(
        self, messages: Iterable[Mapping[str, Any]], *, add_generation_prompt: bool = False
    ) -> str:
        """The conversation as one text. Raises TemplateError, whatever the template does."""
        self._sandbox.start()
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
