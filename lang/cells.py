"""A variable of a state while it comes into being. Written by the executor under the state's
monitor, read by state.py and streaming.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin

from .errors import InvalidRequest
from .failures import Origin, located
from .monitor import Monitor
from .values import InvalidOutput, ValueKind, read_as, read_value

Meta = dict[str, Any]
Written = TypeVar("Written")


class UnknownType:
    """Stands for a variable's Python type where that is lost: in a state from a checkpoint."""


@dataclass(eq=False)
class Cell:
    """One writing of a variable. Each op that names a variable has a cell of its own, so a reader
    gets the result of the op that stood before its read, even when the name is used again.

    `chunks` are (text, meta) pieces in order; their texts concatenate to the variable's text.
    `parts` are the branches' variables that a join has gathered in this one. `under` is what was
    there before this one was written by hand: the last that no hand has written.
    """

    name: str
    origin: Origin | None = None
    kind: ValueKind = "text"
    value_type: object = None
    value: Any = None
    meta: Meta | None = None
    error: BaseException | None = None
    final: bool = False
    chunks: list[tuple[str, Meta]] = field(default_factory=list)
    parts: tuple[Cell, ...] = ()
    under: Cell | None = None

    @classmethod
    def gathered(cls, name: str, parts: Sequence[Cell]) -> Cell:
        """A new one for what a join gathers."""
        [kind, *others] = {part.kind for part in parts}
        return cls(name, kind="text" if others else kind, parts=tuple(parts))

    @property
    def is_output(self) -> bool:
        """Whether calls wrote its texts, and not a hand."""
        return self.origin is not None or self.kind != "text"

    @property
    def call_meta(self) -> Meta | None:
        """About the call that wrote it, also where a hand has written over that."""
        return (self.under or self).meta

    def complete_gathered(self) -> None:
        """Set the value, the parts having theirs."""
        self.complete([part.value for part in self.parts])

    def complete(self, value: Any, meta: Meta | None = None) -> None:
        """Set the value; what was not streamed yet follows as the last chunk."""
        if self.final:
            return
        text = value[0] if isinstance(value, list) and value else value
        text = text if isinstance(text, str) else str(text)
        streamed = sum(len(piece) for piece, _ in self.chunks)
        if streamed < len(text) or meta or not self.chunks:
            rest = _rest_of(meta or {}) if self.chunks else meta or {}
            self.chunks.append((text[streamed:], rest))
        self.value, self.meta, self.final = value, meta, True

    def fail(self, error: BaseException) -> None:
        if not self.final:
            self.error, self.final = error, True


@dataclass(frozen=True)
class VariableEvent:
    """The coming of a variable's value or of its failure, as an event like threading's."""

    monitor: Monitor
    cell: Cell

    def is_set(self) -> bool:
        return self.cell.final

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is there, for `timeout` seconds at most; whether it is."""
        return self.monitor.wait_for(self.is_set, timeout)


def value_of(cell: Cell, as_type: Any) -> Any:
    """A finished variable as a Python object: as its op says, or as `as_type`. What a join has
    gathered is read branch by branch."""
    if cell.value_type is UnknownType and as_type in (None, list):
        raise InvalidRequest(
            f"the type of {cell.name!r} is not known any more: its state came from a checkpoint, "
            f"which holds text; write s.value({cell.name!r}, T)"
        )

    if cell.parts:
        return [value_of(part, _type_of_each(as_type, part.value_type)) for part in cell.parts]

    def read(value: Any, as_type: Any) -> Any:
        if isinstance(value, list) and cell.is_output:
            each = _type_of_each(as_type, cell.value_type)
            return [read(one, each) for one in value]
        if not isinstance(value, str):
            return value
        if as_type is None or as_type is cell.value_type:
            return read_value(value, cell.kind, cell.value_type)
        return read_as(value, as_type)

    try:
        return read(cell.value, as_type)
    except InvalidOutput as error:
        raise (located(error, cell.origin) if cell.origin else error) from error.__cause__


def written_by(
    branches: Iterable[tuple[Mapping[str, Written], Mapping[str, Written]]],
    taken: AbstractSet[str],
) -> dict[str, list[Written]]:
    """What a join gathers of branches, each told by its variables and by those that it left with:
    what they have written since, under names that are not `taken`."""
    gathered: dict[str, list[Written]] = {}
    for variables, inherited in branches:
        for name, value in variables.items():
            if name not in taken and inherited.get(name) is not value:
                gathered.setdefault(name, []).append(value)
    return gathered


def _type_of_each(as_type: Any, own: object) -> Any:
    """What each branch's variable, or each output of several, is read as: `list[T]` is the type of
    all, but for those that are lists of their `own`."""
    if as_type == own or list not in (as_type, get_origin(as_type)):
        return as_type
    return next(iter(get_args(as_type)), None)


def _rest_of(meta: Meta) -> Meta:
    """The streamed chunks have carried the output's log probabilities already."""
    return {key: [] if key.startswith("output_") else value for key, value in meta.items()}
