"""Named chat templates and the registry."""

from __future__ import annotations

import pytest
from scripted import model_info

import branchline as bl
from branchline.lang.chat_template import template_for

CONVERSATION = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "U"},
    {"role": "assistant", "content": "k"},
    {"role": "user", "content": "V"},
]


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("default", "SYSTEM:S\nUSER:U\nASSISTANT:k\nUSER:V\n"),
        (
            "chatml",
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
            "<|im_start|>assistant\nk<|im_end|>\n<|im_start|>user\nV<|im_end|>\n",
        ),
        (
            "llama-2-chat",
            "[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST]k </s><s>[INST] V [/INST]",
        ),
        ("yi-vl", "S\n\n### Human:U\n### Assistant:k\n### Human:V\n"),
        ("janus-pro", "S<｜User｜>U<｜Assistant｜>k<｜end▁of▁sentence｜><｜User｜>V"),
        ("minicpmv", "S user:U assistant:k</s>user:V "),
        (
            "dbrx-instruct",
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>"
            "\n<|im_start|>assistant\nk<|im_end|>\n<|im_start|>user\nV<|im_end|>",
        ),
    ],
)
def test_a_template_renders_a_conversation(name, prompt):
    assert bl.get_chat_template(name).get_prompt(CONVERSATION) == prompt


def test_a_default_system_prompt_is_put_first_when_none_is_given():
    prompt = bl.get_chat_template("qwen").get_prompt([{"role": "user", "content": "U"}])
    assert prompt.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")


def test_a_system_turn_of_none_stands_for_the_default_one():
    system = {"role": "system", "content": None}
    for name in ("qwen", "llama-2-chat"):
        template = bl.get_chat_template(name)
        assert template.get_prompt([system, *CONVERSATION[1:]]) == template.get_prompt(
            CONVERSATION[1:]
        )


@pytest.mark.parametrize(
    ("turns", "prompt"),
    [
        ("user:U user:V", "[INST] U [/INST][INST] V [/INST]"),
        ("system: user:U", "[INST] <<SYS>>\n\n<</SYS>>\n\nU [/INST]"),
        ("assistant:k user:U", "k </s><s>[INST] U [/INST]"),
    ],
)
def test_only_a_system_turn_is_folded_into_the_user_turn_behind_it(turns, prompt):
    messages = [
        dict(zip(("role", "content"), turn.split(":"), strict=True)) for turn in turns.split()
    ]
    assert bl.get_chat_template("llama-2-chat").get_prompt(messages) == prompt


def test_an_unknown_name_is_an_error_with_the_known_ones():
    with pytest.raises(KeyError, match=r"no chat template 'nope'; known: .*chatml"):
        bl.get_chat_template("nope")


def test_a_model_with_a_template_keeps_it():
    template = template_for(model_info(default_system_prompt="Be kind."))
    assert template.role_prefix_and_suffix["user"] == ("<|user|>", "<|end|>\n")
    assert template.default_system_prompt == "Be kind."


def test_a_model_without_a_template_gets_the_one_that_a_rule_names_or_the_default():
    bl.register_chat_template_matching_function(
        lambda path: "chatml" if "my-chatml-model" in path else None
    )
    assert template_for(model_info(role_markup=None)).name == "default"
    named = model_info(role_markup=None, path="/models/my-chatml-model")
    assert template_for(named).name == "chatml"


def test_a_registered_template_is_found_by_name():
    template = bl.ChatTemplate("shout", None, {"user": ("USER! ", "\n")}, stop_str=("!",))
    bl.register_chat_template(template)
    assert bl.get_chat_template("shout") is template


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("meta-llama/Llama-2-7b-chat-hf", "llama-2-chat"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama-3-instruct"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral"),
        ("Qwen/Qwen3-4B", "qwen"),
        ("Qwen/Qwen2.5-7B-base", "default"),
        ("lmsys/vicuna-7b-v1.5", "vicuna_v1.1"),
        ("google/gemma-2-9b-it", "gemma-it"),
        ("deepseek-ai/DeepSeek-V3", "deepseek-v3"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "default"),
        ("deepseek-ai/Janus-Pro-7B", "janus-pro"),
        ("openbmb/MiniCPM-V-2_6", "minicpmv"),
        ("OpenGVLab/InternVL2_5-8B", "internvl-2-5"),
        ("01-ai/Yi-VL-6B", "yi-vl"),
        ("internlm/Intern-S1", "interns1"),
        ("databricks/dbrx-instruct", "dbrx-instruct"),
        ("some/unknown-model", "default"),
    ],
)
def test_a_models_path_names_its_template(path, name):
    assert bl.get_chat_template_by_model_path(path).name == name
