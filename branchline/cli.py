"""The command line: `branchline demo | run | serve | chat | bench | grammar | doctor |
build-kernels`.

Heavy imports happen inside the commands, so that `branchline --help` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from . import __version__
from .bench_command import bench
from .grammar_command import grammar
from .serve_command import ServeCommand

if TYPE_CHECKING:
    from branchline.lang.backend.runtime_endpoint import RuntimeEndpoint

    from .records import Summary

app = typer.Typer(
    name="branchline",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(bench, name="bench")
app.add_typer(grammar, name="grammar")
stdout = Console()
stderr = Console(stderr=True)

Model = Annotated[
    str,
    typer.Option(
        help="A directory with a Hugging Face checkpoint, a hub id, or [bold]embedded[/bold].",
        show_default=True,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Use the runtime at this address instead of starting one.", metavar="ADDR"),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        help="For an http:// address; also from BRANCHLINE_API_KEY.",
        metavar="KEY",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Settings as TOML, a table for each command.",
            metavar="FILE",
            envvar="BRANCHLINE_CONFIG",
        ),
    ] = None,
) -> None:
    """Structured-generation programs over language models.

    [bold]First steps[/bold]

      branchline demo                           extract records from documents, offline

      branchline chat                           talk to the model that ships with it

      branchline run program.py --input in.jsonl --output out.jsonl

      branchline serve --http 127.0.0.1:8000    OpenAI's API and a web page at /ui

      branchline doctor                         what is installed and what would be faster

    [bold]Settings[/bold]

    A flag wins over a variable (BRANCHLINE_CHAT_TEMPERATURE=0.7), that over the file of --config or
    BRANCHLINE_CONFIG (temperature = 0.7 under \\[chat]). A name that is none is refused.

    branchline --install-completion completes commands and flags in your shell.
    """
    if version:
        print(f"branchline {__version__}")
        raise typer.Exit
    from .settings import CONFIG_VARIABLE, check_variables, default_map, name_variables

    group = context.command
    assert isinstance(group, TyperGroup)
    name_variables(group)
    check_variables(group)
    if config is not None:
        context.default_map = default_map(group, config)
        # The server reads its own table.
        os.environ[CONFIG_VARIABLE] = str(config)


@app.command()
def demo(
    model: Model = "embedded",
    address: Address = None,
    api_key: ApiKey = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
    output: Annotated[
        Path, typer.Option(help="Where the records go, one JSON object per line.")
    ] = Path("extracted.jsonl"),
) -> None:
    """Extract typed records from 48 documents: the main job, end to end."""
    from .demo import load_documents, run_demo
    from .records import check_output

    check_output(output)
    documents = load_documents()
    with backend_for(model, address, api_key, quiet=json_output) as backend:
        summary, score = run_demo(backend, output, documents)
    figures: dict[str, int | float] = {
        "documents": summary.documents,
        "schema_valid_pct": round(score.schema_valid_pct, 2),
        "exact_fields_pct": round(score.exact_fields_pct, 2),
        "tokens_generated": summary.tokens_generated,
        "cached_prompt_pct": round(summary.cached_prompt_pct, 2),
        "tokens_per_s": round(summary.tokens_per_s, 1),
        "wall_s": round(summary.wall_s, 3),
    }
    if json_output:
        print(json.dumps(figures))
    else:
        table = Table(title="branchline demo", show_header=False, title_justify="left")
        table.add_row("documents", str(summary.documents))
        table.add_row("schema-valid", f"{score.schema_valid_pct:.1f} %")
        table.add_row("exact-match fields", f"{score.exact_fields_pct:.1f} %")
        add_counts(table, summary)
        stdout.print(table)
        stdout.print(f"records written to [bold]{output}[/bold]", highlight=False)
    finish(summary)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="A Python file with a @bl.function program.")],
    input_file: Annotated[
        Path | None,
        typer.Option("--input", help="JSONL; each line holds the program's arguments."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="JSONL; each line is one result, in order.")
    ] = None,
    function: Annotated[
        str | None, typer.Option(help="Which program, when the file has several.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep what is finished in OUTPUT.checkpoint, and go on from there if it exists.",
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many records of --input.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="For calls that name none; 0: the likeliest.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="For calls that name none: longest output.")
    ] = None,
    model: Model = "embedded",
    address: Address = None,
    api_key: ApiKey = None,
) -> None:
    """Run a program of your own, once or over a file of records.

    Without --input the program runs once without arguments; without --output the results go to
    standard output. Everything else (progress, summary) goes to standard error. With --resume a
    run that was killed, or in which records failed, does only what is missing when it is started
    again.

    [bold]Examples[/bold]

      branchline run program.py

      branchline run program.py --input mails.jsonl --output records.jsonl --resume

      branchline run program.py --function triage --input mails.jsonl --address ipc:///tmp/x.sock
    """
    from .records import (
        Interrupted,
        check_output,
        interruption,
        json_line,
        load_program,
        no_records,
        read_records,
        run_records,
    )

    if output is not None:
        check_output(output)
    program = load_program(file, function)
    records = read_records(input_file, program) if input_file else no_records(program)
    records = records[:limit]
    sampling = {"temperature": temperature, "max_new_tokens": max_tokens}
    try:
        with backend_for(model, address, api_key, quiet=True) as backend:
            states, summary = run_records(
                program,
                records,
                backend=backend,
                output=output,
                keep_states=output is None,
                resume=resume,
                **{name: value for name, value in sampling.items() if value is not None},
            )
    except KeyboardInterrupt:
        raise Interrupted(interruption(output, len(records), resume=resume)) from None
    if output is None:
        for state in states:
            print(json_line(state))
    if input_file is not None:
        table = Table(show_header=False)
        table.add_row("records", str(summary.documents))
        add_counts(table, summary)
        stderr.print(table)
    finish(summary)


@app.command(
    cls=ServeCommand,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
def serve(context: typer.Context) -> None:
    """Keep a runtime up: `branchline serve --model PATH` (`serve --help` lists the options)."""
    # In place of this process, so that signals and the exit status are the server's own.
    server = [sys.executable, "-m", "branchline.runtime.server", "--layered"]
    os.execv(sys.executable, [*server, *context.args])


@app.command()
def chat(
    model: Model = "embedded",
    address: Address = None,
    api_key: ApiKey = None,
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 always takes the likeliest.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
) -> None:
    """Talk to a model in the terminal. /exit or Ctrl-D ends it, Ctrl-C breaks an answer off.

    [bold]Examples[/bold]

      branchline chat --system "You answer in one sentence."

      branchline chat --model path/to/checkpoint --temperature 0.7
    """
    from .chat import converse

    with backend_for(model, address, api_key, quiet=False) as backend:
        converse(backend, stdout, system=system, temperature=temperature, max_tokens=max_tokens)


@app.command()
def doctor(
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the findings as a JSON list.")
    ] = False,
) -> None:
    """Tell what is installed here, which kernels run, and what would be faster.

    It exits with 1 when something that is needed is broken, else with 0.
    """
    from . import doctor as examination

    found = examination.examine()
    if json_output:
        print(json.dumps(examination.as_json(found)))
    else:
        stdout.print(examination.table_of(found))
    if any(each.state == "broken" for each in found):
        raise typer.Exit(1)


@app.command("build-kernels")
def build_kernels() -> None:
    """Compile the C++ for this machine's CPU, and the grammars'; otherwise the first start does."""
    from branchline.runtime.constrained.machine_library import machine_library
    from branchline.runtime.kernels.cpu.build import KernelBuildError, build
    from branchline.runtime.kernels.cpu.library import load_kernels

    def tell(line: str) -> None:
        stderr.print(line, highlight=False, markup=False, soft_wrap=True)

    try:
        path = build(tell)
        level = load_kernels().level
        machine = machine_library()
    except KernelBuildError as error:
        stderr.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    stdout.print(f"level {level}: {path}", highlight=False, markup=False, soft_wrap=True)
    if machine is None:
        raise typer.Exit(1)  # the log has told why


@contextmanager
def backend_for(
    model: str, address: str | None, api_key: str | None, *, quiet: bool
) -> Iterator[RuntimeEndpoint]:
    """The runtime at `address`, or one of our own that ends with the block."""
    import branchline as bl

    from .records import UsageError

    is_http = address is not None and address.startswith(("http://", "https://"))
    if api_key is not None and not is_http:
        raise UsageError("--api-key is for --address http://HOST:PORT; others need none")
    if address is not None:
        keys = [api_key] if api_key else os.environ.get("BRANCHLINE_API_KEY", "").split()
        endpoint = bl.RuntimeEndpoint(address, **({"api_key": keys[0]} if is_http and keys else {}))
        try:
            yield endpoint
        finally:
            endpoint.close()
        return
    with stderr.status(f"starting the runtime with the model [bold]{model}[/bold] ..."):
        runtime = bl.Runtime(model_path=model)
    with runtime:
        if not quiet:
            info = runtime.endpoint.model_info
            stderr.print(f"[dim]{info.name}: {info.architecture}, context {info.context_length}")
        yield runtime.endpoint


def add_counts(table: Table, summary: Summary) -> None:
    """The rows that every batch has."""
    if summary.failed:
        table.add_row("failed", f"[red]{summary.failed}")
    table.add_row("tokens generated", f"{summary.tokens_generated:,}")
    table.add_row("prompt tokens from radix cache", f"{summary.cached_prompt_pct:.1f} %")
    table.add_row("tokens/s", f"{summary.tokens_per_s:,.0f}")
    table.add_row("wall time", f"{summary.wall_s:.2f} s")


def finish(summary: Summary) -> None:
    """Exit with 1 when something failed, after saying what."""
    for error in summary.errors[:5]:
        stderr.print(f"[red]error:[/red] {escape(error)}", highlight=False, soft_wrap=True)
    if len(summary.errors) > 5:
        stderr.print(f"... and {len(summary.errors) - 5} more", highlight=False)
    if summary.failed:
        raise typer.Exit(1)


def with_config_first(argv: list[str]) -> list[str]:
    """`run x.py --config FILE` as `--config FILE run x.py`: the file is for all commands. `serve`
    reads its own."""
    if argv[:1] == ["serve"]:
        return argv
    for place, argument in enumerate(argv):
        if argument == "--":
            break
        if argument == "--config" or argument.startswith("--config="):
            end = place + (2 if argument == "--config" else 1)
            return argv[place:end] + argv[:place] + argv[end:]
    return argv


def main() -> None:
    """Entry point: one line on standard error for what a user can mend, 130 for Ctrl-C."""
    from branchline.lang.errors import GenerationError

    from .records import Interrupted, UsageError

    try:
        app(with_config_first(sys.argv[1:]), standalone_mode=True)
    except (UsageError, GenerationError, OSError) as error:
        # What a message quotes may look like markup.
        stderr.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except Interrupted as error:
        stderr.print(escape(str(error)), highlight=False, soft_wrap=True)
        sys.exit(130)
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(130)
