"""What clients of vLLM and SGLang hold an answer to, beside OpenAI's response_format."""

from __future__ import annotations

from typing import Any

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.protocol import Choices, Constraint, Ebnf, JsonSchema, Regex

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
SCHEMA_TEXT = '{"type":"object","properties":{"a":{"type":"integer"}}}'
GRAMMAR = 'root ::= "yes" | "no"'
JSON, ANY = JsonSchema(SCHEMA_TEXT), JsonSchema('{"type":"object"}')
REGEX, CHOICES, EBNF = Regex("[a-z]+"), Choices(["yes", "no"]), Ebnf(GRAMMAR)

FORMS: list[tuple[dict[str, Any], Constraint | None]] = [
    ({"guided_json": SCHEMA}, JSON),
    ({"guided_json": SCHEMA_TEXT}, JSON),
    ({"guided_regex": "[a-z]+"}, REGEX),
    ({"guided_choice": ["yes", "no"]}, CHOICES),
    ({"guided_grammar": GRAMMAR}, EBNF),
    ({"structured_outputs": {"json": SCHEMA}}, JSON),
    ({"structured_outputs": {"regex": "[a-z]+"}}, REGEX),
    ({"structured_outputs": {"choice": ["yes", "no"]}}, CHOICES),
    ({"structured_outputs": {"grammar": GRAMMAR}}, EBNF),
    ({"structured_outputs": {"json_object": True}}, ANY),
    ({"structured_outputs": {"json_object": False}}, None),
    ({"json_schema": SCHEMA_TEXT}, JSON),
    ({"regex": "[a-z]+"}, REGEX),
    ({"ebnf": GRAMMAR}, EBNF),
    ({"response_format": {"type": "regex", "pattern": "[a-z]+"}}, REGEX),
    ({"guided_json": None}, None),
]


@pytest.mark.parametrize(("fields", "constraint"), FORMS, ids=lambda value: str(value)[:40])
def test_each_name_holds_the_answer_to_the_same(
    front: PlayedFront, asker: Asker, fields: dict[str, Any], constraint: Constraint | None
) -> None:
    assert asker.chat(**fields).status == 200
    assert asker.post("/v1/completions", prompt="a", **fields).status == 200
    assert [submit.constraint for submit in front.submits] == [constraint] * 2


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"guided_json": SCHEMA, "guided_regex": "a"}, "guided_regex"),
        ({"response_format": {"type": "json_object"}, "regex": "a"}, "regex"),
        ({"structured_outputs": {"json": SCHEMA, "regex": "a"}}, "structured_outputs"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"guided_choice": "yes"}, "guided_choice"),
        ({"guided_json": 1}, "guided_json"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_contradicts_itself_is_refused_by_name(
    asker: Asker, fields: dict[str, Any], named: str
) -> None:
    answer = asker.chat(**fields)
    assert answer.status == 400
    assert answer.error["param"] == named
    assert named in answer.error["message"]


@pytest.mark.parametrize("name", ["chat_template", "chat_template_kwargs"])
def test_templates_of_a_request_are_refused_with_what_to_do(asker: Asker, name: str) -> None:
    answer = asker.chat(**{name: {"enable_thinking": False}})
    assert answer.status == 400
    assert answer.error["message"].startswith(f"{name} is not supported: ")
    assert "/v1/completions" in answer.error["message"]
    assert asker.chat(**{name: None}).status == 200


def test_a_message_names_its_field_for_clients_that_show_nothing_else(asker: Asker) -> None:
    for fields in (
        {"n": 129},
        {"temperature": -1},
        {"logit_bias": {"1": 1e9}},
        {"stop": ["x"] * 33},
    ):
        answer = asker.chat(**fields)
        assert answer.status == 400
        assert str(answer.error["message"]).startswith(f"{answer.error['param']}: ")
