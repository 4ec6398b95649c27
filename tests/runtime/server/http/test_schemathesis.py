"""Requests that schemathesis makes up from our own OpenAPI document, good ones and bad ones: never
a server error, and every answer as the document says (S8)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.server.http import health
from branchline.runtime.views import EngineQuery, EngineView, EventsQuery, EventsView, SequencesView

pytest.importorskip("schemathesis")

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)
COUNTED = re.compile(r'branchline_http_requests_total\{route="([^"]*)",status="(\d+)"\} (\S+)')


def inside(namespace: str, query: EngineQuery) -> EngineView:
    """What the played engine shows of itself."""
    if isinstance(query, EventsQuery):
        return EventsView([], query.since, query.since, 0)
    return SequencesView([], {"running": 0.0})


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    ("options", "one_of", "least"),
    [
        # Every bound and every kind of wrong value of every field, in turn; one of five of them.
        pytest.param(["--phases=coverage"], 5, 1_000, id="share"),
        pytest.param(["--phases=coverage"], 1, 5_000, id="coverage", marks=pytest.mark.nightly),
        # Drawn at random, too.
        pytest.param(
            ["--phases=coverage,fuzzing", "--max-examples=300"],
            1,
            10_000,
            id="all",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_no_request_from_the_document_or_against_it_breaks_the_server(
    front: PlayedFront,
    asker: Asker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    one_of: int,
    least: int,
) -> None:
    """Positive and negative data on all routes."""
    front.inspect = inside
    # A machine that stands still is no loop that hangs, of which /health would tell.
    monkeypatch.setattr(health, "_ANSWER_S", 60.0)
    before = answered(asker)
    done = schemathesis(front, tmp_path, options, one_of)
    answers = answered(asker) - before
    print(f"{answers.total()} requests, statuses {sorted({status for _, status in answers})}")
    assert {route for route, status in answers if status == 500} == set(), done.stdout[-6_000:]
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    assert answers.total() >= least
    assert {fixed(route) for route, _ in answers} >= documented(asker)
    assert asker.get("/ready").status == 200


def test_a_server_error_and_an_answer_against_the_document_would_be_seen(
    front: PlayedFront, asker: Asker, tmp_path: Path
) -> None:
    """Planted: an engine that answers another question, which is an error of the server's."""
    front.inspect = lambda namespace, query: SequencesView([], {})
    done = schemathesis(front, tmp_path, ["--phases=coverage", "--include-path=/cache/events"])
    assert done.returncode == 1
    assert "Server error" in done.stdout
    assert answered(asker)["/cache/events", 500] > 0


def schemathesis(
    front: PlayedFront, folder: Path, options: list[str], one_of: int = 1
) -> subprocess.CompletedProcess[str]:
    assert front.server is not None
    url = front.server.url
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url]
    command += ["--mode=all", f"--checks={CHECKS}", "--seed=1"]
    command += ["--continue-on-failure", "--no-shrink", "--generation-database=none"]
    # Neither the answers nor the tool itself are fast on a machine that does other things.
    command += ["--request-timeout=120", "--suppress-health-check=all"]
    command += ["--warnings=off", "--no-color", *options]
    own = {"SCHEMATHESIS_HOOKS": "schemathesis_share", "BRANCHLINE_TESTS_ONE_OF": str(one_of)}
    environment = {**os.environ, **own, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def answered(asker: Asker) -> Counter[tuple[str, int]]:
    """How many requests were answered, by route and status."""
    found = COUNTED.findall(asker.get("/metrics").body.decode())
    return Counter({(route, int(status)): int(float(number)) for route, status, number in found})


def documented(asker: Asker) -> set[str]:
    """The routes of the OpenAPI document."""
    return set(map(fixed, asker.get("/openapi.json").json["paths"]))


def fixed(route: str) -> str:
    """The beginning of a route that is the same for all its requests."""
    return route.partition("{")[0]
