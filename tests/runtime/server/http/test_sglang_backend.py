"""Programs that reach a runtime through SGLang's HTTP API; the test plays the engine."""

from __future__ import annotations

import asyncio

import pytest
from played_front import PlayedFront

import branchline as bl
from branchline.lang.backend.http_client import HttpStatus
from branchline.runtime.engine_protocol import Failed
from branchline.runtime.protocol import JsonSchema, Regex


@pytest.fixture
def backend(front: PlayedFront) -> bl.SGLang:
    assert front.server is not None
    return bl.SGLang(front.server.url, chat_template_name="chatml")


@bl.function
def talk(s, question, **options):
    s += bl.user(question)
    s += bl.assistant(bl.gen("answer", max_tokens=20, **options))


def test_a_program_runs(front, backend):
    state = talk.run("hello", backend=backend)
    assert state["answer"] == "good island"
    assert state.text().endswith("<|im_start|>assistant\ngood island<|im_end|>\n")
    [submit] = front.submits
    prompt = state.text().removesuffix("good island<|im_end|>\n")
    assert submit.input_ids == front.tokenizer.encode_text(prompt, markup=True)
    meta = state.get_meta_info("answer")
    assert meta["finish_reason"] == {"type": "stop", "matched": 2}
    assert meta["prompt_tokens"] == len(submit.input_ids)


def test_an_output_is_part_of_the_next_prompt(front, backend):
    @bl.function
    def program(s):
        s += "hello " + bl.gen("a") + " and " + bl.gen("b")

    state = program.run(backend=backend)
    state.sync()
    whole = "hello good island and "
    assert front.submits[1].input_ids == front.tokenizer.encode_text(whole)


def test_an_address_with_http_is_such_a_server(front):
    backend = bl.RuntimeEndpoint(front.server.url)
    assert isinstance(backend, bl.SGLang)
    assert backend.get_model_name() == "/models/tiny"
    assert talk.run("hello", backend=backend)["answer"] == "good island"


def test_a_stream_says_what_the_whole_text_is(backend):
    state = talk.run("hello", backend=backend, stream=True)
    pieces = list(state.text_iter("answer"))
    assert len(pieces) > 1
    assert "".join(pieces) == state["answer"] == "good island"


def test_log_probabilities_come_with_each_piece(front, backend):
    async def pieces():
        state = talk.run("hello", return_logprob=True, backend=backend, stream=True)
        return [meta async for _, meta in state.text_async_iter("answer", return_meta_data=True)]

    metas = asyncio.run(pieces())
    numbers = [
        len(meta["output_token_logprobs"]) for meta in metas if "output_token_logprobs" in meta
    ]
    spelled = front.tokenizer.encode_text("good island")
    assert sum(numbers) >= len(spelled)
    assert max(numbers[:-1]) < len(spelled)


def test_sampling_and_constraints_reach_the_engine(front, backend):
    @bl.function
    def program(s):
        s += "a" + bl.gen("x", regex="[a-z ]+", temperature=0.5, top_k=7, stop=["zz"], seed=3)
        s += "b" + bl.gen("y", json_schema={"type": "integer"})

    program.run(backend=backend).sync()
    first, second = front.submits
    assert first.constraint == Regex("[a-z ]+")
    sampling = first.sampling
    assert (sampling.temperature, sampling.top_k, sampling.seed) == (0.5, 7, 3)
    assert "zz" in sampling.stop
    assert second.constraint == JsonSchema('{"type":"integer"}')


def test_several_outputs_come_as_a_list(front, backend):
    assert talk.run("hello", n=3, backend=backend)["answer"] == ["good island"] * 3
    assert len(front.submits) == 3


def test_an_output_among_several_has_no_other_s_tokens_in_its_length(front, backend):
    @bl.function
    def program(s):
        s += "hello " + bl.gen("x", n=2, max_tokens=1)

    meta = program.run(backend=backend).get_meta_info("x")
    assert meta["finish_reason"] == {"type": "length"}
    assert meta["sequences"] == [{"finish_reason": {"type": "length"}}] * 2


def test_turns_have_the_markup_of_the_model_that_is_served(front):
    backend = bl.SGLang(front.server.url)
    template = backend.chat_template
    assert dict(template.role_prefix_and_suffix) == front.model.role_markup
    assert template.default_system_prompt == front.model.default_system_prompt


def test_a_choice_is_scored_by_its_own_tokens(front, backend):
    @bl.function
    def pick(s):
        s += "hello " + bl.select("x", ["good", "the island"])

    state = pick.run(backend=backend)
    assert state["x"] in ("good", "the island")
    told = state.get_meta_info("x")["input_token_logprobs"]
    texts = ["".join(text for _, _, text in tokens) for tokens in told]
    assert [text.lstrip() for text in texts] == ["good", "the island"]


def test_a_choice_can_be_weighed_against_its_own_likelihood(backend):
    @bl.function
    def pick(s):
        method = bl.unconditional_likelihood_normalized
        s += "hello " + bl.select("x", ["good", "the island"], choices_method=method)

    state = pick.run(backend=backend)
    assert len(state.get_meta_info("x")["unconditional_token_logprobs"]) == 2


def test_a_fork_computes_its_prefix_once_before_its_branches(front, backend):
    @bl.function
    def program(s):
        s += "hello "
        forks = s.fork(2)
        forks += lambda i: f"{i}" + bl.gen("x")
        forks.join()

    assert program.run(backend=backend)["x"] == ["good island"] * 2
    assert front.submits[0].sampling.max_new_tokens == 0


def test_what_the_server_refuses_is_told_in_its_words(backend):
    state = talk.run("hello " * 400, backend=backend)
    with pytest.raises(bl.InvalidRequest, match="the context holds"):
        state["answer"]


def test_a_call_that_fails_in_a_stream_fails(front, backend):
    front.fail = lambda submit: Failed(submit.sid, "internal", "broken in the engine")
    state = talk.run("hello", backend=backend, stream=True)
    with pytest.raises(bl.GenerationError, match="broken in the engine"):
        state["answer"]


def test_leaving_a_call_stops_it_in_the_engine(front, backend):
    front.allow(0)
    state = talk.run("hello", backend=backend)
    front.wait_until(lambda: len(front.submits) == 1)
    state.cancel()
    front.wait_until(lambda: front.dropped == [front.submits[0].sid])


def test_tools_are_refused_before_the_call(front, backend):
    @bl.tool
    def look(place: str) -> str:
        """Look."""
        return place

    @bl.function
    def program(s):
        s += "x" + bl.tool_call("call", tools=[look])

    with pytest.raises(bl.InvalidRequest, match="does not offer tool calls"):
        program.run(backend=backend)["call"]
    assert front.submits == []


def test_the_server_can_be_asked_and_told_things(backend):
    assert bl.flush_cache(backend) is True
    info = bl.get_server_info(backend)
    assert info is not None
    assert info["running"] == 0.0


def test_a_server_of_sglang_0_4_tells_of_itself_under_another_name(backend, monkeypatch):
    ask = backend._http.json

    async def asked(method, path, body=None):
        if path == "/server_info":
            raise HttpStatus(404, '{"detail":"Not Found"}', None)
        return await ask(method, path, body)

    monkeypatch.setattr(backend._http, "json", asked)
    assert bl.get_server_info(backend)["running"] == 0.0


def test_nobody_there_is_an_error_at_once():
    with pytest.raises(bl.RuntimeUnavailable, match=r"no answer from http://127\.0\.0\.1:9"):
        bl.SGLang("http://127.0.0.1:9")


def test_a_key_is_shown(own_front):
    server = own_front.listen("the-servers-key")
    with pytest.raises(bl.InvalidRequest, match="401"):
        bl.SGLang(server.url)
    backend = bl.SGLang(server.url, api_key="the-servers-key")
    assert talk.run("hello", backend=backend)["answer"] == "good island"
