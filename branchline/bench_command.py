"""The flags of `branchline bench serve`; what it does is in bench_serve.py. Added by cli.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from .records import UsageError

bench = typer.Typer(
    help="Measure what stands.", no_args_is_help=True, rich_markup_mode="rich", add_completion=False
)


@bench.callback()
def root() -> None:
    """Measure what stands."""


@bench.command("serve")
def bench_serve(
    url: Annotated[
        str, typer.Option(help="The server, without /v1.", metavar="URL")
    ] = "http://127.0.0.1:8000",
    model: Annotated[str, typer.Option(help="Its model (default: ask /v1/models).")] = "",
    api_key: Annotated[
        str | None,
        typer.Option(help="Also from BRANCHLINE_API_KEY or OPENAI_API_KEY.", metavar="KEY"),
    ] = None,
    rate: Annotated[
        str, typer.Option(help="Requests per second, one or more with commas; inf: all at once.")
    ] = "inf",
    concurrency: Annotated[
        str, typer.Option(help="Most requests at a time, one or more with commas; 0: any number.")
    ] = "0",
    requests: Annotated[int, typer.Option(min=1, help="Requests for each load.")] = 100,
    prompt_words: Annotated[int, typer.Option(min=1, help="Words of a drawn prompt.")] = 128,
    shared_words: Annotated[
        int, typer.Option(min=0, help="Of them at the beginning of every prompt: cached.")
    ] = 0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer at most.")] = 64,
    prompts: Annotated[
        Path | None, typer.Option(help="JSONL with a `prompt` in each line, instead of words.")
    ] = None,
    completions: Annotated[
        bool, typer.Option("--completions", help="/v1/completions instead of chat.")
    ] = False,
    goal_ttft_ms: Annotated[
        float | None, typer.Option(help="Good requests have their first token by then.")
    ] = None,
    goal_itl_ms: Annotated[
        float | None, typer.Option(help="And as long, on average, between two tokens.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of prompts and arrivals.")] = 0,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="For one request.")] = 600.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures there.", metavar="FILE")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw them there (needs matplotlib).", metavar="FILE.png")
    ] = None,
) -> None:
    """Put load on an OpenAI-compatible server, this one or another.

    Requests arrive as a Poisson process at each rate, are streamed, and are timed from when they
    were due: time to first token (TTFT), time between tokens (ITL), throughput, goodput.

    [bold]Examples[/bold]

      branchline bench serve --rate 1,4,16 --goal-ttft-ms 500 --goal-itl-ms 50

      branchline bench serve --url http://other:8000 --concurrency 1,8,64 --json other.json

      branchline bench serve --prompt-words 600 --shared-words 500 --plot cached.png
    """
    from . import bench_serve as measured
    from .loadgen import Target

    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url is like http://127.0.0.1:8000, not {url!r}")
    key = api_key or os.environ.get("BRANCHLINE_API_KEY") or os.environ.get("OPENAI_API_KEY")
    keys = (key or "").split()
    target = Target(
        url.rstrip("/").removesuffix("/v1"), model, keys[0] if keys else None, timeout_s
    )
    workload = measured.Workload(
        num_requests=requests,
        prompt_words=prompt_words,
        shared_words=min(shared_words, prompt_words),
        max_tokens=max_tokens,
        chat=not completions,
        seed=seed,
        prompts=_read_prompts(prompts),
    )
    goal = measured.Goal(
        None if goal_ttft_ms is None else goal_ttft_ms / 1000,
        None if goal_itl_ms is None else goal_itl_ms / 1000,
    )
    levels = [
        measured.Level(None if each_rate == float("inf") else each_rate, int(each_most) or None)
        for each_rate in _numbers(rate, "--rate")
        for each_most in _numbers(concurrency, "--concurrency", zero=True)
    ]
    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True) as progress:

        def on_level(level: measured.Level) -> measured.Tick:
            task = progress.add_task(str(level), total=requests)
            return lambda: progress.advance(task)

        found = measured.run_sweep(target, workload, levels, goal, on_level)
    Console(width=None).print(measured.table_of(found, goal))
    for each in found:
        for reason, times in each.errors.items():
            stderr.print(f"[red]{times}x[/red] {reason}", highlight=False, soft_wrap=True)
    if json_file is not None:
        measured.write_json(json_file, target, workload, found)
    if plot is not None:
        measured.write_plot(plot, found)
    if all(each.failed == each.requests for each in found):
        raise typer.Exit(1)


def _numbers(text: str, flag: str, *, zero: bool = False) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or any(not (number > 0 or (zero and number == 0)) for number in found):
        raise UsageError(f"{flag} takes numbers above 0, with commas between them, not {text!r}")
    return found


def _read_prompts(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
        prompts = [json.loads(line)["prompt"] for line in lines if line.strip()]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f'{path}: each line is a JSON object with a "prompt"') from None
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise UsageError(f'{path}: each line needs a "prompt" that is a text')
    return tuple(prompts)
