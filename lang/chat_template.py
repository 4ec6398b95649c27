"""Chat templates: the text that stands before and after the content of each role. The served
model's own template comes first; the named ones here serve models without one, and users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from branchline.runtime import protocol

from . import known_templates

Messages = Sequence[Mapping[str, Any]]


class ChatTemplateStyle(Enum):
    """LLAMA2 folds the system turn into the first user turn."""

    PLAIN = auto()
    LLAMA2 = auto()


@dataclass
class ChatTemplate:
    """Prefix and suffix per role. `stop_str` is added to every call's stop strings."""

    name: str
    default_system_prompt: str | None
    role_prefix_and_suffix: dict[str, tuple[str, str]]
    stop_str: tuple[str, ...] = ()
    image_token: str = "<image>"
    audio_token: str = "<audio>"
    style: ChatTemplateStyle = ChatTemplateStyle.PLAIN
    roles: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.roles = tuple(self.role_prefix_and_suffix)

    def get_prefix_and_suffix(self, role: str, hist_messages: Messages) -> tuple[str, str]:
        """What surrounds the next turn of `role` after the turns in `hist_messages`."""
        if role not in self.role_prefix_and_suffix:
            raise ValueError(
                f"the chat template {self.name!r} has no role {role!r}; "
                f"it has: {', '.join(self.roles)}"
            )
        prefix, suffix = self.role_prefix_and_suffix[role]
        if self.style is ChatTemplateStyle.LLAMA2:
            if role == "system" and not hist_messages:
                user_prefix, _ = self.role_prefix_and_suffix["user"]
                return user_prefix + prefix, suffix
            if role == "user" and [one["role"] for one in hist_messages] == ["system"]:
                return "", self.role_prefix_and_suffix["user"][1]
        return prefix, suffix

    def get_prompt(self, messages: Messages) -> str:
        """The whole conversation as text, with the default system turn where none is given, or one
        whose content is None."""
        prompt = ""
        history: list[Mapping[str, Any]] = []
        for message in messages:
            if message["role"] == "system" and message["content"] is None:
                continue
            if not history and message["role"] != "system" and self.default_system_prompt:
                system = {"role": "system", "content": self.default_system_prompt}
                prefix, suffix = self.get_prefix_and_suffix("system", [])
                prompt += prefix + self.default_system_prompt + suffix
                history.append(system)
            prefix, suffix = self.get_prefix_and_suffix(message["role"], history)
            prompt += prefix + message["content"] + suffix
            history.append(message)
        return prompt


_templates: dict[str, ChatTemplate] = {}
_matchers: list[Callable[[str], str | None]] = []


def register_chat_template(template: ChatTemplate) -> None:
    """Make a template known by its name, replacing one of the same name."""
    _templates[template.name] = template


def register_chat_template_matching_function(matcher: Callable[[str], str | None]) -> None:
    """Add a rule from a model's path to a template's name; used for models without their own
    template, the first rule that answers wins."""
    _matchers.append(matcher)


def get_chat_template(name: str) -> ChatTemplate:
    """The registered template of that name."""
    if name not in _templates:
        raise KeyError(f"no chat template {name!r}; known: {', '.join(sorted(_templates))}")
    return _templates[name]


def get_chat_template_by_model_path(model_path: str) -> ChatTemplate:
    """The template that a matching rule names, registered ones first, or "default"."""
    for matcher in (*_matchers, known_templates.name_for):
        if name := matcher(model_path):
            return get_chat_template(name)
    return get_chat_template("default")


def template_for(model: protocol.ModelInfo) -> ChatTemplate:
    """The model's own template where it has one; names are guessed from paths only where not."""
    if model.role_markup is None:
        return get_chat_template_by_model_path(model.path)
    return ChatTemplate(
        name=model.name,
        default_system_prompt=model.default_system_prompt,
        role_prefix_and_suffix=dict(model.role_markup),
    )


for _known in known_templates.TEMPLATES:
    register_chat_template(
        ChatTemplate(
            _known.name,
            _known.default_system_prompt,
            dict(_known.roles),
            stop_str=_known.stop_str,
            image_token=_known.image_token,
            style=ChatTemplateStyle.LLAMA2 if _known.folds_system else ChatTemplateStyle.PLAIN,
        )
    )
