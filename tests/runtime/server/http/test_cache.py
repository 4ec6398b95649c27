"""/cache against an engine that the test plays."""

from __future__ import annotations

from array import array

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.engine_protocol import EnginePin, EngineUnpin
from branchline.runtime.views import EventsQuery, EventsView, EventView


def test_a_prefix_is_computed_and_then_pinned(front: PlayedFront, asker: Asker) -> None:
    answer = asker.post("/cache/pin", prompt="hello world", ttl_s=20).json
    [pin] = [command for command in front.commands if isinstance(command, EnginePin)]
    assert answer == {"pin": 4711, "num_tokens": len(pin.input_ids)}
    [submit] = front.submits
    assert submit.input_ids == pin.input_ids == front.tokenizer.encode_text("hello world")
    assert (submit.sampling.max_new_tokens, pin.ttl_s) == (0, 20.0)


def test_the_beginning_of_a_conversation_is_pinned_as_the_template_writes_it(
    front: PlayedFront, asker: Asker
) -> None:
    asker.post("/cache/pin", messages=[{"role": "system", "content": "hello"}])
    asker.post(
        "/v1/chat/completions",
        model="tiny",
        messages=[{"role": "system", "content": "hello"}, {"role": "user", "content": "a"}],
    )
    [pin] = [command for command in front.commands if isinstance(command, EnginePin)]
    assert front.submits[-1].input_ids[: len(pin.input_ids)] == pin.input_ids


def test_a_pin_is_ended_by_its_number(front: PlayedFront, asker: Asker) -> None:
    assert asker.post("/cache/unpin", pin=4711).json == {"success": True}
    front.wait_until(lambda: EngineUnpin(4711) in front.commands)


def test_a_prompt_and_messages_together_are_refused(asker: Asker) -> None:
    answer = asker.post("/cache/pin", prompt="a", messages=[])
    assert (answer.status, answer.error["param"]) == (400, "prompt")


def test_a_router_reads_what_changed(front: PlayedFront, asker: Asker) -> None:
    def inspect(namespace: str, query: object) -> EventsView:
        assert query == EventsQuery(since=5)
        event = EventView(5, "stored", "abc", array("i", [3, 4]).tobytes())
        return EventsView([event], oldest=2, next_number=6, kept=100)

    front.inspect = inspect
    answer = asker.ask("GET", "/cache/events?since=5").json
    assert answer == {
        "events": [{"number": 5, "kind": "stored", "parent": "abc", "tokens": [3, 4]}],
        "oldest": 2,
        "next": 6,
    }


@pytest.mark.parametrize("since", ["abc", "-1", "1.5", "", "9" * 30])
def test_a_since_that_is_no_number_is_a_wrong_field(asker: Asker, since: str) -> None:
    answer = asker.ask("GET", f"/cache/events?since={since}")
    assert answer.status == 400
    assert answer.error["param"] == "since"
    assert answer.error["type"] == "invalid_request_error"
    operation = asker.get("/openapi.json").json["paths"]["/cache/events"]["get"]
    assert list(operation["responses"]) == ["200", "400", "503"]


def test_a_runtime_that_keeps_no_events_says_how_to_make_it(
    front: PlayedFront, asker: Asker
) -> None:
    front.inspect = lambda namespace, query: EventsView([], 0, 0, kept=0)
    answer = asker.ask("GET", "/cache/events")
    assert answer.status == 400
    assert "--cache-events" in answer.error["message"]
