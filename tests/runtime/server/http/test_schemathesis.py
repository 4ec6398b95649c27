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
# It makes a few cases per second; on a machine without free cores the number is not reached.
TIME_S = 1_600
COUNTED = re.compile(r'branchline_http_requests_total\{route="([^"]*)",status="(\d+)"\} (\S+)')


@pytest.mark.nightly
@pytest.mark.timeout(TIME_S + 100)
@pytest.mark.parametrize(("examples", "least"), [(25, 1_000), (400, 10_000)])
def test_no_request_from_the_document_or_against_it_breaks_the_server(
    front: PlayedFront, asker: Asker, tmp_path: Path, examples: int, least: int
) -> None:
    """Positive and negative data, and the coverage phase, on all routes."""
    assert front.server is not None
    url = front.server.url
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url]
    command += ["--phases=examples,coverage,fuzzing", "--mode=all", f"--checks={CHECKS}"]
    command += [f"--max-examples={examples}", "--seed=1", "--continue-on-failure", "--no-shrink"]
    command += ["--generation-database=none", "--warnings=off", "--no-color"]
    printed = tmp_path / "printed"
    with printed.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TIME_S)
        ended = process.poll()
        process.kill()
        process.wait()
    answers = answered(asker)
    generated = sum(answers.values())
    print(f"{generated} requests, statuses {sorted({status for _, status in answers})}")
    failures = {route for (route, status), _ in answers.items() if status == 500}
    assert failures == set(), printed.read_text()[-6_000:]
    assert ended is not None, f"time was up after {generated} requests, none of which failed"
    assert ended == 0, printed.read_text()[-6_000:]
    assert generated >= least
    assert asker.get("/ready").status == 200


def answered(asker: Asker) -> dict[tuple[str, int], int]:
    """How many requests were answered, by route and status."""
    found = COUNTED.findall(asker.get("/metrics").body.decode())
    return {(route, int(status)): int(float(number)) for route, status, number in found}
