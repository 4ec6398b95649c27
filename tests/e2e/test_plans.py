"""Every example program, compiled and interpreted by a real runtime: the same results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

import branchline as bl
from branchline.frontend_examples import (
    agent_tools,
    answer_from_files,
    branch_solve_merge,
    classify_few_shot,
    decode_json,
    extract_records,
    from_sglang,
    quickstart,
    self_consistency,
    streaming_chat,
    tool_chat,
    tree_of_thought,
)
from branchline.lang.client import ZmqConnection
from branchline.lang.launch import RuntimeProcess
from branchline.runtime import protocol

PASSAGES = [
    answer_from_files.Passage("a.md", "The warranty covers the motor."),
    answer_from_files.Passage("b.md", "Parcels leave on Tuesdays."),
]
EXAMPLES: list[tuple[bl.Function[Any], list[dict[str, Any]]]] = [
    (agent_tools.agent, [{"question": "Where is AB-1234?"}, {"question": "Is it warm?"}]),
    (answer_from_files.answer, [{"question": "What is covered?", "passages": PASSAGES}]),
    (branch_solve_merge.judge, [{"text": "Libraries lend rooms."}, {"text": "The fox."}]),
    (classify_few_shot.classify, [{"text": "Where is it?"}, {"text": "It is broken."}]),
    (decode_json.describe, [{"name": "the fox", "json_schema": decode_json.SCHEMA}]),
    (extract_records.extract_record, [{"kind": "order", "text": "Two kettles, please."}]),
    (from_sglang.tool_use, [{"question": "What is 23 times 7?"}]),
    (from_sglang.tip_suggestion, [{"topic": "the fox"}, {"topic": "the dog"}]),
    (from_sglang.multi_turn, [{"question_1": "the fox?", "question_2": "the dog?"}]),
    (quickstart.triage, [{"mail": "My kettle is broken."}, {"mail": "the quick fox"}]),
    (self_consistency.self_consistency, [{"question": "How many?", "samples": 3}]),
    (streaming_chat.chat, [{"questions": ["the fox", "the dog"]}]),
    (tool_chat.tool_chat, [{"questions": ["Any kettles?"], "show": lambda role, text: None}]),
    (tree_of_thought.tree_of_thought, [{"question": "How long?"}]),
]


@pytest.fixture(scope="module")
def endpoint(runtime: RuntimeProcess) -> Iterator[bl.RuntimeEndpoint]:
    with bl.RuntimeEndpoint(runtime.address) as endpoint:
        yield endpoint


def seen(state: bl.ProgramState) -> dict[str, Any]:
    """What must not depend on how a program was run. Log probabilities vary in their last digits
    with the batch, cached tokens with what ran before."""
    executor = state.stream_executor
    metas = {name: state.get_meta_info(name) or {} for name in executor.cells}
    kept = ("prompt_tokens", "completion_tokens", "finish_reason")
    return {
        "error": str(state.error()),
        "text": state.text(),
        "messages": state.messages(),
        "variables": executor.variables,
        "returned": state.ret_value,
        "metas": {
            name: {key: meta[key] for key in kept if key in meta} for name, meta in metas.items()
        },
    }


@pytest.mark.parametrize(
    ("program", "items"), EXAMPLES, ids=lambda given: getattr(given, "name", "")
)
def test_an_example_reads_the_same_compiled_and_interpreted(
    program: bl.Function[Any], items: list[dict[str, Any]], endpoint: bl.RuntimeEndpoint
) -> None:
    # Some examples ask for a temperature themselves: with a seed they, too, are determined.
    compiled = program.run_batch(items, backend=endpoint, temperature=0, seed=7)
    interpreted = program.run_batch(items, backend=endpoint, temperature=0, seed=7, compiled=False)
    assert [seen(state) for state in compiled] == [seen(state) for state in interpreted]


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (from_sglang.tip_suggestion, {"topic": "the fox"}),
        (from_sglang.multi_turn, {"question_1": "the fox?", "question_2": "the dog?"}),
        (quickstart.triage, {"mail": "My kettle is broken."}),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
def test_an_example_that_traces_reads_the_same(
    program: bl.Function[Any], arguments: dict[str, Any], endpoint: bl.RuntimeEndpoint
) -> None:
    compiled = program.compile()
    assert compiled.reason is None
    run = compiled.run(**arguments, backend=endpoint, temperature=0)
    assert seen(run) == seen(program.run(**arguments, backend=endpoint, temperature=0))


def test_a_whole_program_is_one_message_each_way(
    endpoint: bl.RuntimeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever depends on what was generated: choices, copies of outputs, forks and joins."""
    sent: list[str] = []
    taken: list[str] = []
    connection = cast(ZmqConnection, endpoint.connection)
    send, take = connection._send, connection._take

    def note_sent(message: protocol.ClientMessage) -> None:
        sent.append(type(message).__name__)
        send(message)

    def note_taken(message: protocol.FrontMessage) -> None:
        taken.append(type(message).__name__)
        take(message)

    monkeypatch.setattr(connection, "_send", note_sent)
    monkeypatch.setattr(connection, "_take", note_taken)

    @bl.function
    def program(s: bl.ProgramState, topic: str) -> None:
        s += topic + bl.gen("a", max_tokens=3) + bl.select("b", choices=["fox", "dog"])
        s += " again: " + s["a"] + bl.gen("c", max_tokens=3)
        for mode in ("gather_variable", "concate_and_append"):
            branches = s.fork(2)
            branches += bl.gen("d", max_tokens=2) + s["b"] + bl.gen("e", max_tokens=2)
            branches.join(mode)
        s += bl.gen("end", max_tokens=2)

    compiled = program.compile()
    assert compiled.reason is None
    run = compiled.run("the fox", backend=endpoint, temperature=0)
    run.sync()
    # Heartbeats, and what earlier programs let go, come in between.
    told = [name for name in (*sent, *taken) if name not in ("Ping", "Pong", "Release")]
    assert told == ["RunPlan", "PlanDone"]
    assert seen(run) == seen(program.run("the fox", backend=endpoint, temperature=0))


def test_branches_of_a_plan_find_their_trunk_in_the_cache(endpoint: bl.RuntimeEndpoint) -> None:
    @bl.function
    def program(s: bl.ProgramState, number: int) -> None:
        s += f"{number}: " + "the quick brown fox " * 40
        branches = s.fork(8)
        branches += lambda index: f"{index}" + bl.gen("x", max_tokens=2)
        branches.join()

    [state] = program.run_batch([{"number": 1}], backend=endpoint)
    trunk, *branches = sorted(state.usages(), key=lambda usage: usage.completion_tokens)
    assert trunk.completion_tokens == 0
    assert all(usage.prompt_tokens - usage.cached_tokens <= 8 for usage in branches)


def test_cancelling_a_batch_frees_its_plans_in_the_runtime(endpoint: bl.RuntimeEndpoint) -> None:
    @bl.function
    def program(s: bl.ProgramState, number: int) -> None:
        s += f"{number}" + bl.gen("a", max_tokens=4000, ignore_eos=True) + bl.gen("b")

    states = program.run_batch(
        [{"number": n} for n in range(4)], backend=endpoint, timeout=0.5, on_error="return"
    )
    assert all(isinstance(state.error(), bl.TimeoutExceeded) for state in states)
    while endpoint.get_server_info()["front_requests_in_flight"] > 1:
        pass
