"""Grammars are compiled here, in threads beside the engine loop, with a time limit for each."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import RequestError
from ..protocol import Constraint
from ..scheduler.sequence import Sequence

if TYPE_CHECKING:
    from ..constrained.base import Grammar

_NUM_THREADS: Final = 2
# Native code cannot be interrupted: a compilation that hangs keeps its thread, and another thread
# takes over its work. More than so many hanging at once, and new grammars are refused.
_MAX_HUNG: Final = 8
# Of the loop's time, while others run: what a grammar forces at first takes 0.02 to 2 ms.
_MOST_AT_ONCE_S: Final = 0.001


class Compiler(Protocol):
    """What is needed of `GrammarCompiler`: `compile` blocks, `ready` does not; both may be called
    from several threads."""

    def compile(self, constraint: Constraint, max_new_tokens: int, /) -> Grammar: ...
    def ready(self, constraint: Constraint, max_new_tokens: int, /) -> Grammar | None: ...
    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Job:
    seq: Sequence
    constraint: Constraint
    deadline_s: float
    started: bool = False
    done: bool = False
    abandoned: bool = False


class GrammarThreads:
    """Sequences whose constraint is being compiled; they run once it is done."""

    def __init__(
        self,
        compiler: Compiler,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compiler = compiler
        self._timeout_s = timeout_s
        self._clock = clock
        self._jobs: dict[int, _Job] = {}
        self._todo: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[_Job, Grammar | Exception]] = queue.SimpleQueue()
        self._waiting: list[_Job] = []
        self._num_threads = 0
        self.num_hung = 0
        self.num_compiled = 0
        self.compile_s = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, sid: int) -> bool:
        return sid in self._jobs

    def stats(self) -> dict[str, float]:
        """Counters, and how many wait."""
        return {
            "compiling": len(self._jobs),
            "grammars_compiled": self.num_compiled,
            "grammar_compile_seconds": self.compile_s,
        }

    def start(self, seq: Sequence, constraint: Constraint, *, waits: bool = False) -> None:
        """Begin to compile, or with `waits` not before `go_on`. Raises RequestError when too many
        compilations hang."""
        if self.num_hung >= _MAX_HUNG:
            raise RequestError(
                "overloaded",
                f"{self.num_hung} grammars are taking longer than {self._timeout_s:g} s to "
                "compile; retry later",
                retry_after_s=self._timeout_s,
            )
        job = _Job(seq, constraint, self._clock() + self._timeout_s)
        self._jobs[seq.sid] = job
        self._waiting.append(job)
        if not waits:
            self.go_on()

    def go_on(self) -> None:
        """Compile what waits."""
        for job in self._waiting:
            self._todo.put(job)
            if self._num_threads < _NUM_THREADS:
                self._add_thread()
        self._waiting.clear()

    def ready(self, constraint: Constraint, max_new_tokens: int) -> Grammar | None:
        """The grammar, if nothing has to be compiled for it."""
        return self._compiler.ready(constraint, max_new_tokens)

    def drop(self, sid: int) -> None:
        """Forget a sequence; what is compiled for it may still enter the compiler's cache."""
        del self._jobs[sid]

    def close(self) -> None:
        """End the threads, those at work with their job, and the compiler."""
        for _ in range(self._num_threads):
            self._todo.put(None)
        self._compiler.close()

    def collect(self, wait_s: float = 0.0) -> Iterator[tuple[Sequence, Grammar | Exception]]:
        """Those that are through, with the grammar or the reason why there is none. Waits at most
        `wait_s` for the first."""
        if not self._jobs and not self.num_hung:
            return
        yield from self._expired()
        while True:
            try:
                job, result = self._done.get(timeout=wait_s) if wait_s else self._done.get_nowait()
            except queue.Empty:
                return
            wait_s = 0.0
            if job.abandoned:
                self.num_hung -= 1
            elif self._jobs.get(job.seq.sid) is job:
                del self._jobs[job.seq.sid]
                yield job.seq, result

    def ready_ones(
        self, wait_s: float, look_ahead: Callable[[Sequence], None]
    ) -> list[tuple[Sequence, Exception | None]]:
        """`collect`, with a matcher for each sequence that may run now; or why it may not. Where
        others run (no `wait_s`), as many as take a millisecond and at least one.
        look_ahead: gives a sequence what its grammar forces from the very beginning."""
        through: list[tuple[Sequence, Exception | None]] = []
        until_s = math.inf if wait_s else time.perf_counter() + _MOST_AT_ONCE_S
        for seq, result in self.collect(wait_s):
            error = result if isinstance(result, Exception) else None
            if not isinstance(result, Exception):
                try:
                    seq.matcher = result.matcher()
                    look_ahead(seq)
                except Exception as defect:
                    error = defect
            through.append((seq, error))
            if time.perf_counter() > until_s:
                break
        return through

    def _expired(self) -> Iterator[tuple[Sequence, Exception]]:
        now_s = self._clock()
        late = [job for job in self._jobs.values() if job.deadline_s < now_s and not job.done]
        for job in late:
            del self._jobs[job.seq.sid]
            job.abandoned = True
            self.num_hung += 1
            if job.started:
                self._add_thread()
            yield (
                job.seq,
                RequestError(
                    "grammar",
                    f"the constraint was not compiled within {self._timeout_s:g} s; make it "
                    "simpler",
                    pointer="/constraint",
                ),
            )

    def _add_thread(self) -> None:
        self._num_threads += 1
        # Daemons: one that hangs must not keep the process from ending.
        threading.Thread(target=self._work, name="grammar", daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self._todo.get()
            if job is None:
                return
            if self._jobs.get(job.seq.sid) is not job:
                if job.abandoned:
                    self._done.put((job, RequestError("grammar", "too late")))
                continue
            job.started = True
            result: Grammar | Exception
            started_s = time.perf_counter()
            try:
                result = self._compiler.compile(job.constraint, job.seq.max_new_tokens)
            except Exception as error:
                result = error
            self.num_compiled += 1
            self.compile_s += time.perf_counter() - started_s
            job.done = True
            self._done.put((job, result))
            if job.abandoned:
                return
