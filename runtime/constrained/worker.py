"""The process in which constraints are taken apart and tried: `python -m ...constrained.worker`.
Started and killed by workers.py.

It reads jobs from its standard input and writes replies to its standard output. The kernel ends it
where a job takes too much processor time; too much memory fails inside it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import traceback
from typing import Any

import msgspec

from ..errors import RequestError
from .compiler import build_language
from .jobs import MEMORY, Build, Job, Judge, Reply, Try, read_message, write_message
from .language_codec import encode_language


def main() -> None:
    """Serve until the other end closes."""
    jobs, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand between replies
    state: dict[str, Any] = {}
    decoder = msgspec.msgpack.Decoder(Job)
    while (data := read_message(jobs)) is not None:
        write_message(replies, msgspec.msgpack.encode(_served(decoder.decode(data), state)))


def _served(job: Job, state: dict[str, Any]) -> Reply:
    if isinstance(job.work, Try):
        _prepare(job.work, state)
    if isinstance(job.work, Judge):
        import jsonschema  # noqa: F401  its import is not the job's time
    before = _limit_memory(job.memory_bytes)
    # Its signal ends the process where nobody handles it.
    signal.setitimer(signal.ITIMER_PROF, job.cpu_s)
    try:
        return Reply(_done(job.work, state))
    except RequestError as error:
        return Reply(error=(error.code, error.message, error.pointer))
    except RecursionError:
        return Reply(error=("grammar", "the constraint nests too deeply", "/constraint"))
    except Exception as error:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            return Reply(error=(MEMORY, "", None))
        traceback.print_exc()
        return Reply(error=("internal", f"{type(error).__name__}: {error}", None))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _restore_memory(before)


def _done(work: Build | Try | Judge, state: dict[str, Any]) -> bytes:
    match work:
        case Build(constraint=constraint, limits=limits, marks=marks):
            mark = (lambda text: marks[text]) if marks else (lambda text: text)
            return encode_language(build_language(constraint, limits, mark))
        case Try(source=source):
            try:
                state["xgrammar"].compile_grammar(source)
            except (RuntimeError, ValueError) as error:
                if "bad_alloc" in str(error):
                    raise
                # The other end compiles it again and tells what is wrong.
            return b""
        case Judge(constraint=constraint, text=text):
            from .judging import fault

            return fault(constraint, text).encode()


def _prepare(work: Try, state: dict[str, Any]) -> None:
    """What a trial needs and others do not; not on the job's time."""
    import xgrammar

    if work.token_bytes is not None:
        info = xgrammar.TokenizerInfo(
            work.token_bytes, xgrammar.VocabType.RAW, vocab_size=len(work.token_bytes)
        )
        # Nothing is kept: each grammar is tried once.
        state["xgrammar"] = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)


def _limit_memory(num_bytes: int) -> tuple[int, int] | None:
    """Let the process grow by so much and no more. Linux counts address space; elsewhere there is
    no limit that holds, and only the time is bounded."""
    if not num_bytes or sys.platform != "linux":
        return None
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (now + num_bytes, before[1]))
    return before


def _restore_memory(before: tuple[int, int] | None) -> None:
    if before is not None:
        resource.setrlimit(resource.RLIMIT_AS, before)


if __name__ == "__main__":
    main()
