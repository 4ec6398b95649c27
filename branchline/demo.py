"""The main job: typed records from the 48 documents in frontend_examples, with a score.

Called by `branchline demo`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

from branchline.frontend_examples.extract_records import RECORD_TYPES, extract_record
from branchline.runtime.models.embedded.scoring import score_record

from .records import Summary, result_of, run_records

if TYPE_CHECKING:
    from branchline.lang.backend.base import Backend

DOCUMENTS = Path(__file__).parent / "frontend_examples" / "data" / "documents.jsonl"
OUTPUT_NAME = "extracted.jsonl"


@dataclass(frozen=True)
class Score:
    """What came out, against the schemas and against the gold answers, in percent."""

    schema_valid_pct: float
    exact_fields_pct: float


def load_documents() -> list[dict[str, Any]]:
    """The documents with their gold answers: `id, kind, text, gold`."""
    lines = DOCUMENTS.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def run_demo(
    backend: Backend, output: Path, documents: list[dict[str, Any]]
) -> tuple[Summary, Score]:
    """Extract every document, write one record per line to `output`, and score the records."""
    inputs = [{"kind": document["kind"], "text": document["text"]} for document in documents]
    states, summary = run_records(extract_record, inputs, backend=backend, output=output)
    return summary, score([result_of(state) for state in states], documents)


def score(records: list[Any], documents: list[dict[str, Any]]) -> Score:
    """Judge records as a reader of the file would: by `jsonschema` and by the gold answers."""
    valid = right = fields = 0
    for record, document in zip(records, documents, strict=True):
        schema = RECORD_TYPES[document["kind"]].model_json_schema()
        valid += jsonschema.Draft202012Validator(schema).is_valid(record)
        parts_right, parts = score_record(record, document["gold"])
        right += parts_right
        fields += parts
    return Score(100.0 * valid / len(documents), 100.0 * right / fields)
