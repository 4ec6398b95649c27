"""/v1/embeddings against an engine that the test plays."""

from __future__ import annotations

import base64
from array import array

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.engine_protocol import Failed, Submit

PATH = "/v1/embeddings"


def test_each_input_gets_a_vector_in_order(front: PlayedFront, asker: Asker) -> None:
    answer = asker.post(PATH, input=["hello", "hello world"]).json
    assert [entry["index"] for entry in answer["data"]] == [0, 1]
    lengths = [len(front.tokenizer.encode_text(text)) for text in ("hello", "hello world")]
    # The played engine's vectors begin with the number of tokens.
    assert [entry["embedding"][0] for entry in answer["data"]] == lengths
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] == sum(lengths)
    assert {submit.sampling.max_new_tokens for submit in front.submits} == {0}


def test_base64_spells_the_same_numbers(asker: Asker) -> None:
    [plain] = asker.post(PATH, input="hello").json["data"]
    [coded] = asker.post(PATH, input="hello", encoding_format="base64").json["data"]
    assert array("f", base64.b64decode(coded["embedding"])).tolist() == plain["embedding"]


@pytest.mark.parametrize("given", [[5, 6, 7], [[5, 6, 7]]])
def test_token_ids_are_taken_as_they_are(front: PlayedFront, asker: Asker, given: object) -> None:
    assert asker.post(PATH, input=given).status == 200
    assert front.submits[0].input_ids == [5, 6, 7]


def test_pooling_and_dimensions_reach_the_engine(front: PlayedFront, asker: Asker) -> None:
    asker.post(PATH, input="hello")
    asker.post(PATH, input="hello", pooling="last", dimensions=2)
    asked = [submit.embed for submit in front.submits]
    assert [(embed.pooling, embed.dimensions) for embed in asked if embed] == [
        ("mean", None),
        ("last", 2),
    ]


def test_more_dimensions_than_there_are_name_the_field(front: PlayedFront, asker: Asker) -> None:
    def fail(submit: Submit) -> Failed:
        return Failed(submit.sid, "invalid_request", "there are 4", "/embed/dimensions")

    front.fail = fail
    answer = asker.post(PATH, input="hello", dimensions=5)
    assert (answer.status, answer.error["param"]) == (400, "dimensions")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"input": "word " * 300}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "model": "other"}, "model"),
    ],
)
def test_what_is_wrong_is_named(asker: Asker, fields: dict[str, object], param: str) -> None:
    answer = asker.post(PATH, **fields)
    assert answer.status in (400, 404)
    assert answer.error["param"] == param


def test_ollamas_form_has_the_same_vectors(asker: Asker) -> None:
    ours = asker.post(PATH, input=["hello", "hello world"]).json
    theirs = asker.post("/api/embed", model="tiny", input=["hello", "hello world"]).json
    assert theirs["embeddings"] == [entry["embedding"] for entry in ours["data"]]
    assert theirs["prompt_eval_count"] == ours["usage"]["prompt_tokens"]


def test_ollamas_errors_have_its_form(asker: Asker) -> None:
    answer = asker.post("/api/embed", model="tiny", input=[])
    assert (answer.status, answer.json) == (400, {"error": "input is empty"})
