"""Splitting thinking from answers."""

from __future__ import annotations

import pytest

from branchline.lang.reasoning import reasoning_format


@pytest.mark.parametrize(
    ("model_type", "output", "thinking", "answer"),
    [
        ("qwen3", "<think>hm</think>42", "hm", "42"),
        ("qwen3", "\n<think>\nhm\n</think>\n\n42", "hm", "42"),
        ("qwen3", "42", "", "42"),
        ("qwen3", "hm</think>42", "hm", "42"),
        ("qwen3", "<think>cut", "cut", ""),
        ("deepseek-r1", "hm</think>42", "hm", "42"),
        ("deepseek-r1", "cut", "cut", ""),
        ("kimi", "◁think▷hm◁/think▷42", "hm", "42"),
        ("Qwen3", "<think></think>42", "", "42"),
    ],
)
def test_an_output_is_thinking_and_answer(model_type, output, thinking, answer):
    assert reasoning_format(model_type).split(output) == (thinking, answer)
