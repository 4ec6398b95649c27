"""The named chat templates as data, and which model names they belong to. Registered by
chat_template.py; they serve models that bring no template of their own, and users who ask by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class KnownTemplate:
    """`roles` maps a role to what stands before and after its content; "tool" is the turn of a
    tool's result, where the family has one. `folds_system`: the system turn goes into the first
    user turn. `image_token` stands for a picture."""

    name: str
    roles: dict[str, tuple[str, str]]
    default_system_prompt: str | None = None
    stop_str: tuple[str, ...] = ()
    folds_system: bool = False
    image_token: str = "<image>"


def _same(prefix: str, suffix: str) -> dict[str, tuple[str, str]]:
    """The same markup for each role, ROLE standing for its name."""
    return {role: (prefix.replace("ROLE", role), suffix) for role in _ROLES}


def _turns(
    system: tuple[str, str], user: tuple[str, str], assistant: tuple[str, str]
) -> dict[str, tuple[str, str]]:
    return {"system": system, "user": user, "assistant": assistant}


_CHATML = _same("<|im_start|>ROLE\n", "<|im_end|>\n")

TEMPLATES = (
    KnownTemplate("default", _turns(("SYSTEM:", "\n"), ("USER:", "\n"), ("ASSISTANT:", "\n"))),
    KnownTemplate(
        "chatml",
        {**_CHATML, "tool": ("<|im_start|>tool\n", "<|im_end|>\n")},
        stop_str=("<|im_end|>",),
    ),
    KnownTemplate(
        "qwen",
        {
            **_CHATML,
            "tool": (
                "<|im_start|>user\n<tool_response>\n",
                "\n</tool_response><|im_end|>\n",
            ),
        },
        "You are a helpful assistant.",
        ("<|im_end|>",),
    ),
    KnownTemplate(
        "qwen2-vl",
        _CHATML,
        "You are a helpful assistant.",
        ("<|im_end|>",),
        image_token="<|vision_start|><|image_pad|><|vision_end|>",
    ),
    KnownTemplate(
        "llama-2-chat",
        _turns(("<<SYS>>\n", "\n<</SYS>>\n\n"), ("[INST] ", " [/INST]"), ("", " </s><s>")),
        folds_system=True,
    ),
    KnownTemplate(
        "llama-3-instruct",
        {
            **_same("<|start_header_id|>ROLE<|end_header_id|>\n\n", "<|eot_id|>"),
            "tool": ("<|start_header_id|>ipython<|end_header_id|>\n\n", "<|eot_id|>"),
        },
        stop_str=("<|eot_id|>",),
        image_token="<|image|>",
    ),
    KnownTemplate(
        "llama-4",
        {
            **_same("<|header_start|>ROLE<|header_end|>\n\n", "<|eot|>"),
            "tool": ("<|header_start|>ipython<|header_end|>\n\n", "<|eot|>"),
        },
        stop_str=("<|eot|>",),
        image_token="<|image|>",
    ),
    KnownTemplate(
        "mistral",
        {
            **_turns(
                ("[SYSTEM_PROMPT] ", " [/SYSTEM_PROMPT]"), ("[INST] ", " [/INST]"), ("", " </s>")
            ),
            "tool": ("[TOOL_RESULTS] ", " [/TOOL_RESULTS]"),
        },
        stop_str=("</s>",),
    ),
    KnownTemplate(
        "gemma-it",
        _turns(
            ("", ""),
            ("<start_of_turn>user\n", "<end_of_turn>\n"),
            ("<start_of_turn>model\n", "<end_of_turn>\n"),
        ),
        image_token="<start_of_image>",
    ),
    KnownTemplate(
        "vicuna_v1.1",
        _turns(("", " "), ("USER:", " "), ("ASSISTANT:", "</s>")),
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions.",
        image_token=" <image>\n",
    ),
    KnownTemplate(
        "yi-1.5",
        _turns(
            ("", ""),
            ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
            ("", "<|im_end|>\n"),
        ),
        stop_str=("<|im_end|>",),
    ),
    KnownTemplate(
        "deepseek-v3",
        _turns(("", ""), ("<｜User｜>", ""), ("<｜Assistant｜>", "<｜end▁of▁sentence｜>")),
        stop_str=("<｜end▁of▁sentence｜>",),
    ),
    KnownTemplate(
        "granite-3-instruct",
        _same("<|start_of_role|>ROLE<|end_of_role|>", "<|end_of_text|>"),
        stop_str=("<|end_of_text|>",),
    ),
    KnownTemplate(
        "c4ai-command-r",
        {
            role: (f"<|START_OF_TURN_TOKEN|><|{speaker}_TOKEN|>", "<|END_OF_TURN_TOKEN|>")
            for role, speaker in zip(_ROLES, ("SYSTEM", "USER", "CHATBOT"), strict=True)
        },
    ),
    KnownTemplate("claude", _turns(("", ""), ("\n\nHuman: ", ""), ("\n\nAssistant:", ""))),
)

# The first that is found in the lower-case path decides.
_RULES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"llama-?4", "llama-4"),
        (r"llama-?3.*(instruct|chat)", "llama-3-instruct"),
        (r"llama-?2.*chat|codellama.*instruct", "llama-2-chat"),
        (r"vicuna|llava-v1\.5|llava-next-video-7b", "vicuna_v1.1"),
        (r"(mistral|mixtral|ministral).*instruct", "mistral"),
        (r"deepseek-?(v3|r1)(?!.*distill)", "deepseek-v3"),
        (r"qwen.*vl", "qwen2-vl"),
        # A Qwen of the reasoning era is a chat model whatever its name ends in; a base is not.
        (r"(qwen|qwq)(?!.*base)", "qwen"),
        (r"yi-.*chat", "yi-1.5"),
        (r"gemma.*-it\b", "gemma-it"),
        (r"granite.*instruct", "granite-3-instruct"),
        (r"command-r", "c4ai-command-r"),
        (r"claude", "claude"),
    )
)


def name_for(model_path: str) -> str | None:
    """The template's name that goes with a model's path or hub id, if any is known."""
    path = model_path.lower()
    return next((name for pattern, name in _RULES if pattern.search(path)), None)
