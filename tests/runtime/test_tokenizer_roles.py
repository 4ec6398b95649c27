"""Chat templates taken apart, and kept from doing harm."""

from __future__ import annotations

import itertools

import pytest

from branchline.runtime.tokenizer.roles import separate
from branchline.runtime.tokenizer.template import ChatTemplate, TemplateError

CHATML = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\nYou help.<|im_end|>\n' }}"
    "{%- endif %}{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' + m.content "
    "+ '<|im_end|>' + '\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
LLAMA3 = (
    "{% for m in messages %}{% set c = '<|h|>' + m['role'] + '<|/h|>\n\n' + m['content'] | trim "
    "+ '<|eot|>' %}{% if loop.index0 == 0 %}{% set c = bos_token + c %}{% endif %}{{ c }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|h|>assistant<|/h|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{% for m in messages %}"
    "{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<turn>' + role + '\n' + m['content'] | trim + '</turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<turn>model\n'}}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% elif m['role'] == 'assistant' %}"
    "{{ m['content'] + eos_token }}{% else %}{{ raise_exception('user and assistant only') }}"
    "{% endif %}{% endfor %}"
)
PHI = (
    "{% for m in messages %}{{'<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
    "{% set start = '<<SYS>>' + messages[0]['content'] + '<</SYS>>' %}{% else %}"
    "{% set rest = messages %}{% set start = '' %}{% endif %}{% for m in rest %}"
    "{% set c = start + m['content'] if loop.first else m['content'] %}"
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + c + ' [/INST]' }}"
    "{% else %}{{ ' ' + c + ' ' + eos_token }}{% endif %}{% endfor %}"
)
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
SEPARABLE = {
    "chatml": CHATML,
    "qwen": QWEN,
    "llama 3": LLAMA3,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "phi": PHI,
}


@pytest.mark.parametrize("name", SEPARABLE)
def test_the_parts_spell_prompts_as_the_template_does(name):
    template = ChatTemplate(SEPARABLE[name], VARIABLES)
    markup = separate(template, "<s>")
    assert markup is not None
    turns = itertools.cycle(["user", "assistant"])
    for count in (1, 3, 5):
        talk = [
            {"role": role, "content": f"text {index}"}
            for index, role in zip(range(count), turns, strict=False)
        ]
        turns = itertools.cycle(["user", "assistant"])
        if "system" in markup.roles:
            talk = [{"role": "system", "content": "be brief"}, *talk]
        prompt = template.render(talk, add_generation_prompt=True)
        assert prompt == markup.compose(talk) + markup.roles["assistant"][0]


def test_a_default_system_prompt_is_found():
    assert separate(ChatTemplate(QWEN, {}), "").default_system_prompt == "You help."
    assert separate(ChatTemplate(CHATML, {}), "").default_system_prompt is None


def test_a_template_without_a_system_role_has_none():
    assert "system" not in separate(ChatTemplate(GEMMA, VARIABLES), "<s>").roles


def test_a_template_that_puts_the_system_prompt_into_the_user_turn_is_not_separable():
    assert separate(ChatTemplate(LLAMA2, VARIABLES), "<s>") is None


@pytest.mark.parametrize("source", ["constant", "{{ messages }}", "{{ messages[9].content }}"])
def test_templates_that_make_no_sense_are_not_separable(source):
    assert separate(ChatTemplate(source, {}), "") is None


def test_a_generation_block_is_transparent():
    marked = CHATML.replace("{{'<|im_start|>'", "{% generation %}{{'<|im_start|>'").replace(
        "'<|im_end|>\n'}}", "'<|im_end|>\n'}}{% endgeneration %}"
    )
    assert separate(ChatTemplate(marked, {}), "") == separate(ChatTemplate(CHATML, {}), "")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ 'A' * 10 ** 9 }}",
        "{{ 10 ** 9 * 'A' }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 9 ** 999999999 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'x' * 999 }}{% endfor %}",
        "{% for a in range(9999999) %}{% endfor %}",
        "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{{ raise_exception('no') }}",
        "{{ messages.append(1) }}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_hostile_template_ends_in_an_error(source, monkeypatch):
    monkeypatch.setattr("branchline.runtime.tokenizer.sandbox.MAX_RENDER_S", 0.2)
    with pytest.raises(TemplateError):
        ChatTemplate(source, {}).render([])


def test_a_template_that_does_not_parse_is_an_error():
    with pytest.raises(TemplateError, match="does not parse"):
        ChatTemplate("{% if %}", {})
    with pytest.raises(TemplateError, match="characters"):
        ChatTemplate("x" * 300_000, {})
