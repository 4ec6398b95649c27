"""What a state has so far: its text, the prompt parts that stand for it, its messages and the
open role. Plain data, changed by executor.py only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from branchline.runtime.protocol import Part, Text, Tokens

from .chat_template import ChatTemplate
from .errors import InternalError, InvalidRequest
from .picture import Picture, content_of

# A picture and where it stands in a text: its token begins there.
Placed = tuple[int, Picture]


@dataclass(frozen=True)
class Span:
    """Text that the model made: `text[start:end]`, for the variable `name`."""

    start: int
    end: int
    name: str | None


@dataclass(frozen=True)
class Addition:
    """What a transcript gains at once: text, the parts that stand for it, and what is where in it,
    counted from its own beginning."""

    text: str
    parts: tuple[Part, ...]
    spans: tuple[Span, ...] = ()
    pictures: tuple[Placed, ...] = ()


@dataclass
class Transcript:
    """`parts` is what is sent. Generated output stays in it as the tokens that were generated,
    so that what the runtime has cached is found again to the token."""

    text: str = ""
    parts: list[Part] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    role: str | None = None
    role_start: int = 0
    spans: list[Span] = field(default_factory=list)
    pictures: list[Placed] = field(default_factory=list)

    def branch(self) -> Transcript:
        """A copy that grows on its own."""
        return Transcript(
            self.text,
            list(self.parts),
            list(self.messages),
            self.role,
            self.role_start,
            list(self.spans),
            list(self.pictures),
        )

    def add_text(self, text: str, *, markup: bool = False) -> None:
        self.text += text
        self._add_part(Text(text, markup))

    def add_output(self, text: str, token_ids: list[int], healed_chars: int = 0) -> None:
        """Generated text; without token ids (a backend that tells none) it is plain text. The
        tokens stand for the last `healed_chars` characters of the text before, too."""
        if healed_chars and token_ids:
            last = self.parts.pop()
            if not isinstance(last, Text) or len(last.text) < healed_chars:
                raise InternalError(f"{healed_chars} characters of {last!r} cannot be healed")
            self._add_part(Text(last.text[:-healed_chars], last.markup))
        self.text += text
        self._add_part(Tokens(list(token_ids)) if token_ids else Text(text))

    def add(self, addition: Addition) -> None:
        """Append what was made elsewhere, such as what a branch added (`since`)."""
        offset = len(self.text)
        self.spans += [_moved(span, offset) for span in addition.spans]
        self.pictures += [(at + offset, picture) for at, picture in addition.pictures]
        self.text += addition.text
        for part in addition.parts:
            self._add_part(part)

    def mark(self, start: int, name: str | None) -> None:
        """What was added from `start` on is the model's."""
        if start < len(self.text):
            self.spans.append(Span(start, len(self.text), name))

    def begin_role(self, role: str, template: ChatTemplate) -> None:
        """Open a turn. A conversation that starts without a system turn gets the template's."""
        if self.role is not None:
            raise InvalidRequest(
                f"Nested roles are not allowed: {role!r} begins inside {self.role!r}"
            )
        if not self.messages and role != "system" and template.default_system_prompt:
            self.begin_role("system", template)
            self.add_text(template.default_system_prompt)
            self.end_role("system", template)
        prefix, _ = _surroundings(template, role, self.messages)
        self.add_text(prefix, markup=True)
        self.role = role
        self.role_start = len(self.text)

    def end_role(self, role: str, template: ChatTemplate) -> None:
        """Close the open turn and note its message."""
        if self.role != role:
            raise InvalidRequest(f"role {role!r} ends, but the open role is {self.role!r}")
        content = self._content()
        _, suffix = _surroundings(template, role, self.messages)
        self.add_text(suffix, markup=True)
        self.messages.append({"role": role, "content": content})
        self.role = None

    def since(self, start: Transcript) -> Addition:
        """What was added to this one after it branched from `start`."""
        parts = self.parts[len(start.parts) :]
        if start.parts:
            # New text may have been merged into the part that was the last one then.
            before, now = start.parts[-1], self.parts[len(start.parts) - 1]
            if isinstance(before, Text) and isinstance(now, Text) and now.text != before.text:
                parts.insert(0, Text(now.text[len(before.text) :], now.markup))
            elif isinstance(before, Tokens) and isinstance(now, Tokens) and now.ids != before.ids:
                parts.insert(0, Tokens(now.ids[len(before.ids) :]))
        offset = len(start.text)
        return Addition(
            self.text[offset:],
            tuple(parts),
            tuple(_moved(span, -offset) for span in self.spans[len(start.spans) :]),
            tuple((at - offset, one) for at, one in self.pictures[len(start.pictures) :]),
        )

    def _content(self) -> str | list[dict[str, Any]]:
        """The open turn's, as a message has it."""
        pieces: list[str | Picture] = []
        end = self.role_start
        for start, picture in self.pictures:
            if start >= self.role_start:
                pieces += [self.text[end:start], picture]
                end = start + len(picture.text)
        return content_of([*pieces, self.text[end:]])

    def _add_part(self, part: Part) -> None:
        """Append, merging with a last part of the same kind: one stretch is tokenized as one."""
        if not (part.text if isinstance(part, Text) else part.ids):
            return
        last = self.parts[-1] if self.parts else None
        if type(part) is Text and type(last) is Text and part.markup == last.markup:
            self.parts[-1] = Text(last.text + part.text, part.markup)
        elif isinstance(part, Tokens) and isinstance(last, Tokens):
            self.parts[-1] = Tokens(last.ids + part.ids)
        else:
            self.parts.append(part)


def _moved(span: Span, offset: int) -> Span:
    return Span(span.start + offset, span.end + offset, span.name)


def _surroundings(
    template: ChatTemplate, role: str, messages: list[dict[str, Any]]
) -> tuple[str, str]:
    try:
        return template.get_prefix_and_suffix(role, messages)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
