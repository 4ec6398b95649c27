"""The runtime as its clients see it, with an engine played by the test."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from service_desk import CONTEXT, END, Desk, generate, only_done, only_error

from branchline.runtime.engine_protocol import (
    EngineFlushed,
    EnginePing,
    EnginePong,
    Failed,
    Progress,
    StepEvents,
)
from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Choices,
    Chunk,
    FlushCache,
    Flushed,
    Generate,
    GetInfo,
    Hello,
    Info,
    Ping,
    Pong,
    SamplingParams,
    Text,
    Tokens,
    Welcome,
)
from branchline.runtime.server.flight import Limits
from branchline.runtime.server.flights import Flights
from branchline.runtime.tokenizer import Tokenizer

LONG = "the " * 10_000


def test_hello_is_answered_with_the_model_and_the_epoch(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer)
    [welcome] = desk.ask(Hello(version=PROTOCOL_VERSION))
    assert welcome == Welcome(PROTOCOL_VERSION, "epoch", desk.service.model)


def test_another_protocol_version_is_told_both_numbers(tokenizer: Tokenizer) -> None:
    error = only_error(Desk(tokenizer).ask(Hello(version=99)))
    assert "99" in error.message
    assert f" {PROTOCOL_VERSION};" in error.message


def test_a_client_that_did_not_say_hello_gets_nothing_done(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer)
    error = only_error(desk.ask(generate()))
    assert (error.rid, error.code) == ("r", "invalid_request")
    assert desk.commands == []


def test_a_generation_comes_back_with_text_tokens_and_usage(desk: Desk) -> None:
    assert desk.ask(generate(prompt="hello world")) == []
    [submit] = desk.submits()
    assert submit.input_ids == desk.tokenizer.encode_text("hello world")
    assert desk.step(desk.say(submit.sid, " the", cached_tokens=2)) == []
    done = only_done(desk.step(desk.say(submit.sid, " island", end_token=True)))
    [output] = done.outputs
    assert (output.text, output.finish_reason, output.matched_stop) == (" the island", "stop", END)
    assert output.token_ids == desk.tokenizer.encode_text(" the island")
    assert done.usage.cached_tokens == 2
    assert done.usage.completion_tokens == len(output.token_ids) + 1
    assert desk.service.num_in_flight == 0


def test_a_stream_counts_its_chunks_and_ends_with_the_whole(desk: Desk) -> None:
    desk.ask(generate(stream=True))
    [submit] = desk.submits()
    first = desk.step(desk.say(submit.sid, " the"))
    second = desk.step(desk.say(submit.sid, " island"))
    [last] = desk.step(desk.say(submit.sid, "", end_token=True))
    chunks = [message for message in first + second if isinstance(message, Chunk)]
    assert [(chunk.seq, chunk.text) for chunk in chunks] == [(0, " the"), (1, " island")]
    assert only_done([last]).outputs[0].text == " the island"


def test_n_sequences_get_seeds_of_their_own_and_come_back_in_order(desk: Desk) -> None:
    desk.ask(generate(n=3, seed=7))
    submits = desk.submits()
    assert [submit.sampling.seed for submit in submits] == [7, 8, 9]
    assert {submit.sampling.n for submit in submits} == {1}
    for submit, word in zip(reversed(submits), ("c", "b", "a"), strict=True):
        last = desk.step(desk.say(submit.sid, word, finish="length"))
    assert [output.text for output in only_done(last).outputs] == ["a", "b", "c"]


def test_a_stop_string_is_cut_from_the_text_and_its_tokens(desk: Desk) -> None:
    desk.ask(generate(stop=[" is"]))
    [submit] = desk.submits()
    done = only_done(desk.step(desk.say(submit.sid, " the is", finish="stop", matched_stop=" is")))
    assert done.outputs[0].text == " the"
    assert desk.tokenizer.decode(done.outputs[0].token_ids) == " the"


def test_a_stop_string_below_the_least_length_stays_though_it_came_in_one_step(desk: Desk) -> None:
    desk.ask(generate(stop=[" is"]))
    [submit] = desk.submits()
    news = desk.say(submit.sid, " is the is", finish="stop", matched_stop=" is")
    assert only_done(desk.step(news)).outputs[0].text == " is the"


def test_forced_and_guessed_tokens_are_counted(desk: Desk) -> None:
    desk.ask(generate(n=2))
    for submit in desk.submits():
        desk.step(replace(desk.say(submit.sid, "hello"), num_forced=2))
        last = replace(desk.say(submit.sid, " the", finish="length"), num_forced=1, drafts=(7, 4))
        answers = desk.step(last)
    usage = only_done(answers).usage
    assert (usage.forced_tokens, usage.drafted_tokens, usage.accepted_tokens) == (6, 14, 8)


def test_texts_of_log_probabilities_are_filled_in_where_asked_for(desk: Desk) -> None:
    from branchline.runtime.protocol import LogprobParams

    desk.ask(Generate("r", [Text("hello")], logprobs=LogprobParams(with_text=True)))
    [submit] = desk.submits()
    done = only_done(desk.step(desk.say(submit.sid, " the", finish="length", logprobs=True)))
    assert done.outputs[0].logprobs is not None
    assert [entry.text for entry in done.outputs[0].logprobs] == [" the"]


def test_new_tokens_beyond_the_context_are_not_asked_for(desk: Desk) -> None:
    desk.ask(generate(prompt="the", max_new_tokens=10_000))
    [submit] = desk.submits()
    assert submit.sampling.max_new_tokens == CONTEXT - len(submit.input_ids)


@pytest.mark.parametrize(
    ("request_", "code", "pointer", "words"),
    [
        (generate(prompt=""), "invalid_request", "/prompt", "no tokens"),
        (generate(prompt="x" * 65), "context_length", "/prompt", "65 tokens"),
        (
            generate(prompt="x" * 60, min_new_tokens=10, max_new_tokens=20),
            "context_length",
            "/prompt",
            f"60 tokens and at least 10 new, but the context holds {CONTEXT}",
        ),
        (
            Generate("r", [Tokens([5, 999_999])]),
            "invalid_request",
            "/prompt/0/ids",
            "token id 999999",
        ),
        (Generate("r", [Tokens([5] * 65)]), "context_length", "/prompt", "at least 65 tokens"),
        (generate(prompt="x" * 10**6), "context_length", "/prompt", "tokens, but the context"),
        (
            Generate("r", [Text("a")], constraint=Choices(["b", ""])),
            "invalid_request",
            "/constraint/choices/1",
            "empty",
        ),
        (
            Generate("r", [Text("a")], constraint=Choices(["b", "b"])),
            "invalid_request",
            "/constraint/choices/1",
            "repeats 'b'",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_field_s_name(
    desk: Desk, request_: Generate, code: str, pointer: str, words: str
) -> None:
    error = only_error(desk.ask(request_))
    assert (error.rid, error.code, error.pointer) == ("r", code, pointer)
    assert words in error.message
    assert desk.submits() == []
    assert desk.service.num_in_flight == 0


def test_what_the_kv_cache_does_not_hold_is_said_to_be_its(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, pool_limits=True)
    desk.greet()
    for prompt in ("x" * 65, "x" * 10**6):
        message = only_error(desk.ask(generate(prompt=prompt))).message
        assert f"but the KV cache holds {CONTEXT}; shorten the prompt or raise --kv" in message


def test_a_prompt_without_new_tokens_may_fill_the_context(desk: Desk) -> None:
    desk.ask(generate(prompt="x" * CONTEXT, max_new_tokens=0))
    [submit] = desk.submits()
    done = only_done(desk.step(Progress(submit.sid, [], finish="length", cached_tokens=0)))
    assert done.outputs[0].text == ""


def test_a_request_id_in_flight_cannot_be_used_for_another_request(desk: Desk) -> None:
    desk.ask(generate())
    assert only_error(desk.ask(generate(prompt="another"))).pointer == "/rid"
    assert len(desk.submits()) == 1


def test_a_request_sent_again_while_it_runs_is_run_and_answered_once(desk: Desk) -> None:
    desk.ask(generate())
    assert desk.ask(generate()) == []
    [submit] = desk.submits()
    assert only_done(desk.step(desk.say(submit.sid, "a", finish="length"))).outputs[0].text == "a"


def test_a_question_sent_again_while_the_engine_is_slow_is_answered_once(desk: Desk) -> None:
    assert desk.ask(GetInfo("i")) == desk.ask(GetInfo("i")) == []
    ping = next(command for command in desk.commands if isinstance(command, EnginePing))
    desk.service.on_engine_event(EnginePong(seq=ping.seq, stats={}))
    assert [message.rid for _, message in desk.sent if isinstance(message, Info)] == ["i"]


def test_a_request_sent_again_after_its_end_gets_the_same_answer(desk: Desk) -> None:
    desk.ask(generate())
    [submit] = desk.submits()
    done = only_done(desk.step(desk.say(submit.sid, "a", finish="length")))
    assert desk.ask(generate()) == [done]
    assert len(desk.submits()) == 1
    desk.ask(generate(prompt="another"))
    assert len(desk.submits()) == 2


def test_a_request_refused_for_the_moment_runs_when_it_is_sent_again(desk: Desk) -> None:
    desk.ask(generate())
    desk.service.on_engine_lost("it died")
    desk.service.on_engine_back()
    assert desk.ask(generate()) == []
    assert len(desk.submits()) == 2


def test_a_deadline_s_answer_is_kept_too(desk: Desk) -> None:
    desk.ask(generate(timeout_s=1.0))
    error = only_error(desk.tick(1.5))
    assert desk.ask(generate(timeout_s=1.0)) == [error]


def test_two_clients_may_use_the_same_request_id(desk: Desk) -> None:
    desk.greet(b"other")
    desk.ask(generate(), b"c")
    desk.ask(generate(), b"other")
    first, second = desk.submits()
    desk.step(desk.say(second.sid, "b", finish="length"))
    desk.step(desk.say(first.sid, "a", finish="length"))
    answers = [(who, only_done([message]).outputs[0].text) for who, message in desk.sent]
    assert answers == [(b"other", "b"), (b"c", "a")]


def test_a_cancelled_request_ends_and_frees_the_engine(desk: Desk) -> None:
    desk.ask(generate(n=2))
    sids = [submit.sid for submit in desk.submits()]
    assert only_error(desk.ask(Cancel("r"))).code == "cancelled"
    assert desk.dropped() == sids
    assert desk.step(desk.say(sids[0], "late", finish="length")) == []


def test_cancelling_what_is_not_there_does_nothing(desk: Desk) -> None:
    assert desk.ask(Cancel("nobody")) == []


def test_a_failed_sequence_ends_its_request_and_drops_the_others(desk: Desk) -> None:
    desk.ask(generate(n=2))
    first, second = desk.submits()
    desk.service.on_engine_event(
        StepEvents(failed=[Failed(first.sid, "grammar", "no such rule", "/constraint")])
    )
    error = only_error([message for _, message in desk.sent])
    assert (error.code, error.message, error.pointer) == ("grammar", "no such rule", "/constraint")
    assert desk.dropped() == [second.sid]


def test_a_deadline_ends_a_request(desk: Desk) -> None:
    desk.ask(generate(timeout_s=2.0))
    assert desk.tick(1.9) == []
    error = only_error(desk.tick(0.2))
    assert (error.code, error.message) == ("timeout", "no result within 2 s")
    assert len(desk.dropped()) == 1


def test_deadlines_that_are_not_kept_would_be_seen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: nobody looks at them."""
    monkeypatch.setattr(Flights, "expire", lambda flights, now_s: None)
    with pytest.raises(ValueError, match="not enough values"):
        test_a_deadline_ends_a_request(desk)


def test_a_request_without_a_deadline_gets_the_default(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, Limits(request_timeout_s=5.0, client_silence_s=1e9))
    desk.greet()
    desk.ask(generate())
    assert only_error(desk.tick(5.1)).code == "timeout"


def test_a_silent_client_is_gone_and_its_work_with_it(desk: Desk) -> None:
    desk.ask(generate())
    desk.tick(desk.limits.client_silence_s + 1)
    assert len(desk.dropped()) == 1
    assert desk.service.stats()["front_clients"] == 0


def test_a_pinging_client_stays(desk: Desk) -> None:
    desk.ask(generate())
    for _ in range(20):
        desk.tick(desk.limits.client_silence_s / 4)
        desk.ask(Ping(seq=1))
    assert desk.dropped() == []


def test_too_many_waiting_are_refused_until_some_run(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, Limits(max_waiting_sequences=2))
    desk.greet()
    desk.ask(generate("a"))
    desk.ask(generate("b"))
    error = only_error(desk.ask(generate("c")))
    assert error.code == "overloaded"
    assert error.retry_after_s is not None
    assert error.retry_after_s > 0
    assert desk.service.stats()["front_requests_overloaded"] == 1
    desk.step(desk.say(desk.submits()[0].sid, "x", cached_tokens=0))
    assert desk.ask(generate("c")) == []


def test_a_lost_engine_fails_everything_and_a_new_one_serves(desk: Desk) -> None:
    desk.ask(generate("a"))
    desk.ask(generate("b"))
    desk.sent.clear()
    desk.service.on_engine_lost("the engine died")
    assert [only_error([message]).code for _, message in desk.sent] == ["unavailable"] * 2
    assert desk.dropped() == []
    error = only_error(desk.ask(generate("c")))
    assert (error.code, error.retry_after_s) == ("unavailable", 1.0)
    assert desk.ask(Ping(seq=1)) == [Pong(seq=1, ready=False)]
    desk.service.on_engine_back()
    assert desk.ask(generate("d")) == []


def test_ready_means_that_the_engine_s_loop_answered_lately(desk: Desk) -> None:
    desk.tick()
    assert EnginePing(seq=0) in desk.commands
    desk.tick(desk.limits.engine_silence_s - 1)
    assert desk.ask(Ping(seq=1)) == [Pong(seq=1, ready=True)]
    desk.tick(2)
    assert desk.ask(Ping(seq=2)) == [Pong(seq=2, ready=False)]
    desk.service.on_engine_event(EnginePong(seq=0, stats={}))
    assert desk.ask(Ping(seq=3)) == [Pong(seq=3, ready=True)]


def test_info_carries_fresh_counters_of_the_engine(desk: Desk) -> None:
    assert desk.ask(GetInfo("i")) == []
    ping = desk.commands[-1]
    assert isinstance(ping, EnginePing)
    desk.service.on_engine_event(EnginePong(seq=ping.seq, stats={"cached_tokens": 5.0}))
    _, info = desk.sent[-1]
    assert isinstance(info, Info)
    assert info.stats["cached_tokens"] == 5.0
    assert info.stats["front_requests"] == 1


def test_info_at_once_carries_what_the_engine_said_last(desk: Desk) -> None:
    desk.service.on_engine_event(EnginePong(seq=0, stats={"cached_tokens": 5.0}))
    [info] = desk.ask(GetInfo("i", at_once=True))
    assert isinstance(info, Info)
    assert (info.stats["cached_tokens"], info.stats["front_ready"]) == (5.0, 1.0)
    assert desk.commands == []
    desk.now_s += desk.limits.engine_silence_s
    [info] = desk.ask(GetInfo("j", at_once=True))
    assert isinstance(info, Info)
    assert info.stats["front_ready"] == 0.0


def test_flushing_answers_with_the_tokens_freed(desk: Desk) -> None:
    desk.ask(FlushCache("f"))
    number = desk.commands[-1]
    desk.service.on_engine_event(EngineFlushed(seq=number.seq, freed_tokens=42))
    assert desk.sent[-1][1] == Flushed("f", 42)


def test_draining_refuses_new_work_and_finishes_the_old(desk: Desk) -> None:
    desk.ask(generate("a"))
    desk.service.drain()
    assert only_error(desk.ask(generate("b"))).code == "unavailable"
    [submit] = desk.submits()
    assert only_done(desk.step(desk.say(submit.sid, "x", finish="length"))).rid == "a"


def test_a_long_prompt_is_tokenized_beside_the_loop(tokenizer: Tokenizer) -> None:
    desk = Desk(tokenizer, context=100_000)
    desk.greet()
    desk.ask(generate(prompt=LONG))
    assert desk.submits() == []
    desk.offloaded.pop()()
    [submit] = desk.submits()
    assert submit.input_ids == tokenizer.encode_text(LONG)


def test_a_request_cancelled_while_it_is_tokenized_never_reaches_the_engine(
    tokenizer: Tokenizer,
) -> None:
    desk = Desk(tokenizer, context=100_000)
    desk.greet()
    desk.ask(generate(prompt=LONG))
    assert only_error(desk.ask(Cancel("r"))).code == "cancelled"
    desk.offloaded.pop()()
    assert desk.submits() == []


def test_sampling_reaches_the_engine_as_it_was_given(desk: Desk) -> None:
    given = SamplingParams(max_new_tokens=5, temperature=0.3, top_k=7, stop=["x"], seed=1)
    desk.ask(Generate("r", [Text("a")], given, namespace="tenant"))
    [submit] = desk.submits()
    assert submit.sampling == given
    assert submit.namespace == "tenant"
