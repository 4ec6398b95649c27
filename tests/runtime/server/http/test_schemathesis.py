"""Requests that schemathesis makes up from our own OpenAPI document, good ones and bad ones: never
a server error, and every answer as the document says (S8)."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from played_front import Asker, PlayedFront

pytest.importorskip("schemathesis")

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)
COUNTED = re.compile(r'branchline_http_requests_total\{route="([^"]*)",status="(\d+)"\} (\S+)')


@pytest.mark.nightly
@pytest.mark.timeout(1_700)
@pytest.mark.parametrize(
    ("phases", "examples", "least", "time_s"),
    [
        # Every bound and every kind of wrong value of every field, in turn.
        pytest.param("coverage", 1, 1_000, 1_600, id="coverage"),
        # Drawn at random, too: a few cases per second.
        pytest.param("examples,coverage,fuzzing", 400, 10_000, 1_600, id="all"),
    ],
)
def test_no_request_from_the_document_or_against_it_breaks_the_server(
    front: PlayedFront,
    asker: Asker,
    tmp_path: Path,
    phases: str,
    examples: int,
    least: int,
    time_s: int,
) -> None:
    """Positive and negative data on all routes. A machine without free cores may run out of time
    after the least number, as long as nothing failed until then."""
    assert front.server is not None
    url = front.server.url
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url]
    command += [f"--phases={phases}", "--mode=all", f"--checks={CHECKS}"]
    command += [f"--max-examples={examples}", "--seed=1", "--continue-on-failure", "--no-shrink"]
    command += ["--generation-database=none", "--warnings=off", "--no-color"]
    printed = tmp_path / "printed"
    with printed.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(time_s)
        ended = process.poll()
        process.kill()
        process.wait()
    answers = answered(asker)
    generated = sum(answers.values())
    print(f"{generated} requests, statuses {sorted({status for _, status in answers})}")
    failures = {route for (route, status), _ in answers.items() if status == 500}
    assert failures == set(), printed.read_text()[-6_000:]
    assert ended in (0, None), printed.read_text()[-6_000:]
    assert generated >= least
    assert asker.get("/ready").status == 200


def answered(asker: Asker) -> dict[tuple[str, int], int]:
    """How many requests were answered, by route and status."""
    found = COUNTED.findall(asker.get("/metrics").body.decode())
    return {(route, int(status)): int(float(number)) for route, status, number in found}
