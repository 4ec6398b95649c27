"""How the demo judges its records."""

from __future__ import annotations

import copy
from typing import Any

from branchline.demo import load_documents, score
from branchline.frontend_examples.extract_records import RECORD_TYPES
from branchline.runtime.models.embedded.scoring import leaves


def test_every_gold_answer_is_a_record_of_its_kind() -> None:
    documents = load_documents()
    assert len(documents) == 48
    for document in documents:
        RECORD_TYPES[document["kind"]].model_validate(document["gold"])


def test_the_gold_answers_themselves_score_a_hundred() -> None:
    documents = load_documents()
    result = score([document["gold"] for document in documents], documents)
    assert (result.schema_valid_pct, result.exact_fields_pct) == (100.0, 100.0)


def test_one_wrong_field_costs_one_field() -> None:
    document, records = one_document()
    fields = len(list(leaves(document["gold"])))
    records[0]["customer"] = "somebody else"
    result = score(records, [document])
    assert result.schema_valid_pct == 100.0
    assert result.exact_fields_pct == 100.0 * (fields - 1) / fields


def test_a_surplus_line_item_counts_as_wrong_fields() -> None:
    document, records = one_document()
    fields = len(list(leaves(document["gold"])))
    records[0]["items"].append(records[0]["items"][0])
    assert score(records, [document]).exact_fields_pct == 100.0 * fields / (fields + 3)


def test_a_record_against_the_schema_is_not_valid() -> None:
    document, records = one_document()
    records[0]["total"] = "12,50"
    assert score(records, [document]).schema_valid_pct == 0.0


def test_a_failed_record_is_neither_valid_nor_right() -> None:
    document, _ = one_document()
    result = score([{"error": {"type": "GrammarError", "message": "no"}}], [document])
    assert (result.schema_valid_pct, result.exact_fields_pct) == (0.0, 0.0)


def one_document() -> tuple[dict[str, Any], list[Any]]:
    document = next(d for d in load_documents() if d["kind"] == "invoice")
    return document, [copy.deepcopy(document["gold"])]
