"""The flags of `branchline grammar check`; what it does is in grammar_check.py. Added by cli.py."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from .grammar_check import GrammarReport

grammar = typer.Typer(
    help="Look at constraints without a model.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)
_COLOURS: dict[str, str] = {
    "enforced": "green",
    "described": "dim",
    "superset": "yellow",
    "refused": "red",
}


class Kind(StrEnum):
    """What a file holds."""

    AUTO = "auto"
    SCHEMA = "schema"
    REGEX = "regex"
    GRAMMAR = "grammar"


class Reading(StrEnum):
    CLOSED = "closed"
    SPECIFICATION = "specification"


@grammar.callback()
def root() -> None:
    """Look at constraints without a model."""


@grammar.command("check")
def check(
    file: Annotated[
        Path, typer.Argument(help="A JSON Schema, a pattern, or a grammar (.gbnf, .ebnf).")
    ],
    kind: Annotated[Kind, typer.Option(help="What the file holds; auto goes by its name.")] = (
        Kind.AUTO
    ),
    reading: Annotated[Reading, typer.Option(help="How a schema is read.")] = Reading.CLOSED,
    any_order: Annotated[
        bool, typer.Option("--any-order", help="Members of small objects in any order.")
    ] = False,
    validate: Annotated[
        bool,
        typer.Option("--validate", help="As with on_unsupported='validate': check values later."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also the keywords that are simply enforced.")
    ] = False,
) -> None:
    """What would be enforced of a constraint, keyword by keyword. Exits with 1 where it would be
    refused."""
    from .grammar_check import check_grammar

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        typer.echo(f"cannot read {file}: {error}", err=True)
        raise typer.Exit(2) from None
    if kind is Kind.AUTO:
        known = {".gbnf": Kind.GRAMMAR, ".ebnf": Kind.GRAMMAR, ".regex": Kind.REGEX}
        kind = known.get(file.suffix.lower(), Kind.SCHEMA)
    if kind is Kind.GRAMMAR:
        report = check_grammar(grammar=text)
    elif kind is Kind.REGEX:
        report = check_grammar(regex=text.removesuffix("\n"))
    else:
        report = check_grammar(
            json_schema=text,
            reading=reading.value,
            any_order=any_order,
            on_unsupported="validate" if validate else "refuse",
        )
    if as_json:
        typer.echo(json.dumps({"ok": report.ok, **dataclasses.asdict(report)}, indent=2))
    else:
        _print(report, every)
    raise typer.Exit(0 if report.ok else 1)


def _print(report: GrammarReport, every: bool) -> None:
    console = Console()
    shown = [one for one in report.keywords if every or one.state not in ("enforced", "described")]
    if shown:
        table = Table("keyword", "state", "reason", box=None, pad_edge=False)
        for one in shown:
            table.add_row(Text(one.pointer), Text(one.state, _COLOURS[one.state]), Text(one.reason))
        console.print(table)
    counts = Counter[str](one.state for one in report.keywords)
    if counts:
        told = ", ".join(f"{counts[state]} {state}" for state in _COLOURS if counts[state])
        console.print(f"Keywords: {told}.")
    if report.refusal is None:
        console.print(
            f"[green]It can be used.[/green] The shortest output has {report.shortest} bytes."
        )
    else:
        where = f" at {report.pointer}" if report.pointer else ""
        console.print(Text.assemble(("Refused", "red"), f"{where}: {report.refusal}"))
