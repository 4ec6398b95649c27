"""Which calls a state is going to make, by the ops that wait in its queue: they are sent to the
runtime before the one under way has ended. Used by executor.py.

It is a forecast: a call is made as ever when its turn comes, and takes the answer of what was sent
ahead only where that was the same call (backend/runtime_session.py).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Final

from . import calls, ir
from .backend.base import FollowingCall
from .errors import InvalidRequest
from .op_queue import Op
from .transcript import Transcript

if TYPE_CHECKING:
    from .executor import StreamExecutor

# Calls of one state that are sent and have not had their turn.
_MOST: Final = 32
# Stands for output in the text by which chat templates tell empty turns from others.
_OUTPUT: Final = "\0"


class Lookahead:
    """Looks at each op once. `seen`: how many in front of the queue were looked at; `sent`: how
    many calls are among them."""

    __slots__ = ("_executor", "_future", "_is_blocked", "_num_seen", "_num_sent")

    def __init__(self, executor: StreamExecutor) -> None:
        self._executor = executor
        self._num_seen = 0
        self._num_sent = 0
        self._is_blocked = False
        # What the transcript will be behind the ops seen; its parts since the last call.
        self._future: Transcript | None = None

    @property
    def has_sent(self) -> bool:
        """Whether calls were told whose turn has not come."""
        return self._num_sent > 0

    def passed(self, op: Op) -> None:
        """The turn of an op has come."""
        if self._num_seen:
            self._num_seen -= 1
            self._num_sent -= isinstance(op.node, ir.Gen)
        else:
            self._future, self._is_blocked = None, False

    def behind(self, node: ir.Gen) -> Callable[[], list[FollowingCall]] | None:
        """What tells the calls that follow `node`, which is being made; None where its answer
        decides what the next prompt is."""
        executor = self._executor
        # Thinking is cut out of an answer, which is then new text.
        if executor.stream or executor.speculation is not None or node.reasoning is not None:
            return None
        return self._calls

    def _calls(self) -> list[FollowingCall]:
        """Those that were not told yet, as far as they are certain."""
        executor = self._executor
        with executor.monitor.lock:
            ops = list(islice(executor.waiting_ops, self._num_seen, None))
        if not ops or self._is_blocked or executor.failure is not None:
            return []
        if self._future is None:
            self._future = executor.transcript.branch()
            self._future.parts = []
            self._future.text += _OUTPUT
        found: list[FollowingCall] = []
        for op in ops:
            if self._num_sent == _MOST:
                break
            try:
                call = self._look(op.node, self._future)
            except InvalidRequest:
                self._is_blocked = True  # told when its turn has come
            if self._is_blocked:
                break
            self._num_seen += 1
            if call is not None:
                self._num_sent += 1
                found.append(call)
        return found

    def _look(self, node: ir.Expr, future: Transcript) -> FollowingCall | None:
        """Take an op into account; the call that it makes, if it makes one."""
        backend = self._executor.backend
        match node:
            case ir.Constant(value=text):
                future.add_text(text)
            case ir.RoleBegin(role=role):
                future.begin_role(role, backend.chat_template)
            case ir.RoleEnd(role=role):
                future.end_role(role, backend.chat_template)
            case ir.VarScopeBegin() | ir.VarScopeEnd():
                pass
            case ir.Gen(reasoning=None):
                sampling, logprobs, peek = self._executor.asked(node)
                if not calls.is_plain(sampling, peek=peek):
                    self._is_blocked = True
                    return None
                rest, future.parts = future.parts, []
                future.text += _OUTPUT
                return FollowingCall(rest, sampling, node.constraint, logprobs)
            case _:
                self._is_blocked = True
        return None
