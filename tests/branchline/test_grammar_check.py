"""What `bl.check_grammar` and `branchline grammar check` tell of a constraint."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import branchline as bl
from branchline.cli import app

SCHEMA = {
    "title": "Points",
    "type": "object",
    "properties": {
        "price": {"type": "number", "multipleOf": 0.3},
        "score": {"type": "integer", "minimum": 1},
    },
    "required": ["score"],
}


def states(report: bl.GrammarReport) -> dict[str, str]:
    return {keyword.pointer: keyword.state for keyword in report.keywords}


def test_a_report_names_each_keyword_that_is_refused_and_what_becomes_of_the_others():
    report = bl.check_grammar(json_schema=SCHEMA)
    assert not report.ok
    assert report.pointer == "#/properties/price/multipleOf"
    found = states(report)
    assert found["#/properties/price/multipleOf"] == "refused"
    assert found["#/properties/score/minimum"] == "enforced"
    assert found["#/title"] == "described"


def test_what_is_refused_is_a_superset_where_values_are_checked_later():
    report = bl.check_grammar(json_schema=SCHEMA, on_unsupported="validate")
    assert report.ok
    assert states(report)["#/properties/price/multipleOf"] == "superset"
    assert report.shortest == len('{"score":1}')


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"regex": r"(a)\1"}, "backreferences"),
        ({"grammar": "root ::= x"}, "no rule `x`"),
        ({"json_schema": '{"type":"string","enum":[1]}'}, "nothing satisfies it"),
        ({"json_schema": '{"$ref":"https://example.org/s"}'}, "example.org"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_runtime(form, told):
    report = bl.check_grammar(**form)
    assert not report.ok
    assert told in (report.refusal or "")


@pytest.mark.parametrize("forms", [{}, {"regex": "a", "grammar": "b"}])
def test_exactly_one_form_is_checked(forms):
    with pytest.raises(ValueError, match="give one of"):
        bl.check_grammar(**forms)


def test_the_command_prints_the_keywords_and_ends_as_the_schema_would(tmp_path):
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    refused = CliRunner().invoke(app, ["grammar", "check", str(file)])
    assert refused.exit_code == 1
    assert "multipleOf" in refused.stdout
    checked = CliRunner().invoke(app, ["grammar", "check", str(file), "--validate", "--json"])
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["ok"] is True


def test_the_command_goes_by_a_file_s_name(tmp_path):
    file = tmp_path / "list.gbnf"
    file.write_text('root ::= "a" ("," "a")*\n')
    result = CliRunner().invoke(app, ["grammar", "check", str(file)])
    assert (result.exit_code, "1 bytes" in result.stdout) == (0, True)
    assert CliRunner().invoke(app, ["grammar", "check", str(tmp_path / "none")]).exit_code == 2
