"""How answers are judged: in parts, and nothing for free."""

from __future__ import annotations

from branchline.runtime.models.embedded.scoring import score_calls, score_record

ORDER = {"id": "A-1", "items": [{"name": "lamp", "count": 2}, {"name": "desk", "count": 1}]}


def test_every_scalar_of_an_equal_record_is_right() -> None:
    assert score_record(ORDER, ORDER) == (5, 5)


def test_a_missing_line_item_counts_each_of_its_fields_wrong() -> None:
    assert score_record(ORDER | {"items": ORDER["items"][:1]}, ORDER) == (3, 5)


def test_an_invented_field_counts_as_wrong() -> None:
    assert score_record(ORDER | {"paid": True}, ORDER) == (5, 6)


def test_no_record_at_all_has_nothing_right() -> None:
    right, _ = score_record({}, ORDER)
    assert right == 0


CALL = '<tool_call>{"name":"add","arguments":{"a":1}}</tool_call>'
OTHER = CALL.replace("1", "2")


def test_calls_are_right_one_by_one_in_their_order() -> None:
    assert score_calls(CALL + OTHER, CALL + CALL) == (1, 2)


def test_a_call_too_many_counts_as_wrong() -> None:
    assert score_calls(CALL + OTHER, CALL) == (1, 2)


def test_a_call_that_does_not_parse_is_wrong() -> None:
    assert score_calls("<tool_call>{</tool_call>", CALL) == (0, 1)


def test_where_no_call_is_wanted_the_text_must_be_the_same() -> None:
    assert score_calls("Hello!", "Hello!") == (1, 1)
    assert score_calls(CALL, "Hello!") == (0, 1)
