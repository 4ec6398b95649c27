"""The main job and the command line, with real processes and the embedded model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import branchline as bl
from branchline.demo import load_documents
from branchline.frontend_examples.extract_records import RECORD_TYPES, extract_record

# Starting a runtime and extracting 48 documents takes seconds on a quiet machine.
pytestmark = pytest.mark.timeout(400)

KEYS = [
    "documents",
    "schema_valid_pct",
    "exact_fields_pct",
    "tokens_generated",
    "cached_prompt_pct",
    "tokens_per_s",
    "wall_s",
]
SLOW_PROGRAM = """
import branchline as bl

@bl.function
def ramble(s, topic):
    s += bl.user(topic) + bl.assistant(bl.gen("text", max_tokens=3000, ignore_eos=True))
    for piece in s.text_iter("text"):
        with open("started", "w"):  # a pipe: waits for the test to open its other end
            break
"""


def branchline(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "branchline", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Any]]:
    """One run of `branchline demo --json`: its summary and the records it wrote."""
    folder = tmp_path_factory.mktemp("demo")
    result = branchline("demo", "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    lines = (folder / "extracted.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(result.stdout), [json.loads(line) for line in lines]


def test_the_demo_prints_its_summary_as_one_object(demo: Any) -> None:
    summary, records = demo
    assert list(summary) == KEYS
    assert summary["documents"] == len(records) == 48


def test_every_record_of_the_demo_validates(demo: Any) -> None:
    summary, records = demo
    for document, record in zip(load_documents(), records, strict=True):
        jsonschema.validate(record, RECORD_TYPES[document["kind"]].model_json_schema())
    assert summary["schema_valid_pct"] == 100.0


def test_more_than_half_of_the_fields_of_the_demo_are_right(demo: Any) -> None:
    summary, _ = demo
    assert summary["exact_fields_pct"] >= 75.0


@pytest.fixture(scope="module")
def runtime() -> Iterator[bl.Runtime]:
    with bl.Runtime(model_path="embedded", num_threads=1, kv_slots=65_536) as runtime:
        yield runtime


def test_cold_and_warm_cache_give_the_same_text(runtime: bl.Runtime) -> None:
    endpoint = runtime.endpoint
    documents = [
        {"kind": document["kind"], "text": document["text"]} for document in load_documents()[::4]
    ]

    def one_by_one(flush: bool) -> list[tuple[str, int]]:
        results = []
        for document in documents:
            if flush:
                endpoint.flush_cache()
            state = extract_record.run(**document, backend=endpoint)
            results.append((state.text(), state.usages()[0].cached_tokens))
        return results

    cold = one_by_one(flush=True)
    warm = one_by_one(flush=False)
    assert [text for text, _ in cold] == [text for text, _ in warm]
    assert all(cached == 0 for _, cached in cold)
    assert all(cached > 0 for _, cached in warm)


def test_later_documents_find_the_instructions_in_the_cache(runtime: bl.Runtime) -> None:
    endpoint = runtime.endpoint
    endpoint.flush_cache()
    mails = [d for d in load_documents() if d["kind"] == "support_mail"]
    for document in mails[:2]:
        state = extract_record.run(kind=document["kind"], text=document["text"], backend=endpoint)
        state.sync()
    from branchline.runtime.models.resolve import resolve_model
    from branchline.runtime.protocol import Text
    from branchline.runtime.tokenizer import Tokenizer

    before_document = state.text().split(mails[1]["text"][:20])[0]
    tokenizer = Tokenizer.load(resolve_model("embedded"))
    instructions = tokenizer.encode([Text(before_document, markup=True)])
    # The last tokens before the document may merge with its first characters.
    assert state.usages()[0].cached_tokens >= len(instructions) - 2


def test_a_program_of_the_user_runs_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(
        "import branchline as bl\n\n@bl.function\ndef pick(s, text):\n"
        "    s += bl.user(text)\n"
        "    s += bl.assistant(bl.gen('code', regex='[A-Z]{2}[0-9]{2}', temperature=0.0))\n"
    )
    (tmp_path / "in.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    result = branchline(
        "run", "sums.py", "--input", "in.jsonl", "--output", "out.jsonl", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [list(json.loads(line)) for line in lines] == [["code"], ["code"]]


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    result = branchline("demo", "--model", str(tmp_path / "nothing"), cwd=tmp_path)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "nothing" in result.stderr


def test_ctrl_c_ends_a_run_and_its_runtime(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW_PROGRAM)
    (tmp_path / "in.jsonl").write_text('{"topic": "rivers"}\n')
    os.mkfifo(tmp_path / "started")
    process = subprocess.Popen(
        [sys.executable, "-m", "branchline", "run", "slow.py", "--input", "in.jsonl"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    try:
        (tmp_path / "started").read_text()
        os.killpg(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert runtimes_below(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def runtimes_below(folder: Path) -> list[str]:
    """Command lines of processes whose environment points into `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except (OSError, ValueError):
            continue
    return found
