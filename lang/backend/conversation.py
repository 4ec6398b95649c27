"""A prompt as a conversation: chat APIs take messages and not text. Called by openai.py and
anthropic.py.

A role's prefix and suffix are the only markup of a prompt, so the turns can be told from it exactly
and no text inside them can open or close one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from branchline.runtime import protocol

from ..chat_template import ChatTemplate, ChatTemplateStyle
from ..errors import InvalidRequest
from ..picture import Picture, content_of


@dataclass(frozen=True)
class Conversation:
    """The finished turns, and the open one's role and content so far. Contents are text, or
    OpenAI's content parts where a user's turn has pictures."""

    messages: list[dict[str, Any]]
    role: str | None
    content: str


def check_template(template: ChatTemplate) -> ChatTemplate:
    """The template, or ValueError when turns cannot be told apart by it."""
    prefixes = [prefix for prefix, _ in template.role_prefix_and_suffix.values()]
    if template.style is not ChatTemplateStyle.PLAIN or len({*prefixes, ""}) <= len(prefixes):
        raise ValueError(
            f"the chat template {template.name!r} cannot serve a chat API: each role needs a "
            "prefix of its own; leave chat_template out, or take 'chatml'"
        )
    return template


def conversation(prompt: Sequence[protocol.Part], template: ChatTemplate) -> Conversation:
    """The turns of a prompt, or InvalidRequest for text that stands outside of them."""
    messages: list[dict[str, Any]] = []
    role: str | None = None
    content = ""
    # Of the open turn, before `content`.
    pieces: list[str | Picture] = []
    for part in prompt:
        if isinstance(part, protocol.Tokens):
            raise InvalidRequest("token ids cannot be sent to a chat API")
        if isinstance(part, Picture):
            if role != "user":
                raise InvalidRequest(
                    "a picture stands "
                    + (f"in the {role} turn" if role else "outside of a turn")
                    + "; a chat API takes them in user turns only",
                    pointer="image",
                )
            pieces += [content, part]
            content = ""
            continue
        if not part.markup:
            content += part.text
            continue
        markup = part.text
        while markup:
            if role is None:
                if content.strip():
                    raise _outside(content)
                role, markup = _open(markup, template)
                content = ""
            else:
                suffix = template.role_prefix_and_suffix[role][1]
                if not markup.startswith(suffix):
                    raise InvalidRequest(f"{markup!r} does not end the {role} turn")
                markup = markup[len(suffix) :]
                messages.append({"role": role, "content": content_of([*pieces, content])})
                role, content, pieces = None, "", []
    if role is None and content.strip():
        raise _outside(content)
    return Conversation(messages, role, content)


def turn_to_write(
    prompt: Sequence[protocol.Part], template: ChatTemplate, kind: str, *, prefill: bool
) -> Conversation:
    """The conversation up to an open assistant turn, which the model is to write.

    With `prefill` the turn may have begun with text that the model goes on from.
    """
    told = conversation(prompt, template)
    if told.role != "assistant":
        raise InvalidRequest(
            f"{kind}: a chat model writes assistant turns; put the gen inside assistant(...)"
        )
    if told.content.strip() and not prefill:
        raise InvalidRequest(
            f"{kind}: a chat model's turn is one gen; {told.content!r} stands before it. Say in "
            "the user turn how to begin, or give the program num_api_spec_tokens"
        )
    return told


def _open(markup: str, template: ChatTemplate) -> tuple[str, str]:
    # The longest first: one role's prefix may begin with another's.
    pairs = [(prefix, role) for role, (prefix, _) in template.role_prefix_and_suffix.items()]
    for prefix, role in sorted(pairs, key=lambda pair: -len(pair[0])):
        if markup.startswith(prefix):
            return role, markup[len(prefix) :]
    raise InvalidRequest(f"{markup!r} begins no turn of the chat template {template.name!r}")


def _outside(content: str) -> InvalidRequest:
    return InvalidRequest(
        f"a chat model takes text inside of system, user and assistant turns only; {content!r} "
        "stands outside"
    )
