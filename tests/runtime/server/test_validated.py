"""Schemas that are checked when the value is there: what breaks them is generated again."""

from __future__ import annotations

import pytest
from service_desk import Desk, only_done, only_error

from branchline.runtime.engine_protocol import Submit
from branchline.runtime.protocol import Chunk, Generate, JsonSchema, SamplingParams, Text

SCHEMA = JsonSchema('{"items":{"type":"integer"},"uniqueItems":true}', on_unsupported="validate")


def ask(desk: Desk, *, stream: bool = False, **sampling: object) -> Submit:
    params = SamplingParams(**sampling)  # type: ignore[arg-type]
    desk.ask(Generate("r", [Text("hello")], params, constraint=SCHEMA, stream=stream))
    return desk.submits()[-1]


def judged(desk: Desk) -> list[object]:
    """Let the judge, who works beside the loop, have his say; what clients were told."""
    before = len(desk.sent)
    desk.offloaded.pop()()
    return [message for _, message in desk.sent[before:]]


def test_a_valid_value_is_handed_on_and_an_invalid_one_generated_again(desk: Desk) -> None:
    first = ask(desk, seed=5)
    assert desk.step(desk.say(first.sid, "[1,1]", end_token=True)) == []
    assert judged(desk) == []
    second = desk.submits()[-1]
    assert second.sid != first.sid
    assert (second.input_ids, second.constraint) == (first.input_ids, first.constraint)
    assert second.sampling.seed != first.sampling.seed
    assert desk.step(desk.say(second.sid, "[1,2]", end_token=True)) == []
    done = only_done(judged(desk))
    assert [output.text for output in done.outputs] == ["[1,2]"]
    # What was generated in vain was generated.
    assert done.usage.completion_tokens > len(done.outputs[0].token_ids) + 1
    assert desk.service.num_in_flight == 0


def test_a_stream_shows_nothing_that_could_be_taken_back(desk: Desk) -> None:
    first = ask(desk, stream=True)
    assert desk.step(desk.say(first.sid, "[1,")) == []
    desk.step(desk.say(first.sid, "1]", end_token=True))
    judged(desk)
    desk.step(desk.say(desk.submits()[-1].sid, "[7]", end_token=True))
    chunk, done = judged(desk)
    assert isinstance(chunk, Chunk)
    assert chunk.text == "[7]"
    assert only_done([done]).num_chunks == 1


def test_attempts_end_with_the_keyword_that_the_last_one_broke(desk: Desk) -> None:
    submit = ask(desk, temperature=0.0)
    temperatures = []
    for _ in range(4):
        temperatures.append(submit.sampling.temperature)
        assert desk.step(desk.say(submit.sid, "[2,2]", end_token=True)) == []
        told = judged(desk)
        submit = desk.submits()[-1]
    error = only_error(told)
    assert (error.code, error.pointer) == ("grammar", "/constraint/schema")
    assert "none of 4 outputs" in error.message
    assert "#/uniqueItems" in error.message
    assert temperatures == [0.0, 1.0, 1.0, 1.0]  # a greedy output would only come back
    assert len(desk.submits()) == 4


def test_each_of_several_outputs_is_judged_by_itself(desk: Desk) -> None:
    ask(desk, n=2)
    one, two = desk.submits()
    desk.step(desk.say(one.sid, "[3]", end_token=True), desk.say(two.sid, "[4,4]", end_token=True))
    while desk.offloaded:
        assert judged(desk) == []
    third = desk.submits()[-1]
    assert third.sid not in (one.sid, two.sid)
    desk.step(desk.say(third.sid, "[4]", end_token=True))
    done = only_done(judged(desk))
    assert [output.text for output in done.outputs] == ["[3]", "[4]"]


@pytest.mark.parametrize("when", ["judged", "again"])
def test_a_call_that_is_cancelled_meanwhile_stays_cancelled(desk: Desk, when: str) -> None:
    from branchline.runtime.protocol import Cancel

    first = ask(desk)
    desk.step(desk.say(first.sid, "[1,1]", end_token=True))
    if when == "again":
        judged(desk)
    assert only_error(desk.ask(Cancel("r"))).code == "cancelled"
    submits = desk.submits()
    while desk.offloaded:
        assert judged(desk) == []
    assert desk.submits() == submits
    assert desk.dropped() == ([submits[-1].sid] if when == "again" else [])
