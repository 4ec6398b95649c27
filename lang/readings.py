"""What a state's text and variables are by now, for its programs to read. The base of executor.py,
which changes them."""

from __future__ import annotations

from typing import Any, Final

from .backend.base import Backend
from .cells import Cell, Meta, VariableEvent
from .op_queue import OpQueue
from .picture import Picture
from .transcript import Transcript

_START: Final = Transcript()


class Readings(OpQueue):
    """A transcript and variables, and the names under which SGLang's programs look at them.

    The transcript is changed by who works the ops off, and read by others when no op is running.
    """

    def __init__(
        self,
        program: str,
        parent: Readings | None,
        backend: Backend,
        *,
        stream: bool,
        fork_point: Transcript | None,
    ) -> None:
        super().__init__(program, parent, stream=stream)
        self.backend = backend
        # Of a branch: where it left its parent, one for all of a fork.
        self.fork_point = fork_point or _START
        self.transcript = self.fork_point.branch()

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that have a value by now."""
        with self.monitor.lock:
            return {
                name: cell.value
                for name, cell in self.cells.items()
                if cell.final and cell.error is None
            }

    @property
    def meta_info(self) -> dict[str, Meta]:
        """The meta info of the variables that have it by now."""
        with self.monitor.lock:
            metas = {name: cell.call_meta for name, cell in self.cells.items()}
            return {name: meta for name, meta in metas.items() if meta is not None}

    @property
    def text_(self) -> str:
        """The text by now, without waiting."""
        return self.transcript.text

    @property
    def messages_(self) -> list[dict[str, Any]]:
        """The finished turns by now, without waiting."""
        return self.transcript.messages

    @property
    def cur_role(self) -> str | None:
        """The open role by now, without waiting."""
        return self.transcript.role

    @property
    def sid(self) -> str:
        """A name for this state, its own in this process."""
        return f"{id(self):x}"

    @property
    def variable_event(self) -> dict[str, VariableEvent]:
        """For each variable that was declared, what its coming can be waited for with."""
        with self.monitor.lock:
            return {name: VariableEvent(self.monitor, cell) for name, cell in self.cells.items()}

    @property
    def is_finished(self) -> bool:
        """Whether everything appended is done, and no more will come; without waiting."""
        return self.finished

    @property
    def fork_start_text_pos(self) -> int | None:
        """Of a branch: how much of its text is its parent's."""
        return len(self.fork_point.text) if self.is_branch else None

    @property
    def images_(self) -> list[Picture]:
        """The pictures by now, without waiting."""
        return [picture for _, picture in self.transcript.pictures]

    def get_var(self, name: str) -> Any:
        """A variable, once it has its value."""
        cell = self.cell(name)
        if cell is None:
            raise unknown_variable(self, name)
        return cell.value

    def set_var(self, name: str, value: Any) -> None:
        self.set_variable(name, value)

    def get_meta_info(self, name: str, timeout: float | None = None) -> Meta | None:
        """About the call that made a variable, once it is done. TimeoutError if it is not within
        `timeout` seconds."""
        known = self.cells.get(name)
        if timeout is not None and known is not None:
            written = VariableEvent(self.monitor, known.under or known)
            if not written.wait(timeout):
                raise TimeoutError(f"the variable {name!r} was not there within {timeout} s")
        cell = self.cell(name)
        if cell is not None and (under := cell.under) is not None:
            self.block_until(lambda: under.final, "await s.wait()")
            cell = self._outcome(under)
        return None if cell is None else cell.meta

    def text(self) -> str:
        """The whole text, once everything appended is done."""
        self.sync()
        return self.text_

    def messages(self) -> list[dict[str, Any]]:
        """The finished turns, once everything appended is done."""
        self.sync()
        return [dict(message) for message in self.messages_]

    def error(self) -> BaseException | None:
        """What went wrong, once everything appended is done."""
        self.wait_idle()
        return self.failure

    def set_variable(self, name: str, value: Any) -> None:
        """Write a variable by hand."""
        before = self.cells.get(name)
        cell = Cell(name, under=before and (before.under or before))
        cell.complete(value)
        self.set_cell(cell)

    def set_cell(self, cell: Cell) -> None:
        """Take a finished variable."""
        with self.monitor.lock:
            self.cells[cell.name] = cell
            self.monitor.changed()


def unknown_variable(executor: OpQueue, name: str) -> KeyError:
    """The error for a name that no op of the program declares."""
    known = ", ".join(repr(key) for key in executor.cells)
    known = known or "none; a call makes its variable when it is appended: `s += gen(...)`"
    return KeyError(f"{name!r} is no variable of program {executor.program!r}; known: {known}")
