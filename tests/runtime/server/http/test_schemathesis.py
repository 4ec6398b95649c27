"""Requests that schemathesis makes up from our own OpenAPI document, good ones and bad ones: never
a server error, and every answer as the document says."""

from __future__ import annotations

import json
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


@pytest.mark.nightly
@pytest.mark.timeout(1_700)
@pytest.mark.parametrize(("examples", "least"), [(25, 1_000), (400, 10_000)])
def test_no_request_from_the_document_or_against_it_breaks_the_server(
    front: PlayedFront, asker: Asker, tmp_path: Path, examples: int, least: int
) -> None:
    """Positive and negative data, and the coverage phase, on all routes."""
    assert front.server is not None
    url = front.server.url
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url]
    command += ["--phases=examples,coverage,fuzzing", "--mode=all", f"--checks={CHECKS}"]
    command += [f"--max-examples={examples}", "--seed=1", "--continue-on-failure", "--no-shrink"]
    command += ["--generation-database=none", "--warnings=off", "--no-color"]
    command += ["--report=json", f"--report-json-path={report}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=1_600
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    generated = num_cases(done.stdout)
    print(f"{generated} cases")
    assert generated >= least
    assert json.loads(report.read_text())
    assert asker.get("/ready").status == 200


def num_cases(printed: str) -> int:
    """From the line `301 generated, 301 passed`."""
    [line] = [line for line in printed.splitlines() if " generated, " in line]
    return int(line.split()[0].replace(",", ""))
