"""A conversation as prompt parts, in the markup of the model's own chat template. Used by chat.py
and tokens.py."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

from ...protocol import ModelInfo, Part, Text
from .errors import refuse

_MAX_MESSAGES: Final = 2_048


class TextContent(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """A piece of text; pieces of one message are joined."""

    text: str


class ImageContent(Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    """Refused: the model reads text."""

    image_url: Any = None


class Message(Struct, kw_only=True, forbid_unknown_fields=True):
    """One turn. `developer` is another name of `system`. The fields after `content` are what
    clients send back of our own answers, where they are null or empty."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextContent | ImageContent] | None = None
    name: str | None = None
    refusal: str | None = None
    annotations: Any = None
    audio: Any = None
    tool_calls: Any = None
    tool_call_id: str | None = None
    function_call: Any = None


def chat_parts(
    messages: list[Message], model: ModelInfo, *, add_generation_prompt: bool = True
) -> list[Part]:
    """The prompt: only the template's own text is markup, contents never are. Raises ApiError."""
    roles = model.role_markup
    if roles is None:
        raise refuse(
            f"the model {model.name!r} has no chat template that can be used; "
            f"send a prompt to /v1/completions",
            "messages",
        )
    if not messages:
        raise refuse("messages is empty; give at least one message", "messages")
    if len(messages) > _MAX_MESSAGES:
        raise refuse(f"{len(messages)} messages; at most {_MAX_MESSAGES} are allowed", "messages")
    turns = [_turn(message, index, list(roles)) for index, message in enumerate(messages)]
    if turns[0][0] != "system" and model.default_system_prompt is not None:
        turns.insert(0, ("system", model.default_system_prompt))
    parts: list[Part] = []
    for role, content in turns:
        prefix, suffix = roles[role]
        parts += [Text(prefix, markup=True), Text(content), Text(suffix, markup=True)]
    if add_generation_prompt:
        parts.append(Text(roles["assistant"][0], markup=True))
    return parts


def _turn(message: Message, index: int, roles: list[str]) -> tuple[str, str]:
    """Role and text of a message."""
    place = f"messages.{index}"
    if message.role in ("tool", "function") or message.tool_calls or message.function_call:
        raise refuse("tool calls are not supported over HTTP", place)
    for name in ("name", "refusal", "audio", "annotations", "tool_call_id"):
        if getattr(message, name):
            raise refuse(f"{name} is not part of this model's template", f"{place}.{name}")
    role = "system" if message.role == "developer" else message.role
    if role not in roles:
        raise refuse(
            f"the model's chat template has no role {role!r}; it has: {', '.join(roles)}",
            f"{place}.role",
        )
    if isinstance(message.content, str):
        return role, message.content
    if message.content is None:
        raise refuse("the message has no content; give a string", f"{place}.content")
    texts = []
    for number, piece in enumerate(message.content):
        if isinstance(piece, ImageContent):
            raise refuse(
                "the model reads text only, and no URL is ever fetched", f"{place}.content.{number}"
            )
        texts.append(piece.text)
    return role, "".join(texts)
