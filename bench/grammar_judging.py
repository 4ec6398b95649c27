"""Whether an engine takes the valid values of a schema and no others, each schema in a process that
may be lost: bench.grammar asks, and what was found before is read from a file."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from bench.grammar_data import Case, spelled
from bench.grammar_engines import ENGINES, Accepts, Build, Refused
from bench.grammar_order import SchemaOrder

# What a process may take before the system must be protected from it.
_MAX_BYTES = 6 * 1024**3
# Compiled code hears no signal handler: so much later the kernel ends the process.
_GRACE_S = 2.0


@dataclass(frozen=True)
class Verdict:
    """kind: right, over (a valid value refused), under (an invalid one accepted), refused, late
    (past the time limit) or lost (its process ended). compile_s: CPU seconds until the grammar was
    there, -1 where it was not."""

    kind: str
    why: str = ""
    compile_s: float = -1.0
    total_s: float = 0.0


class _TooLate(BaseException):
    """A schema took too long; not an Exception, so that no handler on the way takes it."""


def judge(case: Case, build: Build) -> Verdict:
    started = time.process_time()
    compile_s = -1.0
    try:
        accepts = build(case.schema)
        compile_s = time.process_time() - started
        kind, why = _judged(case, accepts)
    except Refused as error:
        kind, why = "refused", str(error)
    return Verdict(kind, why, compile_s, time.process_time() - started)


def _judged(case: Case, accepts: Accepts) -> tuple[str, str]:
    order = SchemaOrder(case.schema)
    refused = ""
    for valid, value in case.tests:
        texts = {spelled(value), spelled(order.of(value))}
        taken = any(text is not None and accepts(text) for text in texts)
        if taken and not valid:
            return "under", json.dumps(value)[:300]
        if valid and not taken and not refused:
            refused = json.dumps(value)[:300]
    return ("over", refused) if refused else ("right", "")


# --- in a process of its own ----------------------------------------------------------------------


def _late(signum: int, frame: FrameType | None) -> None:
    raise _TooLate


def _serve(connection: Connection, limit_s: float) -> None:
    """Judge what comes, until nothing more does."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, _late)
    engines: dict[str, Build | None] = {}
    while (asked := connection.recv()) is not None:
        engine, case = asked
        if engine not in engines:
            engines[engine] = ENGINES[engine]()
        build = engines[engine]
        assert build is not None
        # Nobody handles this one: it ends the process.
        signal.setitimer(signal.ITIMER_VIRTUAL, limit_s + _GRACE_S)
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        try:
            verdict = judge(case, build)
        except _TooLate:
            verdict = Verdict("late", f"over {limit_s:g} s", total_s=limit_s)
        except MemoryError:
            verdict = Verdict("lost", f"over {_MAX_BYTES} bytes")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        connection.send(verdict)


class _Judge:
    """A process that judges, started again where it was lost."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def ask(self, engine: str, case: Case) -> Verdict:
        if self._connection is None:
            context = get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(theirs, self._limit_s), daemon=True
            )
            self._process.start()
            theirs.close()
        try:
            self._connection.send((engine, case))
            found = self._connection.recv()
            assert isinstance(found, Verdict)
            return found
        except (EOFError, OSError):
            assert self._process is not None
            self._process.join()
            code = self._process.exitcode
            self._connection = None
            if code == -signal.SIGVTALRM:
                return Verdict("late", f"over {self._limit_s:g} s", total_s=self._limit_s)
            return Verdict("lost", f"its process ended with {code}")

    def close(self) -> None:
        if self._connection is not None and self._process is not None:
            self._connection.send(None)
            self._process.join()


# --- many of them ---------------------------------------------------------------------------------


class Verdicts:
    """What was found so far, kept in a file of JSON lines where one is given: a run that is cut
    short goes on from there. Whoever changes the code begins with another file."""

    def __init__(self, processes: int, limit_s: float, file: Path | None) -> None:
        self._limit_s = limit_s
        self._file = file
        self._found: dict[str, Verdict] = {}
        if file is not None and file.exists():
            for line in file.read_text().splitlines():
                told = json.loads(line)
                self._found[told.pop("key")] = Verdict(**told["verdict"])
        self._free: SimpleQueue[_Judge] = SimpleQueue()
        self._judges = [_Judge(limit_s) for _ in range(processes)]
        for one in self._judges:
            self._free.put(one)
        self._threads = ThreadPoolExecutor(processes)

    def of(
        self, data: str, engine: str, every: list[Case], tell: Callable[[int], None]
    ) -> list[Verdict]:
        """The verdicts on schemas, in their order. tell: hears how many are there."""
        keys = [self._key(engine, case) for case in every]
        missing = {
            key: case for key, case in zip(keys, every, strict=True) if key not in self._found
        }
        jobs = {
            self._threads.submit(self._asked, engine, case): (key, case.name)
            for key, case in missing.items()
        }
        for count, job in enumerate(as_completed(jobs), start=len(every) - len(missing) + 1):
            key, name = jobs[job]
            verdict = self._found[key] = job.result()
            if self._file is not None:
                told = {"key": key, "data": data, "engine": engine, "name": name}
                with self._file.open("a") as out:
                    out.write(json.dumps(told | {"verdict": asdict(verdict)}) + "\n")
            tell(count)
        return [self._found[key] for key in keys]

    def close(self) -> None:
        self._threads.shutdown()
        for one in self._judges:
            one.close()

    def _asked(self, engine: str, case: Case) -> Verdict:
        one = self._free.get()
        try:
            return one.ask(engine, case)
        finally:
            self._free.put(one)

    def _key(self, engine: str, case: Case) -> str:
        content = json.dumps([engine, self._limit_s, case.name, case.schema, case.tests])
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def installed(engines: Iterable[str]) -> list[str]:
    """Those that are there; the others are named."""
    found = []
    for engine in engines:
        if ENGINES[engine]() is None:
            print(f"{engine} is not installed: left out")
        else:
            found.append(engine)
    return found
