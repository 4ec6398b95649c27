"""`branchline bench serve`: what it sends, what it measures, how it counts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))

from played_server import Played

from branchline.bench_serve import (
    Goal,
    Level,
    Workload,
    figures_of,
    make_bodies,
    quantiles,
    run_sweep,
    write_plot,
)
from branchline.cli import app
from branchline.loadgen import Sample, Target
from branchline.records import UsageError

WORK = Workload(num_requests=6, prompt_words=8, shared_words=3, max_tokens=5, chat=True, seed=1)


@pytest.fixture
def server() -> Iterator[Played]:
    with Played() as played:
        yield played


def test_every_request_is_streamed_and_counted(server: Played) -> None:
    [figures] = run_sweep(Target(server.url, ""), WORK, [Level(None, None)], Goal())
    assert (figures.requests, figures.failed) == (6, 0)
    assert figures.output_tokens_per_s == pytest.approx(18 / figures.seconds)
    assert figures.total_tokens_per_s == pytest.approx((60 + 18) / figures.seconds)
    assert figures.cached_share == pytest.approx(0.4)
    assert set(figures.ttft_s) == set(figures.itl_s) == {"p50", "p90", "p99"}
    assert {body["model"] for body in server.bodies} == {"played"}
    assert set(server.paths) == {"/v1/chat/completions"}


def test_no_more_than_allowed_run_at_a_time(server: Played) -> None:
    run_sweep(Target(server.url, ""), WORK, [Level(None, 2)], Goal())
    assert server.most_at_once <= 2


def test_all_at_once_means_all_at_once(server: Played) -> None:
    server.meet = 6
    run_sweep(Target(server.url, ""), WORK, [Level(None, None)], Goal())
    assert server.most_at_once == 6


def test_each_level_has_prompts_of_its_own_and_one_beginning(server: Played) -> None:
    run_sweep(Target(server.url, "x"), WORK, [Level(None, None), Level(500.0, 3)], Goal())
    texts = [body["messages"][0]["content"].split() for body in server.bodies]
    assert len({tuple(text) for text in texts}) == 12
    assert [len({tuple(text[:3]) for text in part}) for part in (texts[:6], texts[6:])] == [1, 1]
    assert {len(text) for text in texts} == {8}


def test_a_seed_gives_the_same_requests() -> None:
    target = Target("http://x", "m")
    assert make_bodies(target, WORK, 3) == make_bodies(target, WORK, 3)
    assert make_bodies(target, WORK, 3) != make_bodies(target, WORK, 4)


def test_the_key_is_sent(server: Played) -> None:
    run_sweep(Target(server.url, "", "secret-key"), WORK, [Level(None, 1)], Goal())
    assert set(server.keys) == {"Bearer secret-key"}


def test_refusals_are_failures_with_their_reason(server: Played) -> None:
    server.status = 429
    [figures] = run_sweep(Target(server.url, ""), WORK, [Level(None, None)], Goal())
    assert (figures.failed, figures.goodput_per_s) == (6, 0.0)
    assert figures.errors == {"status 429: too many": 6}


def test_a_stream_that_is_cut_is_a_failure(server: Played) -> None:
    server.cut = True
    [figures] = run_sweep(Target(server.url, ""), WORK, [Level(None, None)], Goal())
    assert figures.errors == {"the stream ended without [DONE]": 6}


def test_a_stream_without_a_token_is_a_failure(server: Played) -> None:
    server.pieces = []
    [figures] = run_sweep(Target(server.url, ""), WORK, [Level(None, None)], Goal())
    assert figures.errors == {"the stream held no token": 6}


def test_a_server_that_is_not_there_is_said() -> None:
    with pytest.raises(UsageError, match="does not answer"):
        run_sweep(Target("http://127.0.0.1:9", ""), WORK, [Level(None, None)], Goal())


def test_goodput_counts_what_keeps_every_goal() -> None:
    quick = Sample(ttft_s=0.1, total_s=1.0, gaps_s=[0.01, 0.03])
    late = Sample(ttft_s=0.9, total_s=1.0, gaps_s=[0.01])
    slow = Sample(ttft_s=0.1, total_s=1.0, gaps_s=[0.01, 0.5])
    lost = Sample(error="gone")
    figures = figures_of(Level(2.0, None), [quick, late, slow, lost], 2.0, Goal(0.5, 0.05))
    assert (figures.goodput_per_s, figures.good_share) == (0.5, 0.25)
    assert figures.requests_per_s == 1.5


def test_quantiles_are_values_that_occurred() -> None:
    assert quantiles(range(1, 101)) == {"p50": 50, "p90": 90, "p99": 99}
    assert quantiles([7.0]) == {"p50": 7.0, "p90": 7.0, "p99": 7.0}
    assert quantiles([]) == {}


def test_the_command_prints_a_table_and_writes_its_figures(server: Played, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    arguments = ["bench", "serve", "--url", server.url + "/v1", "--requests=4", "--rate=200,inf"]
    result = CliRunner().invoke(app, [*arguments, f"--json={file}", "--completions"])
    assert result.exit_code == 0, result.output
    assert "TTFT" in result.output
    assert [row["level"] for row in json.loads(file.read_text())["rows"]] == [
        "200/s",
        "all at once",
    ]
    assert set(server.paths) == {"/v1/completions"}


def test_the_plot_is_a_picture(server: Played, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = run_sweep(Target(server.url, ""), WORK, [Level(None, 1), Level(None, 3)], Goal())
    write_plot(tmp_path / "plot.png", found)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("rate", ["0", "-1", "x", "1,,2", ""])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    result = CliRunner().invoke(app, ["bench", "serve", f"--rate={rate}"])
    assert isinstance(result.exception, UsageError)
    assert "--rate" in str(result.exception)


def test_prompts_may_come_from_a_file(server: Played, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    arguments = ["bench", "serve", "--url", server.url, "--requests=3", f"--prompts={file}"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    sent = sorted(body["messages"][0]["content"] for body in server.bodies)
    assert sent == ["one", "one", "two"]
