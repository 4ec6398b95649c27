"""Calls without a program: prompts and dicts in, dicts out."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import Scripted, model_info, text_of

import branchline as bl
from branchline.lang import direct
from branchline.lang.backend.base import Capabilities
from branchline.lang.runtime import Runtime, ServerInfo
from branchline.runtime import protocol


def test_a_prompt_is_continued_under_the_parameters_of_the_dict(model: Scripted) -> None:
    params = {"max_new_tokens": 4, "min_new_tokens": 1, "temperature": 0.5, "sampling_seed": 7}
    answer = direct.generate(model, "Hello", params)
    assert isinstance(answer, dict)
    assert answer["text"] == model.reply("Hello")[:4]
    assert answer["meta_info"]["prompt_tokens"] == 5
    assert answer["meta_info"]["finish_reason"] == {"type": "length", "length": 4}
    sampling = model.calls[0].sampling
    assert (sampling.max_new_tokens, sampling.min_new_tokens, sampling.seed) == (4, 1, 7)


def test_the_prompt_is_a_rendered_template_whose_control_tokens_count(model: Scripted) -> None:
    direct.generate(model, "<|user|>Hi<|end|>")
    assert model.calls[0].prompt == [protocol.Text("<|user|>Hi<|end|>", markup=True)]


def test_token_ids_go_as_they_are(model: Scripted) -> None:
    answer = direct.generate(model, input_ids=[104, 105])
    assert isinstance(answer, dict)
    assert answer["text"] == model.reply("hi")
    assert model.calls[0].prompt == [protocol.Tokens([104, 105])]


def test_several_prompts_run_at_the_same_time_and_come_back_in_order(model: Scripted) -> None:
    model.hold = lambda prompt: True
    asked = asyncio.run(_released(model, ["a", "b", "c"]))
    assert [answer["text"] for answer in asked] == [model.reply(text) for text in "abc"]
    assert model.most_running == 3


def test_each_prompt_can_have_parameters_of_its_own(model: Scripted) -> None:
    params = [{"max_new_tokens": 2}, {"max_new_tokens": 3}]
    at_once = direct.generate(model, ["a", "b"], params)
    awaited = asyncio.run(direct.generate_async(model, ["a", "b"], params))
    for answers in (at_once, awaited):
        assert isinstance(answers, list)
        assert [len(answer["text"]) for answer in answers] == [2, 3]


async def _released(model: Scripted, prompts: list[str]) -> list[dict[str, object]]:
    asking = asyncio.create_task(direct.generate_async(model, prompts))
    for _ in prompts:
        await asyncio.to_thread(model.started.acquire)
    model.release()
    answers = await asking
    assert isinstance(answers, list)
    return answers


def test_several_outputs_are_told_one_by_one(model: Scripted) -> None:
    answers = direct.generate(model, "x", {"n": 2}, return_logprob=True)
    assert isinstance(answers, list)
    assert [answer["text"] for answer in answers] == [model.reply("x"), model.reply("x") + "1"]
    lengths = [len(answer["meta_info"]["output_token_logprobs"]) for answer in answers]
    assert lengths == [8, 9]
    assert "sequences" not in answers[0]["meta_info"]


def test_a_stream_yields_the_answer_in_pieces(model: Scripted) -> None:
    async def pieces() -> list[str]:
        return [piece async for piece in direct.stream(model, "Hello")]

    got = asyncio.run(pieces())
    assert len(got) > 1
    assert "".join(got) == model.reply("Hello")


@pytest.mark.parametrize("ask", [direct.stream, direct.stream_answers_async])
def test_leaving_a_stream_ends_its_call(model: Scripted, ask: Any) -> None:
    model.hold = lambda prompt: True

    async def leave() -> None:
        pieces = ask(model, "Hello")
        first = asyncio.create_task(anext(pieces))
        await asyncio.to_thread(model.started.acquire)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        # The call is left on the language's loop: ask there, behind the cancellation.
        await asyncio.to_thread(bl.flush_cache, model)

    asyncio.run(leave())
    assert model.cancelled == ["Hello"]


def test_an_answer_that_streams_grows_to_the_whole_one(model: Scripted) -> None:
    options = {"return_logprob": True, "top_logprobs_num": 1}
    answers = list(direct.stream_answers(model, "Hello", {"max_new_tokens": 7}, **options))
    texts = [answer["text"] for answer in answers]
    assert len(texts) > 2
    assert all(later.startswith(text) for text, later in itertools.pairwise(texts))
    lengths = [len(answer["meta_info"]["output_token_logprobs"]) for answer in answers]
    assert lengths == [len(text) for text in texts]
    whole = direct.generate(model, "Hello", {"max_new_tokens": 7}, **options)
    assert isinstance(whole, dict)
    own = {"id": answers[-1]["meta_info"]["id"]}
    assert answers[-1] == {**whole, "meta_info": {**whole["meta_info"], **own}}


def test_coroutines_stream_the_same_answers(model: Scripted) -> None:
    async def collect() -> list[str]:
        return [answer["text"] async for answer in direct.stream_answers_async(model, "Hello")]

    assert asyncio.run(collect()) == [a["text"] for a in direct.stream_answers(model, "Hello")]


@pytest.mark.parametrize(
    "options", [{"prompt": ["a", "b"]}, {"prompt": "a", "sampling_params": {"n": 2}}]
)
def test_a_stream_is_of_one_output(model: Scripted, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one prompt and one output"):
        direct.stream_answers(model, **options)
    assert model.calls == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"lora_path": "my-adapter"}, r"lora_path='my-adapter': adapters \(LoRA\) are not served"),
        ({"image_data": "x.png"}, "served for text only"),
    ],
)
def test_arguments_of_sglang_that_are_not_offered_say_why(
    model: Scripted, option: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        direct.generate(model, "x", **option)
    assert model.calls == []


def test_arguments_that_are_not_offered_may_be_left_at_nothing(model: Scripted) -> None:
    direct.generate(model, "x", lora_path=None, return_hidden_states=False)
    assert len(model.calls) == 1


def test_an_argument_that_does_not_exist_is_named(model: Scripted) -> None:
    with pytest.raises(TypeError, match="no argument 'return_logprobs'; known: prompt, "):
        direct.generate(model, "x", return_logprobs=True)


def test_penalties_biases_and_grammars_of_sglang_are_sent(model: Scripted) -> None:
    params = {"repetition_penalty": 1.5, "logit_bias": {7: 2.0}, "ebnf": 'root ::= "a"'}
    model.capabilities = Capabilities(grammar=True)
    direct.generate(model, "x", params)
    [call] = model.calls
    assert (call.sampling.repetition_penalty, call.sampling.logit_bias) == (1.5, {7: 2.0})
    assert call.constraint == protocol.Ebnf('root ::= "a"')


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": "x", "sampling_params": {"max_tokens": 3}}, "unknown max_tokens; known: max_"),
        ({"prompt": "x", "sampling_params": {"temperature": -1}}, "temperature=-1"),
        ({"prompt": ["x", "y"], "sampling_params": [{}]}, "1 for 2 prompts; give one for each"),
        ({}, "either a prompt or input_ids"),
        ({"prompt": "x", "input_ids": [1]}, "either a prompt or input_ids"),
    ],
)
def test_wrong_parameters_are_refused_before_the_call(
    model: Scripted, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        direct.generate(model, **arguments)  # type: ignore[arg-type]
    assert model.calls == []


def test_a_failed_call_raises_its_cause(model: Scripted) -> None:
    model.fail = lambda prompt: bl.Overloaded("full")
    with pytest.raises(bl.Overloaded, match="full"):
        direct.generate(model, "x")


@pytest.fixture
def runtime(model: Scripted) -> Runtime:
    """A `Runtime` whose process is the scripted model."""
    runtime = Runtime.__new__(Runtime)
    runtime.endpoint = model  # type: ignore[assignment]
    return runtime


def test_a_runtime_answers_with_json_text(model: Scripted, runtime: Runtime) -> None:
    answer = json.loads(runtime.generate("Hi", {"max_new_tokens": 3}))
    assert answer["text"] == model.reply("Hi")[:3]


def test_a_runtime_streams_under_both_names(model: Scripted, runtime: Runtime) -> None:
    async def whole() -> list[str]:
        return [
            "".join([piece async for piece in ask("Hi")])
            for ask in (runtime.async_generate, runtime.add_request)
        ]

    assert asyncio.run(whole()) == [model.reply("Hi")] * 2


def test_a_runtime_caches_a_prefix(model: Scripted, runtime: Runtime) -> None:
    runtime.cache_prefix("a long instruction")
    [call] = model.calls
    assert (call.text, call.sampling.max_new_tokens) == ("a long instruction", 0)


class Embedding(Scripted):
    """Whose vector of a text is its length and how it is pooled."""

    async def embed(
        self, prompt: list[protocol.Part], params: protocol.EmbedParams
    ) -> protocol.Done:
        length = len(text_of(prompt))
        vector = struct.pack("<2f", length, params.pooling == "last")
        return protocol.Done("rid", [], protocol.Usage(length, 0, 0), embedding=vector)


def test_texts_are_embedded_in_order(runtime: Runtime) -> None:
    runtime.endpoint = Embedding()  # type: ignore[assignment]
    alone = json.loads(runtime.encode("four", pooling="last"))
    assert alone["embedding"] == [4.0, 1.0]
    assert alone["meta_info"]["prompt_tokens"] == 4
    answers = json.loads(runtime.encode(["a", "abc"]))
    assert [answer["embedding"] for answer in answers] == [[1.0, 0.0], [3.0, 0.0]]


def test_a_backend_without_embeddings_refuses(runtime: Runtime) -> None:
    with pytest.raises(bl.InvalidRequest, match="Scripted does not offer embeddings"):
        runtime.encode("text")


def test_a_runtime_tells_where_its_http_is(runtime: Runtime) -> None:
    runtime.process = SimpleNamespace(http_url="http://127.0.0.1:8000")  # type: ignore[assignment]
    assert runtime.url == "http://127.0.0.1:8000"


def test_a_runtime_without_http_says_how_to_get_it(runtime: Runtime) -> None:
    runtime.process = SimpleNamespace(http_url=None)  # type: ignore[assignment]
    with pytest.raises(bl.RuntimeUnavailable, match=r'Runtime\(\.\.\., http="127\.0\.0\.1:0"\)'):
        _ = runtime.url


def test_what_a_runtime_tells_of_itself_may_be_awaited(runtime: Runtime) -> None:
    async def awaited() -> ServerInfo:
        return await runtime.get_server_info()

    assert asyncio.run(awaited()) == runtime.get_server_info()
    assert runtime.get_server_info()["model_name"] == "scripted"


def test_the_embedded_models_tokenizer_is_one_of_transformers(
    model: Scripted, runtime: Runtime
) -> None:
    model.info = model_info(path=str(Path(bl.__file__).parent / "runtime/models/embedded"))
    tokenizer = runtime.get_tokenizer()
    text = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert text.startswith("<|im_start|>user\nHi<|im_end|>")
    assert tokenizer.decode(tokenizer.encode("Hi there")) == "Hi there"
