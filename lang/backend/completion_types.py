"""`gen(dtype=...)` on completion APIs, which take no regular expression: how the value is asked
for, and how it is cut out of what comes. Called by openai.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from branchline.runtime import protocol

from .. import ir
from ..errors import InvalidRequest
from ..values import InvalidOutput


@dataclass(frozen=True)
class Form:
    """A value's pattern, as `gen` made it; `quoted`: the prompt opens the quotes, and the API
    stops where they close."""

    pattern: str
    quoted: bool


_FORMS = {
    pattern: Form(pattern, quoted=pattern == ir.REGEX_STR)
    for pattern in (ir.REGEX_INT, ir.REGEX_FLOAT, ir.REGEX_BOOL, ir.REGEX_STR)
}


def form_of(constraint: protocol.Constraint) -> Form:
    """The form that a dtype asks for. Raises InvalidRequest for every other constraint."""
    form = _FORMS.get(constraint.pattern) if isinstance(constraint, protocol.Regex) else None
    if form is None:
        raise InvalidRequest(f"the API takes no {type(constraint).__name__} constraint")
    return form


def asked(form: Form | None, prompt: str, stops: list[str]) -> dict[str, Any]:
    """Prompt and stops of the request."""
    if form is None:
        return {"prompt": prompt}
    if form.quoted:
        return {"prompt": prompt + '"', "stop": [*stops, '"']}
    # Models begin with a space, and the text is cut behind the value anyway.
    return {"prompt": prompt, "stop": [stop for stop in stops if not stop.isspace()] or None}


def read(form: Form, output: protocol.Output) -> protocol.Output:
    """The output cut to its value. Raises InvalidOutput when it does not begin with one."""
    text = f'"{output.text}"' if form.quoted else output.text.lstrip()
    if form.quoted:
        return msgspec.structs.replace(output, text=text)
    found = re.match(form.pattern, text)
    if found is None:
        raise InvalidOutput(
            f"the API takes no constraint, and {output.text!r} does not begin with what "
            f"{form.pattern!r} matches; say in the prompt what is wanted",
            text=output.text,
        )
    return msgspec.structs.replace(output, text=found[0].rstrip(), finish_reason="stop")
