"""Sampling parameters that cannot be served are refused with a pointer to the field."""

from __future__ import annotations

import math
from typing import Any

import pytest

from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import LogprobParams, SamplingParams
from branchline.runtime.sampling import check, check_logprobs


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"temperature": -0.1}, "/sampling/temperature"),
        ({"temperature": math.nan}, "/sampling/temperature"),
        ({"temperature": math.inf}, "/sampling/temperature"),
        ({"temperature": "1"}, "/sampling/temperature"),
        ({"top_p": 0.0}, "/sampling/top_p"),
        ({"top_p": math.nan}, "/sampling/top_p"),
        ({"top_k": -2}, "/sampling/top_k"),
        ({"min_p": math.nan}, "/sampling/min_p"),
        ({"frequency_penalty": 2.1}, "/sampling/frequency_penalty"),
        ({"presence_penalty": math.nan}, "/sampling/presence_penalty"),
        ({"repetition_penalty": math.nan}, "/sampling/repetition_penalty"),
        ({"repetition_penalty": 0.0}, "/sampling/repetition_penalty"),
        ({"max_new_tokens": 2**40}, "/sampling/max_new_tokens"),
        ({"max_new_tokens": 3, "min_new_tokens": 4}, "/sampling/min_new_tokens"),
        ({"seed": -1}, "/sampling/seed"),
        ({"stop": ["x", ""]}, "/sampling/stop/1"),
        ({"stop_token_ids": [1, 100]}, "/sampling/stop_token_ids/1"),
        ({"logit_bias": {100: 1.0}}, "/sampling/logit_bias/100"),
        ({"logit_bias": {1: math.nan}}, "/sampling/logit_bias"),
        ({"min_p": object()}, "/sampling"),
    ],
)
def test_a_bad_field_is_named(params: dict[str, Any], pointer: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(SamplingParams(**params), vocab_size=100)
    assert caught.value.code == "invalid_request"
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"max_new_tokens": 0},
        {"temperature": 0.0, "top_k": 0, "top_p": 1.0},
        {"min_new_tokens": 5, "max_new_tokens": 5},
        {"stop": ["\n"], "stop_token_ids": [99], "logit_bias": {0: -100.0}},
    ],
)
def test_good_parameters_pass(params: dict[str, Any]) -> None:
    check(SamplingParams(**params), vocab_size=100)


def test_prompt_logprobs_beyond_the_prompt_are_refused() -> None:
    check_logprobs(LogprobParams(prompt_start=5), 5)
    with pytest.raises(RequestError) as caught:
        check_logprobs(LogprobParams(prompt_start=6), 5)
    assert caught.value.pointer == "/logprobs/prompt_start"
