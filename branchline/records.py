"""Running a program over records: loading the file, JSONL in and out, the summary.

Used by the commands `branchline run` and `branchline demo`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydantic_core import to_jsonable_python

from branchline.lang.function import Function
from branchline.lang.printable import printable
from branchline.lang.values import InvalidOutput, read_value

from .places import place_of, told

if TYPE_CHECKING:
    from branchline.lang.backend.base import Backend
    from branchline.lang.cells import Cell
    from branchline.lang.state import ProgramState


class UsageError(Exception):
    """What the user gave cannot be used; the message says what to change."""


class Interrupted(Exception):
    """Ctrl-C; the message says what is done. Not a KeyboardInterrupt, which click swallows."""


@dataclass
class Summary:
    """Counts of one batch. Percentages are of 100; `wall_s` is the batch alone, without loading."""

    documents: int = 0
    failed: int = 0
    tokens_generated: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    wall_s: float = 0.0
    errors: list[str] = field(default_factory=list)

    @property
    def cached_prompt_pct(self) -> float:
        return 100.0 * self.cached_tokens / max(1, self.prompt_tokens)

    @property
    def tokens_per_s(self) -> float:
        return self.tokens_generated / max(1e-9, self.wall_s)

    def add(self, state: ProgramState) -> None:
        """Count one finished program with all of its generation calls."""
        self.documents += 1
        for usage in state.usages():
            self.tokens_generated += usage.completion_tokens
            self.prompt_tokens += usage.prompt_tokens
            self.cached_tokens += usage.cached_tokens
        if (error := state.error()) is not None:
            self.failed += 1
            self.errors.append(f"record {self.documents}: {told(error)}")


def load_program(path: Path, name: str | None = None) -> Function[Any]:
    """The `@bl.function` program of a Python file: the one called `name`, or the only one.

    Raises UsageError when the file is missing, fails to import, or leaves a choice open.
    """
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # pydantic and dataclasses look their module up by name
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path} cannot be loaded: {told(error)}") from None

    programs = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, Function) and value.func.__module__ == path.stem
    }
    if name is not None:
        if name not in programs:
            raise UsageError(f"{path} has no program {name!r}; it has: {_names(programs)}")
        return programs[name]
    if len(programs) == 1:
        return next(iter(programs.values()))
    if not programs:
        raise UsageError(f"{path} defines no program: decorate a function with @bl.function")
    raise UsageError(f"{path} has several programs; choose one with --function: {_names(programs)}")


def read_records(path: Path, program: Function[Any]) -> list[dict[str, Any]]:
    """The lines of a JSONL file as keyword arguments of `program`; unknown keys are left out.

    Raises UsageError with the line number for what is not an object or lacks an argument, and for
    a file that is not UTF-8.
    """
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    try:
        # JSON texts may hold characters at which `splitlines` would part them.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error}") from None
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(record, dict):
            raise UsageError(f"{path}, line {number}: expected an object, got {line[:40]!r}")
        if missing := _missing(program, record):
            raise UsageError(
                f"{path}, line {number}: no {', '.join(missing)}; "
                f"the program {program.name} takes {', '.join(program.arg_names)}"
            )
        records.append({arg: record[arg] for arg in program.arg_names if arg in record})
    if not records:
        raise UsageError(f"{path} holds no records")
    return records


def no_records(program: Function[Any]) -> list[dict[str, Any]]:
    """The one record of a program that runs without arguments. Raises UsageError where it takes
    some."""
    if missing := _missing(program, {}):
        raise UsageError(
            f"the program {program.name} takes {', '.join(missing)}; give --input FILE, whose "
            "lines are JSON objects that have them"
        )
    return [{}]


def _missing(program: Function[Any], record: dict[str, Any]) -> list[str]:
    return [
        arg for arg in program.arg_names if arg not in record and arg not in program.arg_defaults
    ]


def run_records(
    program: Function[Any],
    records: Sequence[dict[str, Any]],
    *,
    backend: Backend,
    output: Path | None,
    keep_states: bool = True,
    resume: bool = False,
    **sampling: Any,
) -> tuple[list[ProgramState], Summary]:
    """Run `program` once per record with a progress bar on standard error.

    Results are written in order, one line per record as soon as it and all before it are done.
    The states are returned unless `keep_states` is False: then memory does not grow with the
    records. With `resume` what is finished is also kept in a checkpoint beside the output, from
    which an interrupted run goes on; it is removed when nothing is left to do. `sampling` are
    defaults for calls that name no value of their own.
    """
    if resume and output is None:
        raise UsageError("--resume needs --output: the checkpoint is kept beside that file")
    checkpoint = checkpoint_of(output) if resume and output else None
    summary = Summary()
    states: list[ProgramState] = []
    start = time.perf_counter()
    results = program.run_batch(
        records,
        backend=backend,
        progress_bar=True,
        generator_style=True,
        on_error="return",
        checkpoint=checkpoint,
        **sampling,
    )
    with ExitStack() as stack:
        # Or an error is told above the progress bar, whose end comes when the process ends.
        stack.callback(results.close)
        sink: TextIO | None = None
        for state in results:
            if output is not None and sink is None:
                # Only now: a checkpoint of other inputs is refused before anything is overwritten.
                sink = stack.enter_context(output.open("w", encoding="utf-8"))
            if keep_states:
                states.append(state)
            summary.add(state)
            if sink is not None:
                sink.write(json_line(state) + "\n")
                sink.flush()
    if checkpoint is not None and not summary.failed:
        checkpoint.unlink()
    summary.wall_s = time.perf_counter() - start
    return states, summary


def check_output(output: Path) -> None:
    """Raise UsageError for an output that cannot be written; for before anything starts."""
    folder = output.parent
    if not folder.is_dir():
        raise UsageError(f"--output {output}: there is no folder {folder}")
    if output.is_dir():
        raise UsageError(f"--output {output} is a folder; name a file in it")
    if not os.access(output if output.exists() else folder, os.W_OK):
        raise UsageError(f"--output {output} cannot be written: permission denied")


def interruption(output: Path | None, num_records: int, *, resume: bool) -> str:
    """What is said of a run that Ctrl-C ended."""
    if output is None:
        return "interrupted"
    if not resume:
        return f"interrupted; {output} is incomplete. With --resume a run can go on after that"
    checkpoint = checkpoint_of(output)
    # The first line is a heading; the last may be torn.
    num_lines = checkpoint.read_bytes().count(b"\n") if checkpoint.exists() else 1
    return (
        f"interrupted: {max(0, num_lines - 1)} of {num_records} records done; run the same command "
        "with --resume to go on"
    )


def checkpoint_of(output: Path) -> Path:
    """Where `--resume` keeps what is finished."""
    return output.with_name(f"{output.name}.checkpoint")


def json_line(state: ProgramState) -> str:
    """`result_of` as text. Half a surrogate pair is spelled as JSON does, too."""
    return printable(json.dumps(result_of(state), ensure_ascii=False))


def result_of(state: ProgramState) -> Any:
    """What a program leaves behind, as JSON: its return value, or else its variables."""
    if (error := state.error()) is not None:
        where = {"source": place} if (place := place_of(error)) else {}
        return {"error": {"type": type(error).__name__, "message": str(error), **where}}
    if state.ret_value is None or state.ret_value is state:
        cells = state.stream_executor.cells.items()
        return {name: _json_of(cell) for name, cell in cells if cell.final and cell.error is None}
    return to_jsonable_python(state.ret_value)


def _json_of(cell: Cell) -> Any:
    """A variable as JSON: what was generated under a type or schema nested, texts as texts. An
    output that was cut short stays the text that it is. The same whether a checkpoint holds it."""

    def read(value: Any) -> Any:
        if isinstance(value, list) and cell.is_output:
            return [read(one) for one in value]
        # A checkpoint knows no Python types: what is JSON is read as such. Tool calls need theirs.
        kind = "json" if cell.kind == "type" else "text" if cell.kind == "calls" else cell.kind
        try:
            return read_value(value, kind, None) if isinstance(value, str) else value
        except InvalidOutput:
            return value

    return to_jsonable_python(read(cell.value))


def _names(programs: dict[str, Any]) -> str:
    return ", ".join(sorted(programs)) or "none"
