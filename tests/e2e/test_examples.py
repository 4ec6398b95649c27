"""The example programs, run with the embedded model. What is asserted holds with any model; what
needs this one's skill is in test_demo.py."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
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


@pytest.fixture(scope="module")
def endpoint() -> Iterator[bl.RuntimeEndpoint]:
    with bl.Runtime(model_path="embedded", num_threads=1, kv_slots=65_536) as runtime:
        yield runtime.endpoint


def test_classification_gives_one_of_the_labels_and_a_lead(endpoint: bl.RuntimeEndpoint) -> None:
    results = classify_few_shot.classify_all(["Where is it?", "It is broken."], endpoint)
    assert {label for label, _ in results} <= set(classify_few_shot.LABELS)
    assert min(lead for _, lead in results) >= 0


def test_classification_computes_the_solved_examples_once(endpoint: bl.RuntimeEndpoint) -> None:
    first, second = classify_few_shot.classify.run_batch(
        [{"text": "One parcel."}, {"text": "Other parcel."}], backend=endpoint, num_threads=1
    )
    shared = len(first.text().split("One parcel.")[0])
    cached = second.usages()[0].cached_tokens
    prompt = second.usages()[0].prompt_tokens
    assert cached >= prompt - (len(second.text()) - shared)


def test_the_tree_of_thought_keeps_its_best_leaf(endpoint: bl.RuntimeEndpoint) -> None:
    state = tree_of_thought.tree_of_thought("How long?", backend=endpoint)
    assert state["score"] in {"1", "2", "3", "4", "5"}
    assert state.ret_value == state["answer"]


def test_the_tree_of_thought_runs_all_leaves(endpoint: bl.RuntimeEndpoint) -> None:
    state = tree_of_thought.tree_of_thought("How long?", width=2, backend=endpoint)
    # Two plans, four answers and four scores, besides what the forks compute ahead.
    assert sum(usage.completion_tokens > 0 for usage in state.usages()) == 6


def test_self_consistency_returns_the_most_frequent_answer(endpoint: bl.RuntimeEndpoint) -> None:
    state = self_consistency.self_consistency("How many?", samples=3, backend=endpoint)
    answer, votes = state.ret_value
    given = [int(text) for text in state["answer"]]
    assert len(given) == 3
    assert votes == given.count(answer) == max(map(given.count, given))


def test_the_judge_merges_three_readers_into_a_verdict(endpoint: bl.RuntimeEndpoint) -> None:
    state = branch_solve_merge.judge("Libraries lend rooms.", backend=endpoint)
    assert isinstance(state.ret_value, branch_solve_merge.Verdict)
    assert len(state["grade"]) == len(state["comment"]) == 3
    assert f"- clarity: {state['grade'][0]} of 5." in state.messages()[2]["content"]


def test_a_streamed_chat_shows_every_answer(endpoint: bl.RuntimeEndpoint) -> None:
    pieces: list[str] = []
    asyncio.run(streaming_chat.show(["the fox", "the dog"], endpoint, pieces.append))
    shown = "".join(pieces)
    assert re.fullmatch(r"you:   the fox\nmodel: .*\nyou:   the dog\nmodel: .*\n", shown, re.S)
    assert len(pieces) > 8


def test_a_chat_with_tools_answers_every_question(endpoint: bl.RuntimeEndpoint) -> None:
    shown: list[tuple[str, str]] = []
    state = tool_chat.tool_chat.run(
        ["How many kettles are in stock?", "And lamps?"],
        lambda role, text: shown.append((role, text)),
        backend=endpoint,
    )
    told = [(turn["role"], turn["content"]) for turn in state.messages()[1:]]
    assert [turn for turn in told if turn[0] != "user"] == shown
    assert [role for role, _ in told].count("user") == 2
    assert told[-1][0] == "assistant"


def test_the_agent_looks_an_order_up_and_answers(endpoint: bl.RuntimeEndpoint) -> None:
    state = agent_tools.agent("Where is my order AB-1234?", backend=endpoint)
    roles = [message["role"] for message in state.messages()]
    assert roles[:2] == ["system", "user"]
    assert roles[-1] == "assistant"
    assert state.ret_value == state["answer"]


def test_an_extracted_record_validates(endpoint: bl.RuntimeEndpoint) -> None:
    state = extract_records.extract_record("order", "Two kettles, please.", backend=endpoint)
    schema = extract_records.RECORD_TYPES["order"].model_json_schema()
    jsonschema.validate(json.loads(state["record"]), schema)


def test_the_quickstart_sorts_a_mail(endpoint: bl.RuntimeEndpoint) -> None:
    state = quickstart.triage("My kettle is broken.", backend=endpoint)
    assert state.error() is None
    assert state.messages()[-1]["role"] == "assistant"


FILES = {
    "warranty.md": "# Warranty\n\nThe warranty covers the motor for five years.\n\nNot the cable.",
    "shipping.txt": "Parcels leave our house on Tuesdays.",
    "photo.jpg": "The warranty covers the motor: not a text file.",
}


def test_the_search_finds_the_passage_that_has_the_words(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    passages = answer_from_files.read_passages(tmp_path)
    assert len(passages) == 4
    found = answer_from_files.search(passages, "What does the warranty cover: the motor?", 1)
    assert found[0].text == "The warranty covers the motor for five years."


def test_an_answer_from_files_names_one_of_them(endpoint: bl.RuntimeEndpoint) -> None:
    passages = [answer_from_files.Passage(name, text) for name, text in FILES.items()]
    state = answer_from_files.answer("What is covered?", passages, backend=endpoint)
    assert state["source"] in FILES
    assert state.ret_value == f"{state['answer']} [{state['source']}]"


def test_json_comes_in_its_form_each_way(endpoint: bl.RuntimeEndpoint) -> None:
    by_regex, by_schema, by_type = decode_json.three_ways("the fox", endpoint)
    assert re.fullmatch(decode_json.REGEX, by_regex)
    assert json.loads(by_regex).keys() == by_schema.keys()
    jsonschema.validate(by_schema, decode_json.SCHEMA)
    assert isinstance(by_type, decode_json.Character)


def test_a_program_of_sglang_runs(
    endpoint: bl.RuntimeEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    from_sglang.main(endpoint)
    printed = capsys.readouterr().out
    assert "To answer this question: What is 23 times 7?" in printed
    assert "assistant : " in printed


def test_a_program_of_sglang_differs_by_its_import_alone() -> None:
    source = Path(from_sglang.__file__).read_text(encoding="utf-8")
    code = source.split('"""', 2)[2]
    assert code.count("branchline") == 1
    assert "import branchline as sgl" in code
