"""Processes for work that might not end: each job has limits of time and memory, and one that
reaches them takes its process with it, never ours. Used by compiler.py and, for finished values,
by the front process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Final

import msgspec
from msgspec.structs import replace

from ..errors import RequestError
from .jobs import MEMORY, SIZE, Build, Job, Judge, Reply, Shape, Try, framed
from .limits import GrammarLimits

# A busy machine gives a process a fraction of its time, and one that starts has much to import.
_PATIENCE: Final = 20.0
_START_S: Final = 60.0


class Workers:
    """As many processes as jobs run at once, started when first needed. Thread-safe."""

    def __init__(self, limits: GrammarLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._closed = False
        self.num_started = 0
        self.num_killed = 0

    def run(self, work: Build | Shape | Try | Judge) -> bytes:
        """The result of a job. Blocks. Raises RequestError: what the job found wrong, or
        ("grammar", naming the limit) where it was ended."""
        limits = self._limits
        with self._lock:
            worker = self._idle.pop() if self._idle else None
            self.num_started += worker is None
        try:
            worker = worker or _Worker()
        except OSError as error:
            raise RequestError(
                "overloaded",
                f"cannot start a process for the constraint ({error.strerror}); retry later",
                retry_after_s=1.0,
            ) from None
        job = Job(work, limits.max_compile_s, limits.max_compile_bytes)
        try:
            reply = worker.ask(job, _START_S + _PATIENCE * limits.max_compile_s)
        except UnicodeEncodeError:
            worker.kill()
            raise RequestError(
                "grammar", "the constraint holds half a surrogate pair", pointer="/constraint"
            ) from None
        if isinstance(reply, Reply):
            if reply.error is None or reply.error[0] != MEMORY:
                self._keep(worker)
            else:
                worker.kill()
            if reply.error is None:
                return reply.result
            code, message, pointer = reply.error
            if code == "internal":
                raise RuntimeError(message)
            if code != MEMORY:
                raise RequestError("grammar", message, pointer=pointer)
            reply = MEMORY
        with self._lock:
            self.num_killed += 1
        self._replace()
        raise RequestError("grammar", self._told(reply), pointer="/constraint")

    def _replace(self) -> None:
        """Start a process where one was ended, before somebody has to wait for it."""
        try:
            worker = _Worker()
        except OSError:
            return  # whoever asks next is told
        with self._lock:
            self.num_started += 1
        self._keep(worker)

    def _keep(self, worker: _Worker) -> None:
        """For the next job, if there may be one."""
        with self._lock:
            kept = not self._closed
            if kept:
                self._idle.append(worker)
        if not kept:
            worker.kill()

    def _told(self, why: str) -> str:
        limits = self._limits
        if why == MEMORY:
            megabytes = limits.max_compile_bytes >> 20
            return f"it needs over the limit of {megabytes} MiB (max_compile_bytes); simplify it"
        if why == "time":
            return (
                f"it takes over the limit of {limits.max_compile_s:g} s of processor time "
                "(max_compile_s); simplify it"
            )
        return f"working on it ended its process ({why}); simplify it"

    def close(self) -> None:
        """End the processes; those at work end with their job."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()


class _Worker:
    """One process and the pipes to it. One thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__.rsplit(".", 1)[0] + ".worker"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Not into the way of signals that a terminal sends to all of its group. Not a session
            # of its own, which Linux gives as much of the cores as it gives the engine's.
            process_group=0,
        )
        self._jobs, self._replies = self._ends()
        self._decoder = msgspec.msgpack.Decoder(Reply)
        # The vocabularies that the process has, by id; they are not sent again.
        self._sent: dict[int, list[bytes]] = {}

    def _ends(self) -> tuple[int, int]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None  # both are pipes
        for stream in (stdin, stdout):
            os.set_blocking(stream.fileno(), False)
        return stdin.fileno(), stdout.fileno()

    def ask(self, job: Job, patience_s: float) -> Reply | str:
        """The reply, or why there is none: "time", or what the process died of."""
        if isinstance(job.work, Shape | Try) and job.work.token_bytes is not None:
            key = id(job.work.token_bytes)
            token_bytes = None if key in self._sent else job.work.token_bytes
            self._sent[key] = job.work.token_bytes
            job = replace(job, work=replace(job.work, token_bytes=token_bytes, vocabulary=key))
        message = framed(msgspec.msgpack.encode(job))
        until_s = time.monotonic() + patience_s
        try:
            self._write(message, until_s)
            (size,) = SIZE.unpack(self._read(SIZE.size, until_s))
            return self._decoder.decode(self._read(size, until_s))
        except TimeoutError:
            self.kill()
            return "time"
        except OSError:
            code = self._process.wait()
            self.kill()
        if code == -signal.SIGPROF:
            return "time"
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def _write(self, data: bytes, until_s: float) -> None:
        left = memoryview(data)
        while left:
            _await(self._jobs, select.POLLOUT, until_s)
            left = left[os.write(self._jobs, left) :]

    def _read(self, size: int, until_s: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            _await(self._replies, select.POLLIN, until_s)
            piece = os.read(self._replies, size - len(data))
            if not piece:
                raise BrokenPipeError
            data += piece
        return bytes(data)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def _await(descriptor: int, event: int, until_s: float) -> None:
    """Until a pipe is ready. Raises TimeoutError. A timer's thread for each job would hold up the
    engine's loop, which shares the interpreter."""
    ready = select.poll()
    ready.register(descriptor, event)
    if not ready.poll(max(0.0, 1e3 * (until_s - time.monotonic()))):
        raise TimeoutError
