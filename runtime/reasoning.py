"""Splitting a reasoning model's output into its thinking and its answer. Used by
the language's `separate_reasoning` and by the HTTP APIs; no imports, like tool_formats.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class ReasoningFormat:
    """The tags around the thinking. With `starts_inside` the model's template has already opened
    the thinking, so the output begins within it. With `end_tells` an output without the begin tag
    is thinking, too, where an end tag comes up later. `bare` are the tags as they read without
    the control tokens in them, which outputs leave out unless they are asked to keep them."""

    model_type: str
    begin: str = "<think>"
    end: str = "</think>"
    starts_inside: bool = False
    end_tells: bool = True
    bare: tuple[str, str] | None = None

    def split(self, text: str) -> tuple[str, str]:
        """(thinking, answer) of a whole output. Thinking that was cut off leaves no answer."""
        stripped = text.lstrip()
        if self.bare is not None and not stripped.startswith(self.begin[0]):
            return self.without_marks().split(text)
        if not (
            stripped.startswith(self.begin)
            or self.starts_inside
            or (self.end_tells and self.end in text)
        ):
            return "", text
        body = stripped.removeprefix(self.begin)
        thinking, found, answer = body.partition(self.end)
        return thinking.strip(), answer.strip() if found else ""

    def splitter(self) -> ReasoningSplitter:
        """For an output that comes in pieces."""
        return ReasoningSplitter(self)

    def without_marks(self) -> ReasoningFormat:
        """The same for outputs without control tokens."""
        begin, end = self.bare or (self.begin, self.end)
        return replace(self, begin=begin, end=end, bare=None)


class ReasoningSplitter:
    """`split` for an output that comes in pieces. What is handed out for the thinking and for the
    answer joins to beginnings of what `split` gives; what is not sure yet is held."""

    def __init__(self, form: ReasoningFormat) -> None:
        self._form = form
        self._phase: Literal["start", "thinking", "answer", "plain"] = "start"
        self._held = ""
        self._shown = False

    def feed(self, text: str) -> tuple[str, str]:
        """(thinking, answer) that are sure with this piece of the output."""
        form = self._form
        self._held += text
        if self._phase == "start":
            begun = self._held.lstrip()
            if form.bare is not None and begun and begun[0] != form.begin[0]:
                form = self._form = form.without_marks()
            if begun.startswith(form.begin):
                self._held = begun.removeprefix(form.begin)
            elif not begun or form.begin.startswith(begun):
                return "", ""
            elif form.starts_inside:
                pass
            elif form.end_tells:
                # Text without a begin tag may yet turn out to be thinking, by its end tag.
                return "", ""
            else:
                self._phase = "plain"
            if self._phase == "start":
                self._phase = "thinking"
        if self._phase == "plain":
            text, self._held = self._held, ""
            return "", text
        thinking = ""
        if self._phase == "thinking":
            body, found, after = self._held.partition(form.end)
            if not found:
                tag = _overlap(body, form.end)
                thinking, kept = self._strip(body[: len(body) - tag])
                self._held = kept + body[len(body) - tag :]
                return thinking, ""
            thinking, _ = self._strip(body)
            self._phase, self._held, self._shown = "answer", after, False
        answer, self._held = self._strip(self._held)
        return thinking, answer

    def finish(self) -> tuple[str, str]:
        """What was held back, now that the output has ended."""
        held, self._held = self._held, ""
        if self._phase == "start":
            return self._form.split(held)
        rest, _ = self._strip(held)
        return (rest, "") if self._phase == "thinking" else ("", rest)

    def _strip(self, text: str) -> tuple[str, str]:
        """What can be shown of a text whose outer white space does not count, and its end that may
        turn out to be outer white space."""
        text = text if self._shown else text.lstrip()
        shown = text.rstrip()
        self._shown = self._shown or bool(shown)
        return shown, text[len(shown) :]


def _overlap(text: str, tag: str) -> int:
    """The length of the longest end of the text that the tag begins with."""
    lengths = range(min(len(text), len(tag) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(tag[:length])), 0)


_FORMATS = {
    form.model_type: form
    for form in (
        ReasoningFormat("deepseek-r1", starts_inside=True),
        ReasoningFormat("deepseek-v3"),
        ReasoningFormat("deepseek-v4"),
        ReasoningFormat("qwen3"),
        ReasoningFormat("qwen3-thinking", starts_inside=True),
        ReasoningFormat("glm45"),
        ReasoningFormat("kimi", begin="◁think▷", end="◁/think▷"),
        ReasoningFormat("kimi_k2"),
        ReasoningFormat("step3", starts_inside=True),
        ReasoningFormat("step3p5", starts_inside=True),
        ReasoningFormat("minimax", starts_inside=True),
        ReasoningFormat("mimo"),
        ReasoningFormat("interns1"),
        ReasoningFormat("nano_v3"),
        ReasoningFormat("nemotron_3"),
        ReasoningFormat("mistral", begin="[THINK]", end="[/THINK]"),
        # Channels: what is said on "analysis" is thinking, "final" is the answer.
        ReasoningFormat(
            "gpt-oss",
            begin="<|channel|>analysis<|message|>",
            end="<|end|><|start|>assistant<|channel|>final<|message|>",
            end_tells=False,
            bare=("analysis", "assistantfinal"),
        ),
    )
}


def reasoning_format(model_type: str | None) -> ReasoningFormat:
    """The format of a model type, or ValueError with the known ones."""
    if model_type is None or model_type.lower() not in _FORMATS:
        raise ValueError(
            f"separate_reasoning: unknown model_type {model_type!r}; known: {', '.join(_FORMATS)}"
        )
    return _FORMATS[model_type.lower()]


def reasoning_tags(template: str) -> tuple[str, str] | None:
    """The tags around thinking that a chat template knows of; None where it knows none."""
    tags = dict.fromkeys((form.begin, form.end) for form in _FORMATS.values())
    return next(((begin, end) for begin, end in tags if end in template), None)


def detected_format(tags: tuple[str, str], answer_prefix: str) -> ReasoningFormat:
    """The format of a model with these tags whose template writes `answer_prefix` in front of
    its answers. Only what begins as thinking is thinking, so that answers stream at once."""
    begin, end = tags
    inside = answer_prefix.rstrip().endswith(begin)
    return ReasoningFormat("detected", begin, end, starts_inside=inside, end_tells=False)
