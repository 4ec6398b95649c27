"""Health, metrics and the OpenAPI document, in every state of the runtime."""

from __future__ import annotations

import threading

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.engine_protocol import EnginePing
from branchline.runtime.protocol import GetInfo
from branchline.runtime.server.flight import Limits
from branchline.runtime.server.http import health as routes
from branchline.runtime.server.http.link import Link
from branchline.runtime.tokenizer import Tokenizer


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a loop that hangs takes too long, however busy the machine is."""
    hangs = "hang" in request.node.name or "hung" in request.node.name
    monkeypatch.setattr(routes, "_FRESH_S", 0.1 if hangs else 60.0)
    monkeypatch.setattr(routes, "_ANSWER_S", 60.0)


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_healthy_runtime_answers_from_its_scheduler(
    front: PlayedFront, asker: Asker, path: str
) -> None:
    answer = asker.get(path)
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert any(isinstance(message, GetInfo) for message in front.messages)


def test_a_runtime_in_a_long_step_is_healthy_at_once(
    front: PlayedFront, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat goes on, but it answers nothing before the end of the step."""
    monkeypatch.setattr(routes, "_FRESH_S", 0.1)
    front.computes = True
    assert [asker.get(path).status for path in ("/health", "/ready")] == [200, 200]
    assert not any(isinstance(command, EnginePing) for command in front.commands)
    assert "branchline_runtime_up 1.0" in asker.get("/metrics").body.decode()
    assert asker.get("/server_info").status == 200


def test_a_front_whose_loop_hangs_is_not_healthy(
    front: PlayedFront, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_ANSWER_S", 0.1)
    over = threading.Event()
    front._errands.put(lambda: over.wait(60) and None)
    answer = asker.get("/health")
    over.set()
    assert (answer.status, answer.error["code"]) == (503, "unresponsive")


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_scheduler_that_hangs_is_neither_healthy_nor_ready(
    front: PlayedFront, asker: Asker, path: str
) -> None:
    front.hung = True
    answer = asker.get(path)
    assert (answer.status, answer.error["code"]) == (503, "unresponsive")


def test_a_runtime_whose_engine_starts_again_lives_but_is_not_ready(own_front: PlayedFront) -> None:
    asker = Asker(own_front.listen())
    own_front.do(lambda: own_front.service.on_engine_lost("the engine died"))
    assert asker.get("/health").json["status"] == "unavailable"
    ready = asker.get("/ready")
    assert (ready.status, ready.headers["retry-after"]) == (503, "1")
    own_front.do(own_front.service.on_engine_back)
    assert asker.get("/ready").status == 200


def test_a_runtime_that_drains_lives_but_takes_nothing_new(own_front: PlayedFront) -> None:
    asker = Asker(own_front.listen())
    own_front.do(own_front.service.drain)
    health = asker.get("/health")
    assert (health.status, health.json["detail"]) == (200, "the runtime is shutting down")
    ready = asker.get("/ready")
    assert (ready.status, ready.headers["retry-after"]) == (503, "1")
    assert "branchline_runtime_front_draining 1.0" in asker.get("/metrics").body.decode()
    answer = asker.chat(stream=True)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_while_the_model_loads_everything_says_so(own_front: PlayedFront) -> None:
    asker = Asker(own_front.listen(loaded=False))
    for path in ("/v1/models", "/get_model_info", "/health_generate"):
        assert asker.get(path).status == 503
    answer = asker.chat()
    assert (answer.status, answer.error["code"]) == (503, "unavailable")


def test_a_full_waiting_room_is_said_before_the_status_line(tokenizer: Tokenizer) -> None:
    front = PlayedFront(tokenizer, limits=Limits(max_waiting_sequences=2))
    try:
        asker = Asker(front.listen())
        front.allow(0)
        front.do(lambda: front.service._calls.waiting.enter(2))
        answer = asker.chat(stream=True)
        assert (answer.status, answer.error["type"]) == (429, "rate_limit_error")
        assert int(answer.headers["retry-after"]) >= 1
    finally:
        front.close()


def test_a_deadline_that_passes_is_said(tokenizer: Tokenizer) -> None:
    front = PlayedFront(tokenizer, limits=Limits(request_timeout_s=0.01))
    try:
        asker = Asker(front.listen())
        front.allow(0)
        connection = asker.send("/v1/completions", {"prompt": "hello"})
        front.wait_until(lambda: len(front.submits) == 1)
        while not front.dropped:
            front.do(front.service.tick)
        assert connection.recv(64).startswith(b"HTTP/1.1 408 ")
        connection.close()
    finally:
        front.close()


def _loads(front: PlayedFront) -> None:
    """Nothing to do: it listens before it serves."""


def _fills(front: PlayedFront) -> None:
    front.allow(0)
    front.do(lambda: front.service._calls.waiting.enter(4_096))


def _hangs(front: PlayedFront) -> None:
    front.hung = True


def _dies(front: PlayedFront) -> None:
    front.do(lambda: front.service.on_engine_lost("the engine died"))


def _drains(front: PlayedFront) -> None:
    front.do(front.service.drain)


# What befalls the runtime, and what /health, /ready and the metric `up` say then.
STATES = {
    "starting": (_loads, 200, 503, 0),
    "ready": (lambda front: None, 200, 200, 1),
    "saturated": (_fills, 200, 200, 1),
    "draining": (_drains, 200, 503, 1),
    "dead": (_dies, 200, 503, 0),
    "hung": (_hangs, 503, 503, 0),
}


@pytest.mark.parametrize("state", STATES)
def test_the_truth_table_of_health(own_front: PlayedFront, state: str) -> None:
    """R21: a cell that is wrong sends traffic to a dead server, or has a live one killed."""
    befall, health, ready, up = STATES[state]
    asker = Asker(own_front.listen(loaded=state != "starting"))
    befall(own_front)
    metrics = asker.get("/metrics")
    told = metrics.body.decode().partition("\nbranchline_runtime_up ")[2].split()[0]
    found = (asker.get("/health").status, asker.get("/ready").status, metrics.status, float(told))
    assert found == (health, ready, 200, up)


def test_a_process_that_is_well_while_its_loop_hangs_would_be_seen(
    own_front: PlayedFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the process answers, without a round trip through the loop."""

    async def well(link: Link) -> None: ...

    monkeypatch.setattr(routes, "check_ready", well)
    with pytest.raises(AssertionError):
        test_the_truth_table_of_health(own_front, "hung")


def test_health_generate_runs_one_token(front: PlayedFront, asker: Asker) -> None:
    assert asker.get("/health_generate").status == 200
    assert front.submits[0].sampling.max_new_tokens == 1


def test_metrics_tell_requests_tokens_times_and_the_runtimes_counters(
    front: PlayedFront, asker: Asker
) -> None:
    front.stats = {"running": 4.0}
    front.allow(1)
    connection = asker.send("/v1/completions", {"prompt": "hello", "stream": True})
    answer = connection.recv(65_536)
    front.allow(None)
    asker.chat(n=0)
    while not answer.endswith(b"\r\n0\r\n\r\n"):
        answer += connection.recv(65_536)
    connection.close()
    text = asker.get("/metrics").body.decode()
    assert 'branchline_http_requests_total{route="/v1/chat/completions",status="400"}' in text
    assert "branchline_runtime_running 4.0" in text
    assert "branchline_runtime_up 1.0" in text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["branchline_time_to_first_token_seconds_count"]) >= 1
    assert float(values["branchline_inter_token_latency_seconds_count"]) >= 1
    assert float(values["branchline_cached_prompt_tokens_total"]) >= 3


def test_the_models_are_listed(asker: Asker) -> None:
    [card] = asker.get("/v1/models").json["data"]
    assert (card["id"], card["max_model_len"]) == ("tiny", 256)
    assert asker.get("/v1/models/tiny").json == card
    assert asker.get("/v1/models/other").status == 404


def test_what_is_not_there_is_said_in_the_same_form(asker: Asker) -> None:
    assert asker.get("/nowhere").error["type"] == "invalid_request_error"
    answer = asker.get("/v1/chat/completions")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a_defect_is_told_without_its_trace(
    front: PlayedFront, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("at /secret/path")

    monkeypatch.setattr("branchline.runtime.server.http.models.json_response", fail)
    answer = asker.get("/v1/models")
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body


def test_the_openapi_document_has_a_schema_for_everything_it_refers_to(asker: Asker) -> None:
    answer = asker.get("/openapi.json")
    schemas = answer.json["components"]["schemas"]
    references = {
        part.split('"')[0] for part in answer.body.decode().split('"#/components/schemas/')[1:]
    }
    assert references <= set(schemas)
    assert "temperature" in schemas["ChatRequest"]["properties"]


def test_nothing_listens_after_the_end(tokenizer: Tokenizer) -> None:
    front = PlayedFront(tokenizer)
    asker = Asker(front.listen())
    assert asker.get("/health").status == 200
    front.close()
    with pytest.raises(ConnectionRefusedError):
        asker.get("/health")
