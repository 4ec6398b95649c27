"""Programs of the language against a real runtime process with a tiny random model."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import pstats
import re
import signal
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from processes import children, runs
from pydantic import BaseModel
from stopwatch import seconds_until

import branchline as bl
from branchline.lang.launch import RuntimeProcess


class Record(BaseModel):
    name: Literal["fox", "dog"]
    count: int
    tags: list[Literal["a", "b"]] | None = None


@pytest.fixture(scope="module")
def endpoint(runtime: RuntimeProcess) -> Iterator[bl.RuntimeEndpoint]:
    with bl.RuntimeEndpoint(runtime.address) as endpoint:
        yield endpoint


@bl.function
def talk(s: bl.ProgramState, question: str) -> None:
    s += bl.system("the quick brown fox jumps over lazy dogs")
    s += bl.user(question)
    s += bl.assistant(bl.gen("answer", max_tokens=12, temperature=0.0, ignore_eos=True))


def test_a_conversation_runs_and_its_text_is_what_was_said(endpoint):
    state = talk.run("cats and dogs", backend=endpoint)
    assert state.text() == (
        "<|im_start|>system\nthe quick brown fox jumps over lazy dogs<|im_end|>\n"
        "<|im_start|>user\ncats and dogs<|im_end|>\n"
        f"<|im_start|>assistant\n{state['answer']}<|im_end|>\n"
    )
    meta = state.get_meta_info("answer")
    assert meta is not None
    assert meta["completion_tokens"] == 12
    assert meta["finish_reason"] == {"type": "length", "length": 12}


def test_a_warm_cache_changes_nothing_but_the_count_of_cached_tokens(endpoint):
    bl.flush_cache(endpoint)
    cold, warm = (talk.run("rivers run", backend=endpoint) for _ in range(2))
    assert cold.text() == warm.text()
    cached = [state.usages()[0].cached_tokens for state in (cold, warm)]
    assert cached[0] == 0
    assert cached[1] >= warm.usages()[0].prompt_tokens - 1


def test_streamed_pieces_concatenate_to_the_text(endpoint):
    state = talk.run("stars", backend=endpoint, stream=True)
    assert "".join(state.text_iter()) == state.text()
    assert "".join(state.text_iter("answer")) == state["answer"]
    assert state["answer"] == talk.run("stars", backend=endpoint)["answer"]


def test_a_stream_carries_log_probabilities_of_every_token(endpoint):
    @bl.function
    def program(s):
        s += "the quick" + bl.gen(
            "x", max_tokens=10, ignore_eos=True, return_logprob=True, top_logprobs_num=2
        )

    async def collect(state):
        return [meta async for _, meta in state.text_async_iter("x", return_meta_data=True)]

    state = program.run(backend=endpoint, stream=True, temperature=0.0)
    metas = asyncio.run(collect(state))
    streamed = [token for meta in metas for token in meta.get("output_token_logprobs", [])]
    whole = state.get_meta_info("x")
    assert whole is not None
    assert streamed == whole["output_token_logprobs"]
    assert len(streamed) == 10
    assert all(len(top) == 2 for top in whole["output_top_logprobs"])


def test_a_record_of_a_type_validates(endpoint):
    @bl.function
    def program(s) -> Record:
        s += "the fox" + bl.gen("record", schema=Record, max_tokens=60, temperature=1.0, seed=5)
        return s.value("record", Record)

    state = program.run(backend=endpoint)
    assert isinstance(state.ret_value, Record)


@pytest.mark.parametrize("layout", [{"indent": 2}, {"separators": (", ", ": ")}])
def test_a_record_is_laid_out_as_asked(endpoint, layout):
    @bl.function
    def program(s):
        s += "the fox" + bl.gen("record", schema=Record, max_tokens=200, seed=5, **layout)

    text = program.run(backend=endpoint)["record"]
    assert json.dumps(json.loads(text), ensure_ascii=False, **layout) == text


@pytest.mark.parametrize(
    ("form", "pattern"),
    [({"regex": "[ab]{3}-[0-9]{2}"}, "[ab]{3}-[0-9]{2}"), ({"dtype": int}, "[-+]?[0-9]+")],
)
def test_a_regex_holds_the_output(endpoint, form, pattern):
    @bl.function
    def program(s):
        s += "stars" + bl.gen("x", max_tokens=20, seed=1, **form)

    assert re.fullmatch(pattern, program.run(backend=endpoint)["x"])


def test_select_decides_by_the_scores(endpoint):
    @bl.function
    def program(s, method):
        s += "the quick brown " + bl.select("x", ["fox", "dogs", "stars"], choices_method=method)
        s += bl.gen("rest", max_tokens=3)

    for method in (
        bl.token_length_normalized,
        bl.greedy_token_selection,
        bl.unconditional_likelihood_normalized,
    ):
        state = program.run(method, backend=endpoint)
        meta = state.get_meta_info("x")
        assert meta is not None
        assert state["x"] in ("fox", "dogs", "stars")
        assert len(meta["input_token_logprobs"]) == 3
        assert state.text().startswith("the quick brown " + state["x"])


def test_children_of_a_fork_find_the_shared_prefix_cached(endpoint):
    @bl.function
    def program(s):
        s += "the quick brown fox jumps over lazy dogs and cats while rivers run to sea " * 4
        group = s.fork(6)
        group += lambda i: f" {i}" + bl.gen("x", max_tokens=4, ignore_eos=True)
        group.join()

    bl.flush_cache(endpoint)
    state = program.run(backend=endpoint)
    assert len(state["x"]) == 6
    first, *children = state.usages()
    assert first.cached_tokens == 0
    assert all(usage.cached_tokens >= first.prompt_tokens - 1 for usage in children)


def test_several_sequences_differ_and_the_first_goes_on(endpoint):
    @bl.function
    def program(s):
        s += "the" + bl.gen("x", n=4, max_tokens=12, ignore_eos=True) + "!"

    state = program.run(backend=endpoint, temperature=1.0)
    assert len(set(state["x"])) > 1
    assert state.text() == f"the{state['x'][0]}!"


def test_what_would_come_next_can_be_asked_without_generating(endpoint):
    @bl.function
    def program(s):
        s += "the quick" + bl.gen(
            "x",
            max_tokens=0,
            return_logprob=True,
            top_logprobs_num=5,
            return_text_in_logprobs=True,
        )

    meta = program.run(backend=endpoint).get_meta_info("x")
    assert meta is not None
    top = meta["output_top_logprobs"][0]
    assert [logprob for logprob, _, _ in top] == sorted((t[0] for t in top), reverse=True)
    assert len(top) == 5


def test_a_batch_shares_its_prefix_and_keeps_its_order(endpoint):
    @bl.function
    def program(s, number):
        s += "the quick brown fox jumps over lazy dogs and cats while rivers run to sea " * 4
        s += f"{number}" + bl.gen("x", max_tokens=4, ignore_eos=True)
        return number

    bl.flush_cache(endpoint)
    states = program.run_batch([(i,) for i in range(40)], backend=endpoint, temperature=0.0)
    assert [state.ret_value for state in states] == list(range(40))
    prompt = sum(state.usages()[0].prompt_tokens for state in states)
    cached = sum(state.usages()[0].cached_tokens for state in states)
    assert cached > 0.8 * prompt


def test_a_broken_schema_is_a_grammar_error_and_harms_nothing(endpoint):
    @bl.function
    def program(s):
        s += "the fox" + bl.gen("x", json_schema={"type": "objekt"})

    error = program.run(backend=endpoint).error()
    assert isinstance(error, bl.GrammarError)
    assert error.variable == "x"
    assert talk.run("cats", backend=endpoint).error() is None


def test_a_prompt_that_does_not_fit_is_an_error_and_harms_nothing(endpoint):
    @bl.function
    def program(s):
        s += "stars " * 9000 + bl.gen("x")

    assert isinstance(program.run(backend=endpoint).error(), bl.ContextLengthExceeded)
    assert talk.run("cats", backend=endpoint).error() is None


def test_cancelling_stops_the_call_in_the_runtime(endpoint):
    @bl.function
    def program(s):
        s += "the" + bl.gen("x", max_tokens=3500, ignore_eos=True)

    state = program.run(backend=endpoint, stream=True)
    next(state.text_iter("x"))
    state.cancel()
    with pytest.raises(bl.Cancelled):
        state["x"]
    assert talk.run("cats", backend=endpoint).error() is None


def test_a_runtime_that_dies_ends_every_program_with_its_error(model_dir: Path, temporary: Path):
    @bl.function
    def program(s):
        s += "the" + bl.gen("x", max_tokens=3500, ignore_eos=True)

    with bl.Runtime(model_path=str(model_dir), kv_slots=8192, num_threads=1) as runtime:
        states = [program.run(backend=runtime, stream=True) for _ in range(4)]
        next(states[0].text_iter("x"))
        os.kill(runtime.pid, signal.SIGKILL)
        for state in states:
            with pytest.raises(bl.RuntimeUnavailable):
                state["x"]


def test_a_text_that_the_budget_closed_says_so(endpoint: bl.RuntimeEndpoint) -> None:
    @bl.function
    def program(s: bl.ProgramState) -> None:
        s += "the" + bl.gen("tight", regex="[a-z]{1,200}[.]", max_tokens=4, temperature=0)
        s += bl.gen("roomy", choices=["fox", "dog"])

    state = program.run(backend=endpoint)
    tight, roomy = state.get_meta_info("tight"), state.get_meta_info("roomy")
    assert tight is not None
    assert roomy is not None
    assert tight["finish_reason"]["type"] == "stop"
    assert tight["closed_by_budget"] is True
    assert "closed_by_budget" not in roomy


def test_whoever_holds_the_endpoint_holds_the_runtime(model_dir: Path, temporary: Path):
    @bl.function
    def program(s):
        s += "the" + bl.gen("x", max_tokens=3)

    bl.set_default_backend(bl.Runtime(str(model_dir), kv_slots=8192, num_threads=1))
    try:
        gc.collect()
        state = program.run()
        assert state.error() is None
    finally:
        bl.set_default_backend(None)
    process = weakref.ref(state.stream_executor.backend.process)
    del state
    seconds_until(lambda: gc.collect() >= 0 and process() is None, 20)
    assert list(temporary.iterdir()) == []


def test_an_engine_in_this_process_gives_the_same_text(endpoint, model_dir: Path):
    with bl.Engine(model_path=str(model_dir), kv_slots=8192) as engine:
        inside = talk.run("cats and dogs", backend=engine).text()
    assert inside == talk.run("cats and dogs", backend=endpoint).text()


def test_half_a_surrogate_pair_fails_its_own_instance(endpoint, model_dir: Path):
    @bl.function
    def program(s, text):
        s += text + bl.gen("x", max_tokens=2) + "|" + bl.gen("y", max_tokens=2)

    with bl.Engine(str(model_dir), kv_slots=512, num_threads=1) as engine:
        for backend in (endpoint, engine):
            states = program.run_batch([["a\ud800b"], ["the"]], backend=backend)
            assert [type(state.error()) for state in states] == [bl.InvalidRequest, type(None)]


def test_an_engine_in_this_process_ends_with_its_processes_and_threads(model_dir: Path):
    @bl.function
    def program(s):
        s += "the" + bl.gen("x", regex="[a-z]{3}", max_tokens=8)

    def lasting() -> set[int]:
        return set(filter(runs, children(os.getpid())))

    def new_threads() -> set[str]:
        names = {thread.name for thread in set(threading.enumerate()) - threads}
        return names & {"branchline-engine", "grammar"}

    processes, threads = lasting(), set(threading.enumerate())
    with bl.Engine(str(model_dir), kv_slots=512, num_threads=1) as engine:
        assert program.run(backend=engine).error() is None
        assert lasting() - processes
        assert new_threads()
    seconds_until(lambda: lasting() <= processes, 20)
    seconds_until(lambda: not new_threads(), 20)


def test_a_runtime_with_a_folder_for_profiles_writes_what_its_engine_did(
    model_dir: Path, tmp_path: Path
):
    folder = tmp_path / "profiles"
    with bl.Engine(str(model_dir), kv_slots=8192, profile_dir=str(folder)) as engine:
        engine.start_profile()
        with pytest.raises(bl.InvalidRequest, match="under way already"):
            engine.start_profile()
        talk.run("cats and dogs", backend=engine).sync()
        path = Path(engine.stop_profile())
    assert path.parent == folder
    assert "step" in pstats.Stats(str(path)).get_stats_profile().func_profiles


def test_a_runtime_without_a_folder_for_profiles_writes_none(endpoint):
    with pytest.raises(bl.InvalidRequest, match="profile_dir"):
        endpoint.start_profile()


def test_two_hundred_programs_at_once_need_few_threads(endpoint):
    before = threading.active_count()
    states = [talk.run(f"fox {i}", backend=endpoint) for i in range(200)]
    assert threading.active_count() == before
    assert all(state.error() is None for state in states)


@pytest.mark.parametrize("stream", [False, True])
def test_an_output_ends_with_the_match_of_a_stop_pattern(endpoint, stream):
    @bl.function
    def program(s):
        s += "the fox" + bl.gen("x", max_tokens=200, ignore_eos=True, stop_regex="[a-z] ?[a-z]")

    state = program.run(backend=endpoint, stream=stream, temperature=1.0, seed=3)
    assert re.fullmatch("([^a-z]|[a-z] ?[^a-z ])*?[a-z] ?[a-z]", state["x"])
    assert state.get_meta_info("x")["finish_reason"]["matched"] == "[a-z] ?[a-z]"


def test_a_stop_pattern_that_is_not_regular_is_refused(endpoint):
    @bl.function
    def program(s):
        s += "the fox" + bl.gen("x", stop_regex=r"(a)\1")

    with pytest.raises(bl.GrammarError, match="backreferences"):
        program.run(backend=endpoint)["x"]
