"""The process in which constraints are taken apart and tried: `python -m ...constrained.worker`.
Started and killed by workers.py.

It reads jobs from its standard input and writes replies to its standard output. The kernel ends it
where a job takes too much processor time; too much memory fails inside it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
import traceback
import warnings
from functools import cached_property
from typing import Any

import msgspec

from ..errors import RequestError
from .compiler import build_language
from .jobs import MEMORY, Build, Job, Judge, Reply, Shape, Try, read_message, write_message
from .language_codec import encode_language
from .shaping import shaped
from .tagged import Mark
from .vocabulary import Vocabulary


def main() -> None:
    """Serve until the other end closes."""
    jobs, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand between replies
    known: dict[int, _Known] = {}
    decoder = msgspec.msgpack.Decoder(Job)
    # What `re` says of a pattern, "[[a]" for one, is for whoever writes it, not for a server's log.
    warnings.simplefilter("ignore", FutureWarning)
    # What a job leaves is collected while nobody waits: a collection takes as long as many jobs.
    gc.disable()
    try:
        while (data := read_message(jobs)) is not None:
            try:
                reply = _served(decoder.decode(data), known)
            except msgspec.ValidationError as error:  # a constraint that no client could send
                reply = Reply(error=("grammar", str(error), "/constraint"))
            write_message(replies, msgspec.msgpack.encode(reply))
            gc.collect()
    except BrokenPipeError:
        # Who asked has ended, and what is buffered has nowhere to go.
        os._exit(0)


class _Known:
    """A vocabulary that was sent, and what was made of it."""

    def __init__(self, token_bytes: list[bytes]) -> None:
        self._token_bytes = token_bytes

    @cached_property
    def vocabulary(self) -> Vocabulary:
        vocabulary = Vocabulary(self._token_bytes)
        vocabulary.suffix_costs(b"")  # makes what it looks tokens up in
        return vocabulary

    @cached_property
    def xgrammar(self) -> Any:
        import xgrammar

        info = xgrammar.TokenizerInfo(
            self._token_bytes, xgrammar.VocabType.RAW, vocab_size=len(self._token_bytes)
        )
        # Nothing is kept: each grammar is tried once.
        return xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)


def _served(job: Job, known: dict[int, _Known]) -> Reply:
    if isinstance(job.work, Shape | Try):
        _prepare(job.work, known)
    if isinstance(job.work, Judge):
        import jsonschema  # noqa: F401  its import is not the job's time
    before = _limit_memory(job.memory_bytes)
    # Its signal ends the process where nobody handles it.
    signal.setitimer(signal.ITIMER_PROF, job.cpu_s)
    try:
        return Reply(_done(job.work, known))
    except RequestError as error:
        return Reply(error=(error.code, error.message, error.pointer))
    except RecursionError:
        return Reply(error=("grammar", "the constraint nests too deeply", "/constraint"))
    except Exception as error:
        # Where there is no memory for the MemoryError itself, CPython raises a SystemError.
        if isinstance(error, MemoryError | SystemError) or "bad_alloc" in str(error):
            return Reply(error=(MEMORY, "", None))
        traceback.print_exc()
        return Reply(error=("internal", f"{type(error).__name__}: {error}", None))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _restore_memory(before)


def _done(work: Build | Shape | Try | Judge, known: dict[int, _Known]) -> bytes:
    match work:
        case Build(constraint=constraint, limits=limits, marks=marks):
            return encode_language(build_language(constraint, limits, _mark(marks)))
        case Shape(constraint=constraint, limits=limits, marks=marks):
            language = build_language(constraint, limits, _mark(marks))
            vocabulary = known[work.vocabulary].vocabulary
            wish = (work.backend, work.falls_back, work.has_machine)
            return shaped(language, vocabulary, limits, *wish).encoded()
        case Try(source=source):
            try:
                known[work.vocabulary].xgrammar.compile_grammar(source)
            except (RuntimeError, ValueError) as error:
                if "bad_alloc" in str(error):
                    raise
                # The other end compiles it again and tells what is wrong.
            return b""
        case Judge(constraint=constraint, text=text):
            from .judging import fault

            return fault(constraint, text).encode()


def _mark(marks: dict[str, str]) -> Mark:
    return lambda text: marks.get(text, text)


def _prepare(work: Shape | Try, known: dict[int, _Known]) -> None:
    """What a job needs of its vocabulary; not on the job's time."""
    is_new = work.token_bytes is not None
    if work.token_bytes is not None:
        known[work.vocabulary] = _Known(work.token_bytes)
    vocabulary = known[work.vocabulary]
    _ = vocabulary.xgrammar if isinstance(work, Try) else vocabulary.vocabulary
    if is_new:
        gc.freeze()  # it stays, with all that was imported


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
