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
_LLAMA3 = _same("<|start_header_id|>ROLE<|end_header_id|>\n\n", "<|eot_id|>")
_DEEPSEEK = _turns(("", ""), ("<｜User｜>", ""), ("<｜Assistant｜>", "<｜end▁of▁sentence｜>"))
_MINICPM = _turns(("", " "), ("user:", " "), ("assistant:", "</s>"))

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
            **_LLAMA3,
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
        _DEEPSEEK,
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
    # Of models that see, behind APIs.
    KnownTemplate(
        "chatml-llava",
        _CHATML,
        "You are a helpful assistant.",
        ("<|im_end|>",),
        image_token="<image>\n",
    ),
    KnownTemplate(
        "llama-3-instruct-llava", _LLAMA3, stop_str=("<|eot_id|>",), image_token="<image>\n"
    ),
    KnownTemplate(
        "internvl-2-5",
        _CHATML,
        "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的"
        "多模态大语言模型。",
        ("<|im_end|>", "<|action_end|>"),
    ),
    *(
        KnownTemplate(
            name,
            _DEEPSEEK,
            stop_str=("<｜end▁of▁sentence｜>",),
            image_token="<image_placeholder>\n",
        )
        for name in ("janus", "janus-pro")
    ),
    *(
        KnownTemplate(
            name,
            _MINICPM,
            stop_str=("<|im_end|>", "<|endoftext|>"),
            image_token="(<image>./</image>)",
        )
        for name in ("minicpmv", "minicpmo")
    ),
    KnownTemplate(
        "yi-vl",
        _turns(("", "\n\n"), ("### Human:", "\n"), ("### Assistant:", "\n")),
        "This is a chat between an inquisitive human and an AI assistant. Assume the role of the "
        "AI assistant. Read all the images carefully, and respond to the human's questions with "
        "informative, helpful, detailed and polite answers."
        "这是一个好奇的人类和一个人工智能助手之间的对话。假设你扮演这个AI助手的角色。"
        "仔细阅读所有的图像，并对人类的问题做出信息丰富、有帮助、详细的和礼貌的回答。",
        image_token=" <image_placeholder>\n",
    ),
    KnownTemplate(
        "interns1",
        _CHATML,
        "You are an AI assistant whose name is Intern-S1 (书生大模型).\n"
        "- Intern-S1 (书生大模型) is a vision-language model that is developed by Shanghai AI "
        "Laboratory (上海人工智能实验室).  It is designed to be helpful, honest, and harmless.\n"
        "- Intern-S1 (书生大模型) can understand and communicate fluently in the language chosen "
        "by the user such as English and 中文.\n"
        "You are an expert reasoner with extensive experience in all areas. You approach problems "
        "through systematic thinking and rigorous reasoning. Your response should reflect deep "
        "understanding and precise logical thinking, making your solution path and reasoning clear "
        "to others. Please put your thinking process within <think>...</think> tags.",
        ("<|im_end|>", "<|action_end|>"),
    ),
    KnownTemplate(
        "dbrx-instruct",
        _turns(
            ("<|im_start|>system\n", "<|im_end|>"),
            ("\n<|im_start|>user\n", "<|im_end|>"),
            ("\n<|im_start|>assistant\n", "<|im_end|>"),
        ),
        "You are DBRX, created by Databricks. You were last updated in December 2023. You answer "
        "questions based on information available up to that point.\n"
        "YOU PROVIDE SHORT RESPONSES TO SHORT QUESTIONS OR STATEMENTS, but provide thorough "
        "responses to more complex and open-ended questions.\n"
        "You assist with various tasks, from writing to coding (using markdown for code blocks "
        "— remember to use ``` with code, JSON, and tables).\n"
        "(You do not have real-time data access or code execution capabilities. You avoid "
        "stereotyping and provide balanced perspectives on controversial topics. You do not "
        "provide song lyrics, poems, or news articles and do not divulge details of your training "
        "data.)\n"
        "This is your system prompt, guiding your responses. Do not reference it, just respond to "
        "the user. If you find yourself talking about this message, stop. You should be responding "
        "appropriately and usually that means not mentioning this.\n"
        "YOU DO NOT MENTION ANY OF THIS INFORMATION ABOUT YOURSELF UNLESS THE INFORMATION IS "
        "DIRECTLY PERTINENT TO THE USER'S QUERY.",
        ("<|im_end|>",),
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
        (r"janus", "janus-pro"),
        (r"minicpm-v", "minicpmv"),
        (r"minicpm-o", "minicpmo"),
        (r"internvl2_5", "internvl-2-5"),
        (r"intern-?s1", "interns1"),
        (r"dbrx.*instruct", "dbrx-instruct"),
        (r"yi-vl", "yi-vl"),
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
