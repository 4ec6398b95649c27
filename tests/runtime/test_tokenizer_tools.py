"""The role of tool results and the example of a call, found in chat templates."""

from __future__ import annotations

import pytest

from branchline.runtime.tokenizer.roles import separate
from branchline.runtime.tokenizer.template import ChatTemplate
from branchline.runtime.tokenizer.tools import render_tool_call

# The parts of published templates that deal with tools, in the words of each.
QWEN = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\nYou help.<|im_end|>\n' }}"
    "{%- endif %}{%- for message in messages %}"
    "{%- if message.role == 'user' or message.role == 'system'"
    " or (message.role == 'assistant' and not message.tool_calls) %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
    "{%- elif message.role == 'assistant' %}{{- '<|im_start|>' + message.role }}"
    "{%- if message.content %}{{- '\n' + message.content }}{%- endif %}"
    "{%- for tool_call in message.tool_calls %}"
    "{%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}"
    '{{- \'\n<tool_call>\n{"name": "\' }}{{- tool_call.name }}{{- \'", "arguments": \' }}'
    "{{- tool_call.arguments | tojson }}{{- '}\n</tool_call>' }}{%- endfor %}"
    "{{- '<|im_end|>\n' }}{%- elif message.role == 'tool' %}"
    "{%- if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}"
    "{{- '<|im_start|>user' }}{%- endif %}"
    "{{- '\n<tool_response>\n' }}{{- message.content }}{{- '\n</tool_response>' }}"
    "{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\n' }}"
    "{%- endif %}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
LLAMA3 = (
    "{{- bos_token }}{%- for message in messages %}"
    "{%- if not (message.role == 'ipython' or message.role == 'tool'"
    " or 'tool_calls' in message) %}"
    "{{- '<|h|>' + message['role'] + '<|/h|>\n\n' + message['content'] | trim + '<|eot|>' }}"
    "{%- elif 'tool_calls' in message %}{%- if not message.tool_calls|length == 1 %}"
    "{{- raise_exception('one call at a time') }}{%- endif %}"
    "{%- set tool_call = message.tool_calls[0].function %}"
    "{{- '<|h|>assistant<|/h|>\n\n' -}}{{- '{\"name\": \"' + tool_call.name + '\", ' }}"
    "{{- '\"parameters\": ' }}{{- tool_call.arguments | tojson }}{{- '}' }}{{- '<|eot|>' }}"
    "{%- elif message.role == 'tool' or message.role == 'ipython' %}"
    "{{- '<|h|>ipython<|/h|>\n\n' }}{{- message.content }}{{- '<|eot|>' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|h|>assistant<|/h|>\n\n' }}{%- endif %}"
)
MISTRAL = (
    "{{- bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}"
    "{{- '[INST] ' + message['content'] + '[/INST]' }}"
    "{%- elif message.tool_calls is defined and message.tool_calls %}"
    "{{- '[TOOL_CALLS] [' }}{%- for tool_call in message.tool_calls %}"
    "{%- set out = tool_call.function|tojson %}{{- out[:-1] }}"
    "{%- if tool_call.id|length != 9 %}{{- raise_exception('ids have nine characters') }}"
    "{%- endif %}{{- ', \"id\": \"' + tool_call.id + '\"}' }}"
    "{%- if not loop.last %}{{- ', ' }}{%- else %}{{- ']' + eos_token }}{%- endif %}{%- endfor %}"
    "{%- elif message['role'] == 'assistant' %}{{- ' ' + message['content'] + eos_token }}"
    "{%- elif message['role'] == 'tool' %}"
    "{{- '[TOOL_RESULTS] {\"content\": ' + message.content|string + ', ' }}"
    "{{- '\"call_id\": \"' + message.tool_call_id + '\"}[/TOOL_RESULTS]' }}"
    "{%- else %}{{- raise_exception('only user, assistant and tool') }}{%- endif %}{%- endfor %}"
)
WITHOUT = (
    "{% for m in messages %}{% if m['role'] in ('system', 'user', 'assistant') %}"
    "{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% else %}"
    "{{ raise_exception('unknown role') }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
SILENT = WITHOUT.replace("{{ raise_exception('unknown role') }}", "")
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("source", "prefix", "suffix"),
    [
        (QWEN, "<|im_start|>user\n<tool_response>\n", "\n</tool_response><|im_end|>\n"),
        (LLAMA3, "<|h|>ipython<|/h|>\n\n", "<|eot|>"),
        (
            MISTRAL,
            '[TOOL_RESULTS] {"content": ',
            ', "call_id": "000000000"}[/TOOL_RESULTS]',
        ),
    ],
)
def test_the_turn_of_a_tool_result_is_what_the_template_writes(source, prefix, suffix):
    assert separate(ChatTemplate(source, VARIABLES), "<s>").roles["tool"] == (prefix, suffix)


@pytest.mark.parametrize("source", [WITHOUT, SILENT])
def test_a_template_that_takes_no_tool_results_has_no_such_role(source):
    markup = separate(ChatTemplate(source, VARIABLES), "<s>")
    assert set(markup.roles) == {"system", "user", "assistant"}


def test_a_template_that_names_the_tool_in_the_turn_has_no_markup_for_it():
    source = WITHOUT.replace(
        "{{ raise_exception('unknown role') }}", "{{ m.name + ': ' + m.content + '\n' }}"
    )
    assert "tool" not in separate(ChatTemplate(source, VARIABLES), "<s>").roles


@pytest.mark.parametrize(
    ("source", "example"),
    [
        (LLAMA3, '{"name": "example_tool", "parameters": {"key": "value"}}'),
        (
            MISTRAL,
            '[TOOL_CALLS] [{"name": "example_tool", "arguments": {"key": "value"}, '
            '"id": "000000000"}]',
        ),
        (WITHOUT, None),
    ],
)
def test_the_example_of_a_call_is_what_the_template_writes(source, example):
    template = ChatTemplate(source, VARIABLES)
    assert render_tool_call(template, separate(template, "<s>")) == example


def test_a_call_may_open_the_turn_where_the_newline_would_stand():
    template = ChatTemplate(QWEN, VARIABLES)
    assert render_tool_call(template, separate(template, "<s>")) == (
        '<tool_call>\n{"name": "example_tool", "arguments": {"key": "value"}}\n</tool_call>'
    )
