"""The command line as a whole: help, doctor, settings from variables and files, completion."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "lang"))

from scripted import Scripted

from branchline import doctor
from branchline.cli import app, backend_for, main, with_config_first
from branchline.records import Interrupted, UsageError
from branchline.runtime.kernels.cpu.build import KernelBuildError, library_path
from branchline.runtime.server.layers import OTHER_TABLES, read_table
from branchline.serve_command import ServeCommand
from branchline.settings import default_map

runner = CliRunner()


@pytest.fixture
def conversed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `chat` was told; no model is loaded."""
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


PROGRAM = """
import branchline as bl

@bl.function
def greet(s, name):
    s += f"Hello {name}, " + bl.gen("rest")
    s += bl.gen("own", temperature=0.9, max_tokens=3)
"""


@pytest.fixture
def greeting(tmp_path: Path) -> list[str]:
    """The arguments of a run over three records."""
    (tmp_path / "greeting.py").write_text(PROGRAM)
    (tmp_path / "in.jsonl").write_text('{"name": "Ada"}\n{"name": "Bob"}\n{"name": "Cleo"}\n')
    return ["run", str(tmp_path / "greeting.py"), "--input", str(tmp_path / "in.jsonl")]


def test_flags_of_a_run_are_defaults_for_its_calls(
    greeting: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Scripted()
    monkeypatch.setattr("branchline.cli.backend_for", lambda *a, **k: contextlib.nullcontext(model))
    flags = ["--limit", "2", "--temperature", "0.5", "--max-tokens", "9"]
    result = runner.invoke(app, [*greeting, *flags])
    assert result.exit_code == 0, result.output
    told = sorted((call.sampling.temperature, call.sampling.max_new_tokens) for call in model.calls)
    assert told == [(0.5, 9)] * 2 + [(0.9, 3)] * 2


def test_an_output_that_cannot_be_written_is_refused_before_a_model_is_loaded(
    greeting: list[str], tmp_path: Path
) -> None:
    result = runner.invoke(app, [*greeting, "--output", str(tmp_path / "gone" / "out.jsonl")])
    assert isinstance(result.exception, UsageError)


def test_a_disk_that_is_full_is_told_in_a_line(
    greeting: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: object, **settings: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("branchline.cli.backend_for", lambda *a, **k: contextlib.nullcontext())
    monkeypatch.setattr("branchline.records.run_records", full)
    monkeypatch.setattr(sys, "argv", ["branchline", *greeting])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device\n"


def test_ctrl_c_while_a_run_goes_on_is_told(
    greeting: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("branchline.cli.backend_for", lambda *a, **k: contextlib.nullcontext())
    monkeypatch.setattr("branchline.records.run_records", interrupted)
    result = runner.invoke(app, [*greeting, "--output", str(tmp_path / "x.jsonl"), "--resume"])
    assert isinstance(result.exception, Interrupted)
    assert "0 of 3 records done; run the same command with --resume" in str(result.exception)


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [(None, "from-a-variable another", "from-a-variable"), ("from-a-flag", "x", "from-a-flag")],
)
def test_an_http_server_is_shown_the_key(
    monkeypatch: pytest.MonkeyPatch, given: str | None, variable: str, expected: str
) -> None:
    class Endpoint:
        def __init__(self, address: str, api_key: str | None = None) -> None:
            self.told = (address, api_key)

        def close(self) -> None: ...

    monkeypatch.setattr("branchline.RuntimeEndpoint", Endpoint)
    monkeypatch.setenv("BRANCHLINE_API_KEY", variable)
    with backend_for("embedded", "http://127.0.0.1:1", given, quiet=True) as backend:
        assert isinstance(backend, Endpoint)
        assert backend.told == ("http://127.0.0.1:1", expected)
    with backend_for("embedded", "ipc:///x", None, quiet=True) as backend:
        assert isinstance(backend, Endpoint)
        assert backend.told == ("ipc:///x", None)


def test_a_key_without_an_http_server_is_refused() -> None:
    with (
        pytest.raises(UsageError, match="--api-key is for --address http://"),
        backend_for("embedded", "ipc:///x", "a-key", quiet=True),
    ):
        pass


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


@pytest.mark.parametrize(
    ("command", "wrong", "right"),
    [
        ("run", "BRANCHLINE_RUN_INPUT_FILE", "BRANCHLINE_RUN_INPUT"),
        ("doctor", "BRANCHLINE_DOCTOR_JSON_OUTPUT", "BRANCHLINE_DOCTOR_JSON"),
    ],
)
def test_a_variable_is_named_after_its_flag(command: str, wrong: str, right: str) -> None:
    result = runner.invoke(app, ["doctor"], env={wrong: "1"})
    assert isinstance(result.exception, UsageError)
    assert f"did you mean {right}" in str(result.exception)
    assert f"env var: {right}]" in " ".join(
        runner.invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output.split()
    )


def test_a_variable_reaches_the_flag_that_it_is_named_after(
    greeting: list[str], tmp_path: Path
) -> None:
    variables = {"BRANCHLINE_RUN_INPUT": str(tmp_path / "gone.jsonl")}
    result = runner.invoke(app, greeting[:2], env=variables)
    assert "gone.jsonl" in str(result.exception)


def test_the_settings_file_may_be_named_behind_the_command() -> None:
    assert with_config_first(["run", "x.py", "--config", "f", "--resume"]) == [
        *("--config", "f", "run", "x.py", "--resume"),
    ]
    assert with_config_first(["bench", "serve", "--config=f"]) == ["--config=f", "bench", "serve"]
    for untouched in (["serve", "--config", "f"], ["run", "--", "--config"], ["doctor"]):
        assert with_config_first(untouched) == untouched


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


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        library_path()
    except KernelBuildError as error:
        pytest.skip(str(error))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    told = f"nothing can be built in {tmp_path}/file/branchline/kernels: "
    [finding] = [each for each in doctor.examine() if each.subject == "kernels: C++"]
    assert finding.found.startswith(told)
    assert finding.state == "slow"
    result = runner.invoke(app, ["build-kernels"])
    assert result.exit_code == 1
    assert told in result.output
    assert "set XDG_CACHE_HOME" in result.output


@pytest.mark.skipif(os.name != "posix", reason="a compiler that is a shell script")
def test_what_a_compiler_says_is_told_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\n[ $1 = --version ] || { echo 'no[/x] [-Wall]' >&2; exit 1; }\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = runner.invoke(app, ["build-kernels"])
    assert (result.exit_code, "no[/x] [-Wall]" in result.output) == (1, True), result


def test_build_kernels_fails_where_the_grammars_library_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        library_path()
    except KernelBuildError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(
        "branchline.runtime.constrained.machine_library.machine_library", lambda: None
    )
    assert runner.invoke(app, ["build-kernels"]).exit_code == 1


def test_doctor_says_what_is_lost_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    [finding] = [each for each in doctor.examine() if each.subject == "kernels: C++"]
    assert "no-such-compiler" in finding.found
    assert all(word in finding.advice for word in ("torch", "--quantization", "--deterministic"))


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
