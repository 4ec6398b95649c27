"""Constraints that end or stall other servers, against the compiler with its processes (S9)."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.workers import Workers
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Constraint, Ebnf, Regex
from branchline.runtime.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))

from bombs import bombs

# Beside the processor time that a process may take: for what surely takes little, and is done here.
OWN_S = 0.5


@pytest.fixture
def workers() -> Iterator[Workers]:
    shared = Workers(GrammarLimits())
    yield shared
    shared.close()


@pytest.fixture(scope="module")
def connections() -> list[str]:
    """Where this process connects from now on; an audit hook stays."""
    seen: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
            seen.append(f"{event} {arguments[-1]}")

    sys.addaudithook(hook)
    return seen


def most_bytes(pid: int) -> int:
    """The most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def outcome(compiler: GrammarCompiler, bomb: Constraint) -> str:
    try:
        compiler.compile(bomb)
    except RequestError as error:
        return error.code
    return "compiled"


@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.nightly)])
def test_each_is_compiled_or_refused_within_its_bounds(
    tokenizer: Tokenizer, workers: Workers, connections: list[str], every: int
) -> None:
    """Own processor time: what the processes may take besides is bounded by the kernel."""
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, workers=workers)
    compiler.warm()
    ends = Counter[str]()
    slowest: list[tuple[float, str]] = []
    most = 0
    connections.clear()
    for bomb in itertools.islice(bombs(), 0, None, every):
        begun_s = time.thread_time()
        ends[outcome(compiler, bomb)] += 1
        slowest.append((time.thread_time() - begun_s, repr(bomb)[:80]))
        most = max([most, *(most_bytes(worker._process.pid) for worker in workers._idle)])
    slowest.sort(reverse=True)
    print(dict(ends), f"{workers.num_killed} processes ended, {most >> 20} MiB at most")
    print(*slowest[:5], sep="\n")
    assert ends.total() >= 200 // every
    assert ends.keys() == {"compiled", "grammar"}
    assert min(ends.values()) > 20 // every
    assert slowest[0][0] <= OWN_S, slowest[:5]
    assert most <= compiler.limits.max_compile_bytes
    assert connections == []
    # And after all of them a good one is served, by a process that is there or comes anew.
    assert compiler.compile(Regex("[a-z]{100}x")).min_tokens is not None


@pytest.mark.parametrize("fault", ["connects", "computes here", "another error"])
def test_a_compiler_with_such_a_fault_would_be_seen(
    tokenizer: Tokenizer,
    workers: Workers,
    connections: list[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    """Planted, in one of all that are compiled."""
    numbers = itertools.count()

    def compile_one(compiler: GrammarCompiler, constraint: Constraint) -> object:
        number = next(numbers)
        if number == 100 and fault == "connects":
            with socket.socket() as closed:
                closed.connect_ex(("127.0.0.1", 1))
        elif number == 100 and fault == "computes here":
            end_s = time.thread_time() + 1.2 * OWN_S
            while time.thread_time() < end_s:
                pass
        elif number == 100:
            raise RequestError("internal", "planted")
        if number % 2:
            raise RequestError("grammar", "no")
        return SimpleNamespace(min_tokens=1)

    monkeypatch.setattr(GrammarCompiler, "warm", lambda compiler: None)
    monkeypatch.setattr(GrammarCompiler, "compile", compile_one)
    with pytest.raises(AssertionError):
        test_each_is_compiled_or_refused_within_its_bounds(tokenizer, workers, connections, 1)


def test_a_process_that_cannot_be_started_is_no_fault_of_the_constraint(
    tokenizer: Tokenizer, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15: as with RLIMIT_NPROC; asked again once there is room, it is served."""
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, workers=workers)
    heavy = Regex("[a-c]{200}x")

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, os.strerror(11))

    with monkeypatch.context() as patch:
        patch.setattr("branchline.runtime.constrained.workers.subprocess.Popen", refuse)
        with pytest.raises(RequestError, match="cannot start a process") as caught:
            compiler.compile(heavy)
    assert (caught.value.code, caught.value.retry_after_s) == ("overloaded", 1.0)
    assert compiler.compile(heavy).min_tokens is not None


@pytest.mark.parametrize("constraint", [Regex("\ud800"), Ebnf("root ::= \ud800")])
def test_half_a_surrogate_pair_is_refused_and_leaves_no_process(
    tokenizer: Tokenizer, workers: Workers, constraint: Constraint
) -> None:
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, workers=workers)
    with pytest.raises(RequestError, match="surrogate") as caught:
        compiler.compile(constraint)
    assert caught.value.code == "grammar"
