"""Other engines for masks, as bench.grammar_costs measures them: milliseconds of the thread to
compile, microseconds per mask. None where an engine refuses, or takes over LIMIT_S."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from branchline.runtime.tokenizer import Tokenizer

LIMIT_S = 10
_LIMIT_BYTES = 8 * 2**30

Costs = tuple[float, list[float]]


class Peer(ABC):
    package: str
    takes_schemas = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        special = tokenizer.control_ids | set(tokenizer.eos_ids)
        self.tokenizer = tokenizer
        self.table = [
            b"" if index in special else data for index, data in enumerate(tokenizer.token_bytes)
        ]
        self.mask = np.zeros((1, -(-tokenizer.vocab_size // 32)), np.int32)

    @abstractmethod
    def compiled(self, source: str, is_schema: bool) -> Any:
        """What masks are made from; None where it is refused."""

    @abstractmethod
    def masks(self, compiled: Any, ids: list[int]) -> list[float]:
        """Microseconds of the mask before each of some tokens."""

    def schema(self, schema: str, text: str | None) -> Costs | None:
        """To compile a schema, and of each mask on the way through a text."""
        ids = [] if text is None else self.tokenizer.encode_text(text)
        return bounded(lambda: self._costs(schema, ids, is_schema=True))

    def regex(self, pattern: str) -> float | None:
        """Milliseconds to compile a regular expression and make its first mask."""
        found = bounded(lambda: self._costs(pattern, [0], is_schema=False))
        return None if found is None else found[0] + found[1][0] / 1e3

    def _costs(self, source: str, ids: list[int], *, is_schema: bool) -> Costs | None:
        started = time.thread_time()
        compiled = self.compiled(source, is_schema)
        took_ms = 1e3 * (time.thread_time() - started)
        return None if compiled is None else (took_ms, self.masks(compiled, ids))


class XGrammar(Peer):
    package = "xgrammar"

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        import xgrammar

        self._xgrammar = xgrammar
        info = xgrammar.TokenizerInfo(
            self.table, xgrammar.VocabType.RAW, stop_token_ids=list(tokenizer.eos_ids)
        )
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)

    def compiled(self, source: str, is_schema: bool) -> Any:
        try:
            if is_schema:
                return self._compiler.compile_json_schema(source, strict_mode=False)
            return self._compiler.compile_regex(source)
        except (RuntimeError, ValueError):
            return None

    def masks(self, compiled: Any, ids: list[int]) -> list[float]:
        matcher = self._xgrammar.GrammarMatcher(compiled)
        times = []
        for token in ids:
            begun = time.thread_time_ns()
            matcher.fill_next_token_bitmask(self.mask)
            times.append((time.thread_time_ns() - begun) / 1e3)
            if not matcher.accept_token(token):
                break
        return times


class LLGuidance(Peer):
    package = "llguidance"

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        import llguidance

        self._matcher = llguidance.LLMatcher
        table = self.table

        class Wrapped:
            """The tokenizer as llguidance takes one."""

            eos_token_id = tokenizer.eos_ids[0]
            bos_token_id = None
            tokens = table
            special_token_ids = sorted(tokenizer.control_ids | set(tokenizer.eos_ids))

            def __call__(self, text: str | bytes) -> list[int]:
                return tokenizer.encode_text(text if isinstance(text, str) else text.decode())

        wrapper = llguidance.TokenizerWrapper(Wrapped())
        self._tokens = llguidance.LLTokenizer(wrapper, n_vocab=tokenizer.vocab_size)

    def compiled(self, source: str, is_schema: bool) -> Any:
        kind = self._matcher
        grammar = kind.grammar_from_json_schema if is_schema else kind.grammar_from_regex
        matcher = kind(self._tokens, grammar(source))
        return None if matcher.is_error() else matcher

    def masks(self, compiled: Any, ids: list[int]) -> list[float]:
        times = []
        for token in ids:
            begun = time.thread_time_ns()
            compiled.unsafe_compute_mask_ptr(self.mask.ctypes.data, self.mask.nbytes)
            times.append((time.thread_time_ns() - begun) / 1e3)
            if not compiled.consume_token(token):
                break
        return times


class Outlines(Peer):
    """Regular expressions only: of schemas it takes minutes and gigabytes, where it takes them."""

    package = "outlines_core"
    takes_schemas = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        import outlines_core

        self._core = outlines_core
        ids: dict[bytes, list[int]] = {}
        for index, data in enumerate(self.table):
            if data:
                ids.setdefault(data, []).append(index)
        self._vocabulary = outlines_core.Vocabulary(tokenizer.eos_ids[0], ids)

    def compiled(self, source: str, is_schema: bool) -> Any:
        return self._core.Index(source, self._vocabulary)

    def masks(self, compiled: Any, ids: list[int]) -> list[float]:
        guide = self._core.Guide(compiled)
        begun = time.thread_time_ns()
        guide.write_mask_into(self.mask.ctypes.data, self.mask.size, 4)
        return [(time.thread_time_ns() - begun) / 1e3]


PEERS: tuple[type[Peer], ...] = (XGrammar, Outlines, LLGuidance)


def bounded(function: Callable[[], Costs | None]) -> Costs | None:
    """What a function gives in a process of its own, that ends after LIMIT_S of processor time;
    some of them can be stopped in no other way."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXCPU, signal.SIG_DFL)
            used = resource.getrusage(resource.RUSAGE_SELF)
            spent = int(used.ru_utime + used.ru_stime)
            resource.setrlimit(resource.RLIMIT_CPU, (spent + LIMIT_S, spent + LIMIT_S))
            resource.setrlimit(resource.RLIMIT_DATA, (_LIMIT_BYTES, _LIMIT_BYTES))
            with os.fdopen(writing, "w") as pipe:
                pipe.write(json.dumps(function()))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    found = json.loads(told) if told else None
    return None if found is None else (found[0], found[1])
