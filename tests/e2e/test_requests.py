"""Requests through real processes: what goes in comes out right, and wrong ones harm nothing."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path

import pytest
from asking import ENDLESS, generate, num_running, request, run, spawn, stream
from msgspec.structs import replace
from stopwatch import seconds_until

from branchline.engine import InProcessConnection
from branchline.lang.client import ZmqConnection
from branchline.lang.errors import (
    ContextLengthExceeded,
    GrammarError,
    InvalidRequest,
    RuntimeUnavailable,
    TimeoutExceeded,
)
from branchline.lang.launch import RuntimeProcess
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import StepEvents
from branchline.runtime.protocol import (
    MAX_FRAME_BYTES,
    Generate,
    JsonSchema,
    LogprobParams,
    Regex,
    SamplingParams,
    Score,
    Text,
    Tokens,
)


def test_the_same_request_gives_the_same_text_streamed_or_not(connection: ZmqConnection) -> None:
    whole = generate(connection, num_tokens=40)
    chunks, done = stream(connection, num_tokens=40)
    assert done.outputs == whole.outputs
    assert "".join(chunk.text for chunk in chunks) == whole.outputs[0].text
    ids = [token_id for chunk in chunks for token_id in chunk.token_ids]
    assert ids == whole.outputs[0].token_ids
    assert len(chunks) > 5


def test_the_second_request_finds_the_prompt_in_the_cache(connection: ZmqConnection) -> None:
    prompt = "rivers run to the sea " * 20
    first = generate(connection, prompt)
    second = generate(connection, prompt)
    assert second.usage.cached_tokens >= second.usage.prompt_tokens - 1
    assert second.outputs == first.outputs


def test_generated_tokens_continue_a_prompt_as_they_are(connection: ZmqConnection) -> None:
    whole = generate(connection, "the", num_tokens=20).outputs[0]
    half = generate(connection, "the", num_tokens=10).outputs[0]
    rest = Generate(
        connection.new_rid(),
        [Text("the"), Tokens(half.token_ids)],
        SamplingParams(max_new_tokens=10, temperature=0.0, ignore_eos=True),
    )
    assert half.token_ids + run(connection.complete(rest)).outputs[0].token_ids == whole.token_ids


def test_scores_are_the_log_probabilities_that_a_generation_reports(
    connection: ZmqConnection,
) -> None:
    prompt, choices = "the quick brown", [" fox", " dogs and cats", " sea"]
    scores = run(
        connection.score(Score(connection.new_rid(), [Text(prompt)], choices, unconditional=True))
    )
    for choice, score in zip(choices, scores.choices, strict=True):
        whole = Generate(
            connection.new_rid(),
            [Text(prompt + choice)],
            SamplingParams(max_new_tokens=0),
            logprobs=LogprobParams(prompt_start=scores.prompt_tokens_kept),
        )
        expected = run(connection.complete(whole)).prompt_logprobs
        assert expected is not None
        assert [entry.token_id for entry in score.logprobs] == score.token_ids
        for entry, other in zip(score.logprobs, expected, strict=True):
            assert entry.logprob is not None
            assert other.logprob is not None
            assert math.isclose(entry.logprob, other.logprob, abs_tol=1e-4)
        assert score.unconditional is not None
        assert [entry.token_id for entry in score.unconditional] == score.token_ids
        assert score.unconditional[0].logprob is None


def test_hundreds_of_requests_share_one_connection(connection: ZmqConnection) -> None:
    alone = generate(connection, "over lazy dogs", num_tokens=4).outputs

    async def all_at_once() -> list[object]:
        calls = [
            connection.complete(request(connection, "over lazy dogs", num_tokens=4))
            for _ in range(300)
        ]
        return [done.outputs for done in await asyncio.gather(*calls)]

    assert run(all_at_once()) == [alone] * 300


def test_a_cancelled_request_ends_and_frees_the_engine(connection: ZmqConnection) -> None:
    future = spawn(connection.complete(request(connection, num_tokens=ENDLESS)))
    seconds_until(lambda: num_running(connection) == 1, 60)
    future.cancel()
    assert seconds_until(lambda: num_running(connection) == 0, 60) < 1.0


def test_leaving_a_stream_early_frees_the_engine(connection: ZmqConnection) -> None:
    async def first_chunk() -> None:
        replies = connection.generate(request(connection, num_tokens=ENDLESS, stream=True))
        async for _ in replies:
            break
        await replies.aclose()

    run(first_chunk())
    assert seconds_until(lambda: num_running(connection) == 0, 60) < 1.0


def test_a_deadline_is_kept(connection: ZmqConnection) -> None:
    with pytest.raises(TimeoutExceeded, match=r"no result within 0\.2 s"):
        generate(connection, num_tokens=ENDLESS, timeout_s=0.2)
    seconds_until(lambda: num_running(connection) == 0, 1.0)


def test_wrong_requests_are_refused_and_the_next_one_is_served(connection: ZmqConnection) -> None:
    with pytest.raises(ContextLengthExceeded, match="the context holds 4096"):
        generate(connection, "x" * 10_000)
    with pytest.raises(InvalidRequest, match="no tokens"):
        generate(connection, "")
    with pytest.raises(InvalidRequest) as caught:
        generate(connection, num_tokens=2, min_new_tokens=3)
    assert caught.value.pointer == "/sampling/min_new_tokens"
    with pytest.raises(InvalidRequest, match="bytes on the wire"):
        generate(connection, "x" * MAX_FRAME_BYTES)
    assert len(generate(connection).outputs[0].token_ids) == 8


def test_a_constraint_is_kept_and_a_broken_one_is_named(connection: ZmqConnection) -> None:
    def constrained(constraint: Regex | JsonSchema) -> Generate:
        return replace(request(connection, num_tokens=40, ignore_eos=False), constraint=constraint)

    done = run(connection.complete(constrained(Regex("[0-9]{3}-[a-f]+"))))
    assert re.fullmatch("[0-9]{3}-[a-f]+", done.outputs[0].text)
    for broken in (Regex("("), JsonSchema("{"), JsonSchema('{"type": "objekt"}')):
        with pytest.raises(GrammarError):
            run(connection.complete(constrained(broken)))


def test_flushing_empties_the_cache(connection: ZmqConnection) -> None:
    generate(connection, "under stars")
    assert run(connection.flush_cache()) > 0
    assert generate(connection, "under stars").usage.cached_tokens == 0


def test_two_clients_share_the_cache_and_not_their_requests(
    connection: ZmqConnection, runtime: RuntimeProcess
) -> None:
    other = ZmqConnection(runtime.address)
    future = spawn(connection.complete(request(connection, num_tokens=ENDLESS)))
    seconds_until(lambda: num_running(other) == 1, 60)
    other.close()
    assert not future.done()
    assert num_running(connection) == 1
    future.cancel()
    seconds_until(lambda: num_running(connection) == 0, 60)


def test_closing_a_connection_ends_its_requests(runtime: RuntimeProcess) -> None:
    connection = ZmqConnection(runtime.address)
    other = ZmqConnection(runtime.address)
    future = spawn(connection.complete(request(connection, num_tokens=ENDLESS)))
    seconds_until(lambda: num_running(other) == 1, 60)
    connection.close()
    with pytest.raises(RuntimeUnavailable, match="closed"):
        future.result(60)
    assert seconds_until(lambda: num_running(other) == 0, 60) < 1.0
    other.close()


def test_the_engine_within_this_process_says_the_same(
    connection: ZmqConnection, model_dir: Path
) -> None:
    inside = InProcessConnection(str(model_dir), kv_slots=8192)
    try:
        assert (
            generate(inside, num_tokens=20).outputs == generate(connection, num_tokens=20).outputs
        )
        chunks, done = stream(inside, num_tokens=5)
        assert "".join(chunk.text for chunk in chunks) == done.outputs[0].text
        with pytest.raises(ContextLengthExceeded):
            generate(inside, "x" * 10_000)
        with pytest.raises(InvalidRequest):
            generate(inside, temperature=-1.0)
        future = spawn(inside.complete(request(inside, num_tokens=ENDLESS)))
        seconds_until(lambda: num_running(inside) == 1, 60)
    finally:
        inside.close()
    with pytest.raises(RuntimeUnavailable, match="closed"):
        future.result(60)


def test_an_engine_within_this_process_that_breaks_says_so_from_then_on(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(core: EngineCore) -> StepEvents:
        raise ZeroDivisionError("planted")

    inside = InProcessConnection(str(model_dir), kv_slots=1024)
    monkeypatch.setattr(EngineCore, "step", broken)
    for _ in range(2):
        with pytest.raises(RuntimeUnavailable, match="ZeroDivisionError: planted"):
            generate(inside)
    inside.close()


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("/no/such/model", {}, "neither an existing directory"),
        (None, {"dtype": "float8"}, "dtype must be one of"),
        (None, {"colour": "red"}, "colour"),
    ],
)
def test_an_engine_within_this_process_that_cannot_start_says_why(
    model: str | None, options: dict[str, str], words: str, model_dir: Path
) -> None:
    with pytest.raises(RuntimeUnavailable, match=words):
        InProcessConnection(model or str(model_dir), **options)
