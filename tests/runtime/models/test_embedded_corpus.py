"""The corpus of the embedded model: seeded, truthful to its documents, and split by wording."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from branchline.runtime.models.embedded import corpus
from branchline.runtime.models.embedded.corpus import chatml, generate
from branchline.runtime.models.embedded.corpus.dialogue import MEMORIES
from branchline.runtime.models.embedded.corpus.phrases import (
    ASKS,
    DOCUMENT_ASKS,
    FOLLOW_UPS,
    TELLS,
)
from branchline.runtime.models.embedded.corpus.schema import Field, Value, outline
from branchline.runtime.models.embedded.corpus.tool_calls import wording
from branchline.runtime.models.embedded.corpus.tool_phrases import FRAMES, ORDERS
from branchline.runtime.models.embedded.corpus.tool_specs import SPECS, Spec
from branchline.runtime.models.embedded.corpus.writer import (
    MIN_WORDINGS_TO_SPLIT,
    Writer,
    reads_like,
    split_wordings,
)

TASKS = [name for name, _ in corpus.TASKS]


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_gives_the_same_samples_again(task: str) -> None:
    first = [chatml(sample.messages) for sample in generate(3, 20, task)]
    again = [chatml(sample.messages) for sample in generate(3, 20, task)]
    assert first == again
    assert first != [chatml(sample.messages) for sample in generate(4, 20, task)]


def string_values(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in string_values(part)]
    if isinstance(value, list):
        return [text for part in value for text in string_values(part)]
    return [str(value)] if isinstance(value, str | int) and not isinstance(value, bool) else []


def test_the_values_of_a_record_stand_in_its_document_or_among_the_options() -> None:
    for sample in generate(11, 200, "extraction"):
        system, document, answer = (message.content for message in sample.messages[:3])
        for text in string_values(json.loads(answer)):
            assert text in document or f'"{text}"' in system


def test_the_label_of_a_text_is_one_of_the_choices_shown() -> None:
    for sample in generate(11, 200, "classification"):
        label = sample.messages[-1].content
        assert label in sample.choices
        prompt = chatml(sample.messages[:-1])
        assert all(choice in prompt for choice in sample.choices)


def test_an_outline_is_written_as_the_prompts_fix_it() -> None:
    fields = (
        Field("customer", "string"),
        Field("priority", "enum", ("low", "high")),
        Field("due", "date", nullable=True),
        Field("tags", "strings"),
        Field("items", "items", fields=(Field("name", "string"), Field("quantity", "integer"))),
    )
    assert outline(fields) == (
        '{"customer":string,"priority":"low"|"high","due":date|null,"tags":[string],'
        '"items":[{"name":string,"quantity":integer}]}'
    )


def tables_of_wordings() -> list[tuple[str, ...]]:
    """Every tuple of strings written in the corpus, read from its source."""
    tables = []
    for path in sorted(Path(corpus.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple) and all(
                isinstance(part, ast.Constant) and isinstance(part.value, str) for part in node.elts
            ):
                tables.append(tuple(part.value for part in node.elts))  # type: ignore[attr-defined]
    return tables


def test_held_out_wordings_are_never_used_in_training() -> None:
    tables = [table for table in tables_of_wordings() if len(set(table)) >= MIN_WORDINGS_TO_SPLIT]
    assert len(tables) > 100
    for table in tables:
        training, heldout = split_wordings(table)
        assert training
        assert heldout
        assert set(training) & set(heldout) <= {""}  # to say nothing is no wording
        writer = Writer(1)
        assert {writer.template((*table,)) for _ in range(50)}.isdisjoint(
            text for text in heldout if text and "[" not in text
        )


@pytest.mark.parametrize("table", [TELLS, ASKS, FOLLOW_UPS, DOCUMENT_ASKS])
def test_wordings_that_fit_anything_are_many_and_distinct(table: tuple[str, ...]) -> None:
    assert len(table) == len({text.lower().rstrip(".?!") for text in table}) >= 55
    for text in table:
        assert "{n}" in text or "{N}" in text
        text.format(n="name", N="Name", v="Ann", be="is")


def test_a_general_wording_never_reads_like_a_held_out_one_of_the_attribute() -> None:
    heldout = {
        text
        for memory in MEMORIES
        for table in (memory.asks, memory.follow_ups)
        if len(set(table)) >= MIN_WORDINGS_TO_SPLIT
        for text in split_wordings(table)[1]
    }
    said = {m.content for sample in generate(5, 1500, "dialogue") for m in sample.messages}
    assert len(heldout) >= len(MEMORIES)
    assert not any(reads_like(text, heldout) for text in said)


def test_every_tool_has_orders_that_name_all_its_required_values() -> None:
    assert len(FRAMES) == len({frame.lower().rstrip(".?!") for frame in FRAMES}) >= 60
    assert all(("{p}" in frame) != ("{P}" in frame) for frame in FRAMES)
    assert list(ORDERS) == [spec.names[0] for spec in SPECS]
    for spec in SPECS:
        count = sum(not slot.phrases for slot in spec.slots)
        for order in ORDERS[spec.names[0]]:
            assert all(f"{{{index}}}" in order for index in range(count))
            order.format(*range(count))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.names[0])
def test_training_says_no_held_out_request_of_a_tool(spec: Spec) -> None:
    made: list[Value] = [f"value{index}" for index in range(len(spec.slots))]
    heldout = [text.format(*made) for text in split_wordings(spec.requests)[1]]
    assert not any(
        reads_like(wording(Writer(seed), spec, made, ""), heldout) for seed in range(400)
    )
