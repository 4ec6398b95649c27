"""Splitting a reasoning model's output into its thinking and its answer. Used by
`separate_reasoning` through api.py and the executor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReasoningFormat:
    """The tags around the thinking. With `starts_inside` the model's template has already opened
    the thinking, so the output begins within it."""

    model_type: str
    begin: str = "<think>"
    end: str = "</think>"
    starts_inside: bool = False

    def split(self, text: str) -> tuple[str, str]:
        """(thinking, answer) of a whole output. Thinking that was cut off leaves no answer."""
        stripped = text.lstrip()
        if not stripped.startswith(self.begin) and not (self.starts_inside or self.end in text):
            return "", text
        body = stripped.removeprefix(self.begin)
        thinking, found, answer = body.partition(self.end)
        return thinking.strip(), answer.strip() if found else ""


_FORMATS = {
    form.model_type: form
    for form in (
        ReasoningFormat("deepseek-r1", starts_inside=True),
        ReasoningFormat("deepseek-v3"),
        ReasoningFormat("qwen3"),
        ReasoningFormat("qwen3-thinking", starts_inside=True),
        ReasoningFormat("glm45"),
        ReasoningFormat("kimi", begin="◁think▷", end="◁/think▷"),
        ReasoningFormat("step3", starts_inside=True),
    )
}


def reasoning_format(model_type: str | None) -> ReasoningFormat:
    """The format of a model type, or ValueError with the known ones."""
    if model_type is None or model_type.lower() not in _FORMATS:
        raise ValueError(
            f"separate_reasoning: unknown model_type {model_type!r}; known: {', '.join(_FORMATS)}"
        )
    return _FORMATS[model_type.lower()]
