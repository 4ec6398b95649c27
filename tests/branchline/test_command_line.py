"""The command line as a whole: help, doctor, settings from variables and files, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from branchline import doctor
from branchline.cli import app
from branchline.records import UsageError
from branchline.runtime.server.layers import OTHER_TABLES, read_table
from branchline.serve_command import ServeCommand
from branchline.settings import default_map

runner = CliRunner()


@pytest.fixture
def conversed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `chat` was told; no model is loaded."""
    import contextlib

    told: dict[str, Any] = {}
    monkeypatch.setattr("branchline.cli.backend_for", lambda *a, **k: contextlib.nullcontext(None))
    monkeypatch.setattr("branchline.chat.converse", lambda backend, out, **k: told.update(k))
    return told


def test_help_teaches_by_examples() -> None:
    for command in ([], ["run"], ["chat"], ["bench", "serve"]):
        text = runner.invoke(app, [*command, "--help"]).output
        assert "branchline " + " ".join(command or ["demo"]) in text, command


def test_a_flag_wins_over_a_variable_and_that_over_the_file(
    conversed: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "branchline.toml"
    file.write_text("[chat]\ntemperature = 0.1\nmax-tokens = 11\nsystem = 'from the file'\n")
    variables = {"BRANCHLINE_CHAT_TEMPERATURE": "0.2", "BRANCHLINE_CHAT_MAX_TOKENS": "22"}
    arguments = ["--config", str(file), "chat", "--temperature", "0.3"]
    result = runner.invoke(app, arguments, env=variables)
    assert result.exit_code == 0, result.output
    assert conversed == {"temperature": 0.3, "max_tokens": 22, "system": "from the file"}


def test_the_file_may_be_named_by_a_variable(conversed: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "branchline.toml"
    file.write_text("[chat]\nmax_tokens = 7\n[serve]\nkv-slots = 1\n")
    assert runner.invoke(app, ["chat"], env={"BRANCHLINE_CONFIG": str(file)}).exit_code == 0
    assert conversed["max_tokens"] == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[chat]\ntemprature = 1", ["[chat]", "'temprature'", "did you mean temperature"]),
        ("[chatt]\ntemperature = 1", ["'chatt'", "did you mean chat"]),
        ("[bench.serv]\nrate = 1", ["'bench.serv'", "did you mean serve"]),
        ("[bench.serve]\nrates = 1", ["[bench.serve]", "did you mean rate"]),
        ("temperature = 1", ["'temperature'", "there are"]),
        ("[chat", ["is no TOML"]),
    ],
)
def test_what_no_command_knows_is_refused(tmp_path: Path, content: str, words: list[str]) -> None:
    file = tmp_path / "branchline.toml"
    file.write_text(content)
    result = runner.invoke(app, ["--config", str(file), "doctor"])
    assert isinstance(result.exception, UsageError)
    for word in [str(file), *words]:
        assert word in str(result.exception)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = runner.invoke(app, ["--config", str(tmp_path / "no.toml"), "doctor"])
    assert isinstance(result.exception, UsageError)


def test_a_variable_that_is_none_is_refused() -> None:
    result = runner.invoke(app, ["doctor"], env={"BRANCHLINE_CHAT_TEMPRATURE": "1"})
    assert isinstance(result.exception, UsageError)
    assert "did you mean BRANCHLINE_CHAT_TEMPERATURE" in str(result.exception)


def test_values_of_nested_commands_are_nested(tmp_path: Path) -> None:
    import typer.main

    file = tmp_path / "branchline.toml"
    file.write_text("[bench.serve]\nprompt-words = 5\n")
    group = typer.main.get_group(app)
    assert default_map(group, file) == {"bench": {"serve": {"prompt_words": 5}}}


def test_one_file_has_tables_for_the_server_and_every_other_command(tmp_path: Path) -> None:
    import typer.main

    commands = typer.main.get_group(app).commands
    file = tmp_path / "branchline.toml"
    file.write_text("".join(f"[{name}]\n" for name in commands))
    assert read_table(file, "serve", OTHER_TABLES) == {}
    assert commands.keys() - {"serve"} == OTHER_TABLES


def test_doctor_tells_what_is_there() -> None:
    result = runner.invoke(app, ["doctor", "--json"])
    found = {each["subject"]: each for each in json.loads(result.output)}
    assert result.exit_code == 0, found
    assert found["torch"]["state"] == found["kernels: torch"]["state"] == "good"
    assert found["embedded model"]["state"] == "good"
    assert {"Python", "CPU", "kernels: C++", "memory"} <= set(found)


def test_doctor_survives_a_check_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def _gpu() -> None:
        raise OSError("the driver is mad")

    monkeypatch.setattr(doctor, "_gpu", _gpu)
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    broken = [each for each in json.loads(result.output) if each["state"] == "broken"]
    assert broken == [
        {"subject": "gpu", "state": "broken", "found": "OSError: the driver is mad", "advice": ""}
    ]


def test_doctor_names_the_package_that_would_add_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "openai" else "1")
    [finding] = [each for each in doctor.examine() if each.subject == "openai"]
    assert (finding.state, "branchline[openai]" in finding.advice) == ("missing", True)


def test_the_server_says_the_same_on_its_short_way() -> None:
    environ = {name: v for name, v in os.environ.items() if not name.startswith("BRANCHLINE_")}
    command = [sys.executable, "-m", "branchline", "serve", "--no-such-flag"]
    said = [
        subprocess.run(command, env=environ | more, capture_output=True, text=True)
        for more in ({}, {"BRANCHLINE_CHAT_TEMPERATURE": "0.5"})
    ]
    assert "--no-such-flag" in said[0].stderr
    assert said[0].returncode == said[1].returncode == 2
    assert said[0].stderr == said[1].stderr


def test_the_servers_flags_are_completed() -> None:
    command = ServeCommand("serve")
    found = [item.value for item in command.shell_complete(None, "--kv")]
    assert sorted(found) == ["--kv-dtype", "--kv-memory-fraction", "--kv-slots"]
    assert "--config" in [item.value for item in command.shell_complete(None, "--")]
    assert command.shell_complete(None, "--nothing") == []
