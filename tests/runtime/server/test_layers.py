"""Settings of `serve`: flags over variables over a file, and nothing unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from branchline.runtime.server.layers import layered, options_by_name
from branchline.runtime.server.options import UsageError, parse
from branchline.runtime.server.report import report_ready


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "branchline.toml"


def test_a_flag_wins_over_a_variable_and_that_over_the_file(file: Path) -> None:
    file.write_text("[serve]\nkv-slots = 1000\nmax_running = 11\nseed = 3\n")
    variables = {"BRANCHLINE_SERVE_KV_SLOTS": "2000", "BRANCHLINE_SERVE_MAX_RUNNING": "22"}
    argv = layered(["--kv-slots", "3000", f"--config={file}"], variables)
    engine = parse(argv).engine
    assert (engine.kv_slots, engine.max_running, engine.seed) == (3000, 22, 3)


def test_the_file_may_be_named_by_a_variable(file: Path) -> None:
    file.write_text("[serve]\nseed = 5\n[chat]\ntemperature = 1\n")
    assert parse(layered([], {"BRANCHLINE_CONFIG": str(file)})).engine.seed == 5


def test_without_layers_nothing_is_added() -> None:
    assert layered(["--seed=1"], {"PATH": "/bin", "BRANCHLINE_API_KEY": "x"}) == ["--seed=1"]


def test_a_switch_is_true_or_false(file: Path) -> None:
    file.write_text("[serve]\nlog-requests = true\n")
    assert layered([f"--config={file}"], {}) == ["--log-requests"]
    assert layered([f"--config={file}"], {"BRANCHLINE_SERVE_LOG_REQUESTS": "false"}) == []
    file.write_text("[serve]\nlog-requests = 'yes'\n")
    with pytest.raises(UsageError, match="true or false"):
        layered([f"--config={file}"], {})


def test_what_may_be_repeated_is_a_list_and_a_flag_replaces_it(file: Path) -> None:
    file.write_text("[serve]\napi-key = ['key-number-one', 'key-number-two']\n")
    assert layered([f"--config={file}"], {}) == [
        "--api-key=key-number-one",
        "--api-key=key-number-two",
    ]
    argv = ["--api-key", "key-number-three"]
    assert layered([*argv, f"--config={file}"], {}) == argv


def test_the_caches_settings_reach_the_engine(tmp_path: Path) -> None:
    path = str(tmp_path / "tree")
    variables = {"BRANCHLINE_SERVE_NAMESPACE_QUOTA": "team-a=100 team-b=20MiB"}
    argv = [f"--cache-file={path}", "--cache-events=50", "--max-pinned-fraction=0.25"]
    engine = parse(layered(argv, variables)).engine
    assert engine.namespace_quotas == {"team-a": 100, "team-b": "20MiB"}
    assert (engine.cache_file, engine.cache_events) == (path, 50)
    assert engine.max_pinned_fraction == 0.25


@pytest.mark.parametrize("quota", ["team", "team=", "team=-1", "te am=5", "=x", "team=5XB"])
def test_a_quota_that_is_none_is_refused(quota: str) -> None:
    with pytest.raises(UsageError, match="NAME=QUOTA"):
        parse([f"--namespace-quota={quota}"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[serve]\nkvslots = 1", "did you mean kv-slots"),
        ("[serv]\nseed = 1", "did you mean serve"),
        ("[serve]\nready-fd = 1", "'ready-fd' is not known"),
        ("[serve]\nhelp = true", "'help' is not known"),
        ("[serve]\nseed = [1, 2]", "takes one value"),
        ("[serve]\nseed = true", "a text or a number"),
        ("serve = 1", "'serve' is not known"),
        ("[serve", "is no TOML"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(file: Path, content: str, words: str) -> None:
    file.write_text(content)
    with pytest.raises(UsageError) as caught:
        layered([f"--config={file}"], {})
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_variable_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"BRANCHLINE_SERVE_KVSLOTS.*did you mean kv-slots"):
        layered([], {"BRANCHLINE_SERVE_KVSLOTS": "1"})


def test_a_value_of_the_file_is_judged_as_a_flag_is(file: Path) -> None:
    file.write_text("[serve]\ndtype = 'float12'\n")
    with pytest.raises(UsageError, match="float12"):
        parse(layered([f"--config={file}"], {}))


def test_hidden_options_have_no_other_names() -> None:
    assert {"model", "kv-slots", "http"} <= set(options_by_name())
    assert not {"ready-fd", "parent-pid", "help"} & set(options_by_name())


def test_a_terminal_gets_a_table_and_standard_output_the_address_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = {"model": "embedded", "KV slots": "9,000 tokens"}
    report_ready("ipc:///x", "http://127.0.0.1:1", None, None, facts)
    captured = capsys.readouterr()
    assert captured.out == "runtime ready at ipc:///x and http://127.0.0.1:1\n"
    assert "│ KV slots │ 9,000 tokens" in captured.err
    assert "http://127.0.0.1:1/ui" in captured.err
