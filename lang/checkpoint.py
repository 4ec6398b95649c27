"""Resumable batches: a file with one line per finished instance, written as they finish, from
which a later run of the same batch takes what is done. Used by batch.py.

The file is JSON lines. The first names the program, the model and the sampling defaults; every
other holds an instance's position, a hash of its arguments and what it left behind. A process
that is killed while it writes leaves a torn last line, which is cut off: that instance runs again.
Failed instances are not written, so they run again too. Lines are handed to the operating system
one by one; they survive the death of the process, not that of the machine.

What comes back is data: text, variables, messages, meta info, usage, and the return value as JSON
(validated against the program's return annotation if it has one). What would come back as something
else is refused. The code of the program is not compared: finish a run with the code that began it,
or accept that the results mix.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import inspect
import json
import os
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from .cells import Cell, UnknownType
from .errors import GenerationError
from .executor import StreamExecutor
from .failures import Origin
from .record import CallRecord
from .restored import RestoredExecutor
from .run_options import RunOptions
from .schema import type_adapter
from .state import ProgramState
from .transcript import Span, Transcript

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_VERSION: Final = 1
_MARK: Final = "branchline_checkpoint"
_NOWHERE: Final = Origin("", "", None, None)


class CheckpointError(GenerationError):
    """A checkpoint file cannot be used for this batch, or an instance cannot be written to it."""

    default_code = "invalid_request"


class Checkpoint:
    """An open checkpoint of one batch. `done` are the positions that need not run."""

    def __init__(
        self,
        path: Path,
        program: str,
        func: object,
        options: RunOptions,
        items: list[inspect.BoundArguments],
    ) -> None:
        self.path = path
        self._program = program
        self._returned = _return_type(func)
        self._options = options
        self._hashes = [_hash(item, number) for number, item in enumerate(items)]
        self._offsets: dict[int, int] = {}
        self._file: BinaryIO = path.open("r+b" if path.exists() else "x+b")
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    @property
    def done(self) -> set[int]:
        return set(self._offsets)

    def write(self, index: int, state: ProgramState) -> None:
        """Note that an instance has ended well. Raises CheckpointError for what would not come
        back."""
        try:
            dumped = _dump(state, self._returned)
            encoded = json.dumps({"index": index, "arguments": self._hashes[index], **dumped})
        except Exception as error:  # the values' own types have a say in it
            raise CheckpointError(
                f"instance {index} cannot be written to {self.path}: {error}; with checkpoint= a "
                "program's return value and variables must be JSON data (lists, dicts with keys "
                "of text), dataclasses or pydantic models, or what the return annotation, such as "
                "-> set[str], reads back from JSON"
            ) from error
        self._offsets[index] = self._file.seek(0, os.SEEK_END)
        self._file.write(encoded.encode("ascii") + b"\n")
        self._file.flush()

    def restore(self, index: int) -> ProgramState:
        """The state of a finished instance, to be read but not continued."""
        self._file.seek(self._offsets[index])
        data = json.loads(self._file.readline())
        return _load(data, self._program, self._options, self._returned)

    def close(self) -> None:
        self._file.close()

    # --- reading what is there ---

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"{self.path} is in use by another batch") from None

    def _read(self) -> None:
        header = {
            _MARK: _VERSION,
            "program": self._program,
            "model": self._options.backend.model_info.name,
            "sampling": {
                name: value
                for name, value in dataclasses.asdict(self._options.sampling).items()
                if value is not None
            },
        }
        first = (json.dumps(header) + "\n").encode("ascii")
        end = 0
        for number, line in enumerate(self._file):
            if not line.endswith(b"\n") and (number or first.startswith(line)):
                break  # torn: the process died while it wrote this
            if number == 0:
                self._check_header(line, json.loads(first))
            else:
                index = self._check_line(number + 1, line)
                self._offsets[index] = end
            end += len(line)
        self._file.truncate(end)
        if end == 0:
            self._file.seek(0)
            self._file.write(first)
            self._file.flush()

    def _check_header(self, line: bytes, wanted: dict[str, Any]) -> None:
        header = _json_object(line)
        if header is None or _MARK not in header:
            raise CheckpointError(f"{self.path} exists and is no checkpoint; choose another file")
        for key, value in wanted.items():
            if header.get(key) != value:
                what = "format" if key == _MARK else key
                raise CheckpointError(
                    f"{self.path} belongs to another run: its {what} is {header.get(key)!r}, this "
                    f"run's is {value!r}; choose another file, or remove this one to start afresh"
                )

    def _check_line(self, number: int, line: bytes) -> int:
        entry = _json_object(line)
        index = entry.get("index") if entry is not None else None
        if entry is None or not isinstance(index, int):
            raise CheckpointError(f"{self.path}, line {number}: damaged; remove the line")
        if not 0 <= index < len(self._hashes):
            raise CheckpointError(
                f"{self.path} belongs to other inputs: it holds instance {index}, this batch has "
                f"{len(self._hashes)}"
            )
        if entry.get("arguments") != self._hashes[index]:
            raise CheckpointError(
                f"{self.path} belongs to other inputs: instance {index} had other arguments; "
                "choose another file, or remove this one to start afresh"
            )
        return index


def _dump(state: ProgramState, returned: TypeAdapter[Any]) -> dict[str, Any]:
    executor = state.stream_executor
    value = state.ret_value
    return {
        "returned": "state" if value is state else "nothing" if value is None else "value",
        "value": None if value is state else _returned_data(value, returned),
        "variables": [
            {
                "name": name,
                "value": _data(cell.value, f"variable {name!r}"),
                "meta": cell.call_meta,
                "kind": cell.kind,
            }
            | {"source": cell.origin and _in_words(cell.origin)}
            for name, cell in executor.cells.items()
            if cell.final and cell.error is None
        ],
        "text": executor.transcript.text,
        "messages": executor.transcript.messages,
        "spans": msgspec.to_builtins(executor.transcript.spans),
        "calls": [
            msgspec.to_builtins(dataclasses.replace(record, origin=_NOWHERE))
            | {"origin": _in_words(record.origin)}
            for record in executor.records
        ],
    }


def _load(
    data: dict[str, Any], program: str, options: RunOptions, returned: TypeAdapter[Any]
) -> ProgramState:
    executor: StreamExecutor = RestoredExecutor(options.backend, options.sampling, program=program)
    executor.transcript = Transcript(
        text=data["text"],
        messages=data["messages"],
        spans=msgspec.convert(data["spans"], list[Span]),
    )
    for call in data["calls"]:
        record = msgspec.convert({**call, "origin": _NOWHERE}, CallRecord)
        executor.records.append(dataclasses.replace(record, origin=_from_words(call["origin"])))
    for entry in data["variables"]:
        origin = entry["source"] and _from_words(entry["source"])
        cell = Cell(entry["name"], origin, entry["kind"])
        if entry["kind"] in ("type", "calls"):
            cell.value_type = UnknownType
        cell.complete(entry["value"], entry["meta"])
        executor.cells[cell.name] = cell
    executor.finish()
    state = ProgramState(executor)
    if data["returned"] == "state":
        state.ret_value = state
    elif data["returned"] == "value":
        state.ret_value = _as_returned(data["value"], returned)
    return state


def _in_words(origin: Origin) -> dict[str, str | None]:
    return {
        "program": origin.program,
        "op": origin.op,
        "variable": origin.variable,
        "source": origin.source,
    }


def _from_words(told: dict[str, Any]) -> Origin:
    return Origin(told["program"], told["op"], told["variable"], told["source"])


def _return_type(func: object) -> TypeAdapter[Any]:
    """What the program's annotation says of its return value; Any where that says nothing."""
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(typing.get_type_hints(func).get("return", Any))
    except Exception:  # looking at an annotation may raise anything
        return TypeAdapter(Any)


def _as_returned(data: Any, returned: TypeAdapter[Any]) -> Any:
    """The return value as its annotation says, where that fits."""
    try:
        return returned.validate_json(json.dumps(data))
    except ValueError:
        return data


def _returned_data(value: Any, returned: TypeAdapter[Any]) -> Any:
    """A return value as JSON data: what is read as the same by its annotation, or is that."""
    with contextlib.suppress(Exception):  # the annotation may be wrong, the values' own == too
        data = returned.dump_python(value, mode="json", warnings=False)
        if _as_returned(data, returned) == value:
            return data
    return _data(value, "the return value")


def _data(value: Any, where: str) -> Any:
    """A value as JSON data, of which models and dataclasses are a part by what they say."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_data(item, where) for item in value]
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{where} holds a dict with the key {wrong[0]!r}, which is no text")
        return {key: _data(item, where) for key, item in value.items()}
    kind = type(value)
    if dataclasses.is_dataclass(kind) or hasattr(kind, "model_dump"):
        return type_adapter(kind).dump_python(value, mode="json")
    raise TypeError(f"{where} holds {kind.__name__}, which is no JSON data")


def _hash(arguments: inspect.BoundArguments, number: int) -> str:
    """The same for equal arguments in every process."""
    try:
        arguments.apply_defaults()
        text = json.dumps(arguments.arguments, sort_keys=True, default=_plain)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the arguments of instance {number} cannot be compared between runs: {error}; with "
            "checkpoint= they must be JSON data, dataclasses or pydantic models"
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    """One step from an argument towards JSON, the same in every process."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(item, sort_keys=True, default=_plain) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        raise TypeError(f"{type(value).__name__} is no JSON data") from None


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
