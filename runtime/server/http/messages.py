"""OpenAI's messages as turns of a conversation. Used by chat.py and tokens.py."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from ...tool_formats import RawCall
from .conversation import Turn, checked_arguments
from .errors import refuse
from .tool_fields import ToolCall


class TextContent(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """A piece of text; pieces of one message are joined."""

    text: str


class RefusalContent(Struct, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """A refusal of an earlier answer, which is text like any other."""

    refusal: str


class ImageContent(Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    """Refused: the model reads text."""

    image_url: Any = None


class Message(Struct, kw_only=True, forbid_unknown_fields=True):
    """One turn. `developer` is another name of `system`. A `tool` turn is the result of the call
    `tool_call_id`. Thinking of earlier answers (`reasoning_content`) is not shown to the model;
    the other fields after `content` are what clients send back of our own answers, where they are
    null or empty."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextContent | RefusalContent | ImageContent] | None = None
    name: str | None = None
    refusal: str | None = None
    annotations: Any = None
    audio: Any = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Any = None
    reasoning_content: str | None = None


def turns_of(messages: list[Message]) -> list[Turn]:
    """The turns. Raises ApiError."""
    turns = []
    # Ids of the calls that results may follow; None where none may.
    open_calls: set[str] | None = None
    for index, message in enumerate(messages):
        turns.append(_turn(message, index))
        if message.role == "tool":
            _check_result(message, open_calls, f"messages.{index}")
        else:
            open_calls = (
                {call.id for call in message.tool_calls if call.id} if message.tool_calls else None
            )
    return turns


def _check_result(message: Message, open_calls: set[str] | None, place: str) -> None:
    if open_calls is None:
        raise refuse("a message of the role tool must follow an assistant's tool_calls", place)
    if message.tool_call_id and open_calls and message.tool_call_id not in open_calls:
        raise refuse(
            f"there is no call {message.tool_call_id[:64]!r} before", f"{place}.tool_call_id"
        )


def _turn(message: Message, index: int) -> Turn:
    place = f"messages.{index}"
    role = "system" if message.role == "developer" else message.role
    if role == "function" or message.function_call:
        raise refuse("function calls of this older kind are not supported; use tools", place)
    if role != "tool" and message.name:
        raise refuse("name is not part of this model's template", f"{place}.name")
    for name in ("refusal", "audio", "annotations"):
        if getattr(message, name):
            raise refuse(f"{name} is not part of this model's template", f"{place}.{name}")
    if message.tool_call_id and role != "tool":
        raise refuse("tool_call_id belongs to a message of the role tool", f"{place}.tool_call_id")
    if message.tool_calls and role != "assistant":
        raise refuse("tool_calls belong to a message of the role assistant", f"{place}.tool_calls")
    calls = tuple(
        RawCall(
            call.function.name,
            checked_arguments(
                call.function.arguments, f"{place}.tool_calls.{number}.function.arguments"
            ),
        )
        for number, call in enumerate(message.tool_calls or ())
    )
    return Turn(role, _text(message, place, bool(calls)), place, calls)


def _text(message: Message, place: str, optional: bool) -> str:
    if isinstance(message.content, str):
        return message.content
    if message.content is None:
        if optional:
            return ""
        raise refuse("the message has no content; give a string", f"{place}.content")
    texts = []
    for number, piece in enumerate(message.content):
        if isinstance(piece, ImageContent):
            raise refuse(
                "the model reads text only, and no URL is ever fetched", f"{place}.content.{number}"
            )
        texts.append(piece.refusal if isinstance(piece, RefusalContent) else piece.text)
    return "".join(texts)
