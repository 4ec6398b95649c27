"""/v1/responses against an engine that the test plays."""

from __future__ import annotations

from openai.types.responses import ResponseErrorEvent
from played_front import Asker, PlayedFront

from branchline.runtime.engine_protocol import Failed, Submit


def test_a_failure_in_mid_stream_is_an_event_of_this_api(front: PlayedFront, asker: Asker) -> None:
    calls: list[Submit] = []

    def fail_later(submit: Submit) -> Failed | None:
        calls.append(submit)
        return Failed(0, "unavailable", "the engine died") if len(calls) > 2 else None

    front.fail = fail_later
    *events, last = asker.post("/v1/responses", input="x", stream=True).events
    told = ResponseErrorEvent.model_validate(last)
    assert (told.type, told.code, told.message) == ("error", "unavailable", "the engine died")
    assert told.sequence_number == len(events)
    assert last["error"]["type"] == "server_error"
