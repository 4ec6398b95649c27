"""Take a chat template apart into (prefix, suffix) per role; called by Tokenizer.

Programs build conversations piece by piece, so the markup round each message must not depend on
its neighbours. Templates are rendered with sentinels for the contents; what stands between the
sentinels is split into suffix and prefix, and the parts are accepted only if they reproduce the
template's own output on several conversations.
"""

from __future__ import annotations

from dataclasses import dataclass

from .sandbox import TemplateError
from .template import ChatTemplate, Message, RoleMarkup
from .tools import TOOL_RESULT

# Letters and digits only: templates trim, split and search in contents.
_SYSTEM, _USER, _ASSISTANT, _SECOND, _RESULT = (f"Zq{index}content{index}qZ" for index in range(5))


@dataclass(frozen=True, slots=True)
class ChatMarkup:
    """What a chat template puts where.

    prelude: text before the first message (usually the start token, often empty).
    default_system_prompt: content of the system message that the template adds by itself when
    a conversation has none; None when it adds none.
    """

    roles: RoleMarkup
    prelude: str
    default_system_prompt: str | None

    def compose(self, messages: list[Message]) -> str:
        """The conversation as the parts spell it; equals the template's rendering."""
        default = self.default_system_prompt
        if default is not None and (not messages or messages[0]["role"] != "system"):
            messages = [{"role": "system", "content": default}, *messages]
        pieces = [self.prelude]
        for message in messages:
            prefix, suffix = self.roles[message["role"]]
            pieces += [prefix, message["content"], suffix]
        return "".join(pieces)


def _talk(*turns: tuple[str, str]) -> list[Message]:
    return [
        {"role": role, "content": content, **(TOOL_RESULT if role == "tool" else {})}
        for role, content in turns
    ]


def _gaps(text: str, contents: list[str]) -> list[str] | None:
    """The stretches round the contents, in order; None unless each occurs exactly once."""
    gaps = []
    for content in contents:
        before, found, text = text.partition(content)
        if not found or content in text:
            return None
        gaps.append(before)
    return [*gaps, text]


def separate(template: ChatTemplate, bos_text: str) -> ChatMarkup | None:
    """The markup of each role, or None when the template cannot be taken apart."""
    user, second = ("user", _USER), ("user", _SECOND)
    assistant = ("assistant", _ASSISTANT)
    try:
        talk = template.render(_talk(user, assistant, second))
        prompt = template.render(_talk(user, assistant, second), add_generation_prompt=True)
        ended = template.render(_talk(user, assistant))
    except TemplateError:
        return None
    gaps = _gaps(talk, [_USER, _ASSISTANT, _SECOND])
    end_gaps = _gaps(ended, [_USER, _ASSISTANT])
    if gaps is None or end_gaps is None:
        return None
    # The start token may open the text or, as in Llama 2, every user turn.
    for prelude in dict.fromkeys((bos_text, "")):
        if gaps[0].startswith(prelude):
            opening = prompt[len(talk) :] if prompt.startswith(talk) else ""
            markup = _separate_after(template, prelude, gaps, end_gaps[-1], opening)
            if markup is not None:
                return _with_tool(template, markup)
    return None


def _separate_after(
    template: ChatTemplate, prelude: str, gaps: list[str], assistant_end: str, opening: str
) -> ChatMarkup | None:
    """Split the gaps of a user, assistant, user conversation that starts with `prelude`.

    assistant_end: what follows a last assistant message. opening: the generation prompt, when it
    is simply appended.
    """
    user, second = ("user", _USER), ("user", _SECOND)
    assistant, system = ("assistant", _ASSISTANT), ("system", _SYSTEM)
    start, reply, again, user_end = gaps
    candidates = [(user_end, assistant_end)]
    # A template may write the separator before each further message rather than after each.
    first_prefix = start[len(prelude) :]
    if again.endswith(first_prefix):
        suffix = again[: len(again) - len(first_prefix)]
        if opening and reply.endswith(opening):
            candidates.append((reply[: len(reply) - len(opening)], suffix))
        candidates.append((suffix, suffix))
    for user_suffix, assistant_suffix in candidates:
        if not (reply.startswith(user_suffix) and again.startswith(assistant_suffix)):
            continue
        roles: RoleMarkup = {
            "user": (again[len(assistant_suffix) :], user_suffix),
            "assistant": (reply[len(user_suffix) :], assistant_suffix),
        }
        markup = _with_system(template, roles, prelude, start, [system, user])
        if markup is not None and _reproduces(template, markup, [system, user, assistant, second]):
            return markup
    return None


def _with_system(
    template: ChatTemplate,
    roles: RoleMarkup,
    prelude: str,
    start: str,
    turns: list[tuple[str, str]],
) -> ChatMarkup | None:
    """Add the system role where the template has one, and find its default system prompt."""
    user_prefix = roles["user"][0]
    if not start.endswith(user_prefix) or not start.startswith(prelude):
        return None
    opening = start[len(prelude) : len(start) - len(user_prefix)]
    try:
        gaps = _gaps(template.render(_talk(*turns)), [_SYSTEM, _USER])
    except TemplateError:  # the template has no system role
        return ChatMarkup(roles, prelude + opening, None)
    if gaps is None or not gaps[0].startswith(prelude) or not gaps[1].endswith(user_prefix):
        return None
    prefix = gaps[0][len(prelude) :]
    suffix = gaps[1][: len(gaps[1]) - len(user_prefix)]
    roles = {"system": (prefix, suffix), **roles}
    if not opening:
        return ChatMarkup(roles, prelude, None)
    if not (opening.startswith(prefix) and opening.endswith(suffix)):
        return None
    return ChatMarkup(roles, prelude, opening[len(prefix) : len(opening) - len(suffix)])


def _with_tool(template: ChatTemplate, markup: ChatMarkup) -> ChatMarkup:
    """Add the role of tool results where the template has one that stands by itself."""
    turns = [("user", _USER), ("assistant", _ASSISTANT), ("tool", _RESULT), ("user", _SECOND)]
    try:
        gaps = _gaps(template.render(_talk(*turns)), [content for _, content in turns])
    except TemplateError:  # the template has no such role
        return markup
    reply_end, next_start = markup.roles["assistant"][1], markup.roles["user"][0]
    if gaps is None or not (gaps[2].startswith(reply_end) and gaps[3].endswith(next_start)):
        return markup
    tool = (gaps[2][len(reply_end) :], gaps[3][: len(gaps[3]) - len(next_start)])
    with_tool = ChatMarkup(
        {**markup.roles, "tool": tool}, markup.prelude, markup.default_system_prompt
    )
    # A template that leaves the turn out, or names the tool in it, has no markup of its own for it.
    if tool == ("", "") or any(TOOL_RESULT["name"] in text for text in tool):
        return markup
    talks = [turns[:3], turns]
    return with_tool if _spells(template, with_tool, talks) else markup


def _reproduces(template: ChatTemplate, markup: ChatMarkup, turns: list[tuple[str, str]]) -> bool:
    """Whether the parts spell prompts as the template does, from the first to the third turn.

    Conversations end with a user message, as prompts do. Some templates write an end of text
    where no generation prompt is asked for; some leave out a last separator: both are harmless.
    """
    if "system" not in markup.roles:
        turns = turns[1:]
    return _spells(template, markup, [turns, turns[:-2], turns[-3:], turns[-3:-2]])


def _spells(template: ChatTemplate, markup: ChatMarkup, talks: list[list[tuple[str, str]]]) -> bool:
    for talk in talks:
        messages = _talk(*talk)
        try:
            rendered = template.render(messages)
            prompt = template.render(messages, add_generation_prompt=True)
        except TemplateError:
            return False
        composed = markup.compose(messages)
        if not (prompt.startswith(composed) or composed.startswith(rendered)):
            return False
    return True
