"""Calls without a program, through a real runtime process."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import branchline as bl


@pytest.fixture(scope="module")
def runtime(model_dir: Path) -> Iterator[bl.Runtime]:
    options = {"kv_slots": 2048, "num_threads": 1, "attention_backend": "torch"}
    with bl.Runtime(str(model_dir), dtype="float32", **options) as runtime:
        yield runtime


def test_generate_stream_and_program_write_the_same(runtime: bl.Runtime) -> None:
    params = {"max_new_tokens": 6, "temperature": 0.0, "ignore_eos": True}
    answer = json.loads(runtime.generate("the quick brown", params))
    assert answer["meta_info"]["completion_tokens"] == 6

    async def streamed() -> str:
        return "".join([p async for p in runtime.async_generate("the quick brown", params)])

    assert asyncio.run(streamed()) == answer["text"]
    program = bl.function(
        lambda s: s.__iadd__("the quick brown" + bl.gen("x", max_tokens=6, ignore_eos=True))
    )
    assert program.run(temperature=0.0, backend=runtime)["x"] == answer["text"]


def test_a_tokenizers_ids_are_the_prompts(runtime: bl.Runtime) -> None:
    tokenizer = runtime.get_tokenizer()
    prompt = "<|im_start|>user\nthe fox<|im_end|>\n"
    params = {"max_new_tokens": 4, "temperature": 0.0}
    by_ids = json.loads(
        runtime.generate(input_ids=tokenizer.encode(prompt), sampling_params=params)
    )
    by_text = json.loads(runtime.generate(prompt, params))
    assert by_ids["text"] == by_text["text"]
    assert by_ids["meta_info"]["prompt_tokens"] == by_text["meta_info"]["prompt_tokens"]


def test_a_cached_prefix_is_found_again(runtime: bl.Runtime) -> None:
    runtime.flush_cache()
    prefix = "the rivers run to sea under stars " * 4
    runtime.cache_prefix(prefix)
    answer = json.loads(runtime.generate(prefix + "and cats", {"max_new_tokens": 1}))
    assert answer["meta_info"]["cached_tokens"] > 16


def test_texts_become_vectors_of_length_one(runtime: bl.Runtime) -> None:
    answers = json.loads(runtime.encode(["the quick fox", "lazy dogs"]))
    assert [math.isclose(math.hypot(*one["embedding"]), 1, rel_tol=1e-5) for one in answers] == [
        True,
        True,
    ]


def test_what_the_runtime_tells_of_itself(runtime: bl.Runtime) -> None:
    assert runtime.get_server_info()["architecture"] == "LlamaForCausalLM"


def test_an_engine_streams_the_answer_that_it_gives_whole(model_dir: Path) -> None:
    options = {"kv_slots": 1024, "num_threads": 1, "attention_backend": "torch"}
    params = {"max_new_tokens": 6, "temperature": 0.0, "ignore_eos": True}
    with bl.Engine(str(model_dir), dtype="float32", **options) as engine:
        asked = ("the quick brown", params)
        whole = engine.generate(*asked, return_logprob=True)
        answers = list(engine.generate(*asked, stream=True, return_logprob=True))

        async def streamed() -> list[str]:
            answers = await engine.async_generate(*asked, stream=True)
            return [answer["text"] async for answer in answers]

        assert asyncio.run(streamed())[-1] == whole["text"]
    assert len(answers) > 1
    assert all(whole["text"].startswith(answer["text"]) for answer in answers)
    assert answers[-1]["text"] == whole["text"]

    def token_ids(answer: dict[str, Any]) -> list[int]:
        # The values differ in their last digits: one prompt was computed, the other cached.
        return [token_id for _, token_id, _ in answer["meta_info"]["output_token_logprobs"]]

    assert token_ids(answers[0]) == token_ids(whole)[: len(token_ids(answers[0]))]
    assert token_ids(answers[-1]) == token_ids(whole)
    assert answers[-1]["meta_info"]["finish_reason"] == {"type": "length", "length": 6}
