"""What chat templates say of tools; called by Tokenizer and roles.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol import EXAMPLE_ARGUMENTS, EXAMPLE_TOOL
from .sandbox import TemplateError
from .template import ChatTemplate

if TYPE_CHECKING:
    from .roles import ChatMarkup

# Mistral's templates demand ids of nine letters and digits.
_CALL_ID = "000000000"
TOOL_RESULT = {"tool_call_id": _CALL_ID, "name": "Zqtoolnameqz"}
"""What a result says of its call, besides role and content."""


def render_tool_call(template: ChatTemplate, markup: ChatMarkup) -> str | None:
    """The example call as the template writes it in an assistant turn; None when it does not."""
    asked = [{"role": "user", "content": "?"}]
    function = {"name": EXAMPLE_TOOL, "arguments": EXAMPLE_ARGUMENTS}
    call = {"id": _CALL_ID, "type": "function", "function": function}
    prefix, suffix = markup.roles["assistant"]
    try:
        rendered = template.render(
            [*asked, {"role": "assistant", "content": "", "tool_calls": [call]}]
        )
    except TemplateError:
        return None
    # Some templates write a space before an answer, but none before a call.
    before = (markup.compose(asked) + prefix).rstrip()
    if not rendered.startswith(before) or EXAMPLE_TOOL not in rendered:
        return None
    return rendered[len(before) :].lstrip().removesuffix(suffix) or None
