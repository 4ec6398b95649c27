"""Constraints to compiled grammars, with a cache; used by the engine process (off its loop) and,
without compiling, by whoever wants to check a constraint early."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass

from ..errors import RequestError
from ..protocol import (
    Choices,
    Constraint,
    Ebnf,
    GrammarBackend,
    Islands,
    JsonSchema,
    Regex,
    Tagged,
)
from ..tokenizer import Tokenizer
from .base import Grammar
from .expr import EMPTY, Expr, Language, alt, lit
from .gbnf import gbnf_language
from .islands import islands_language
from .jobs import Build, Shape, Try
from .json_layout import Layout
from .language_codec import decode_language
from .limits import GrammarLimits
from .regex import fullmatch
from .schema import Reading, schema_language
from .shaping import decode_shaped
from .tagged import Mark, tagged_language
from .workers import Workers
from .xgrammar_engine import XGrammarEngine

# A digest: the schemas themselves may be large, and refused ones are remembered too.
_Key = bytes

# What an entry takes beside its grammar.
_ENTRY_BYTES = 512
_REFUSAL_BYTES = 1_024
# So many constraints may be in use at once; one that was asked for so long ago has grown.
_MAX_LATELY = 128


def build_language(
    constraint: Constraint, limits: GrammarLimits, mark: Mark = lambda text: text
) -> Language:
    """The language of a constraint; needs neither tokenizer nor torch. Raises
    RequestError("grammar").

    mark: how a format's text names control tokens (`ControlTokens.marked`).
    """
    if isinstance(constraint, Choices):
        return Language(alt(_choice(text) for text in dict.fromkeys(constraint.choices)))
    if isinstance(constraint, Regex):
        if len(constraint.pattern) > limits.max_source_chars:
            raise RequestError("grammar", f"pattern over {limits.max_source_chars} characters")
        return Language(fullmatch(constraint.pattern, limits))
    if isinstance(constraint, Ebnf):
        return gbnf_language(constraint.grammar, limits)
    if isinstance(constraint, Tagged):
        return tagged_language(constraint, limits, mark)
    if isinstance(constraint, Islands):
        return islands_language(constraint, lambda inner: build_language(inner, limits), mark)
    reading = Reading(
        closed=constraint.reading == "closed",
        any_order=constraint.any_order,
        lenient=constraint.on_unsupported == "validate",
        layout=Layout(constraint.separators, constraint.indent, constraint.max_whitespace),
    )
    return schema_language(constraint.schema, limits, reading)


def _choice(text: str) -> Expr:
    try:
        return lit(text) if text else EMPTY
    except UnicodeEncodeError:
        raise RequestError(
            "grammar", f"the choice {text!r} holds half a surrogate pair", pointer="choices"
        ) from None


def _key(constraint: Constraint) -> _Key:
    # Not as msgpack: a text may hold half a surrogate pair, which is refused later by its place.
    return hashlib.sha256(repr(constraint).encode("utf-8", "surrogatepass")).digest()


def _told_again(refusal: RequestError) -> RequestError:
    """The same, without the frames that it has been through: it is kept, and would keep them, more
    with every time that it is raised."""
    return RequestError(
        refusal.code,
        refusal.message,
        pointer=refusal.pointer,
        retry_after_s=refusal.retry_after_s,
    )


def _num_bytes(found: Grammar | RequestError) -> int:
    return found.num_bytes if isinstance(found, Grammar) else _REFUSAL_BYTES


def _format_texts(constraint: Tagged | Islands) -> set[str]:
    """The texts of a format, in which control tokens may be named."""
    if isinstance(constraint, Tagged):
        parts = [text for tag in constraint.tags for text in (tag.begin, tag.end)]
        return {*parts, constraint.opening, constraint.separator, constraint.closing}
    parts = [text for island in constraint.islands for text in (island.begin, island.end)]
    return {*parts, *constraint.triggers}


@dataclass(slots=True)
class _Entry:
    found: Grammar | RequestError
    num_bytes: int


class GrammarCompiler:
    """Compiles constraints for one tokenizer and keeps what it compiled, up to `cache_bytes`.

    backend: which engine makes the masks of constraints that do not say. Regexes and choices go to
    the native engine by default, where they fit it, and everything else to xgrammar.
    workers: where constraints are taken apart and shaped; without, here, which holds up whatever
    else the interpreter runs.

    Thread-safe; threads that ask for the same constraint at once wait for one compilation.
    Refused constraints are remembered as well.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocab_size: int,
        limits: GrammarLimits | None = None,
        backend: GrammarBackend = "auto",
        workers: Workers | None = None,
    ) -> None:
        self.limits = limits or GrammarLimits()
        self._workers = workers
        self._backend = backend
        self._engine = XGrammarEngine(tokenizer, vocab_size, self.limits)
        self._tag_engine: XGrammarEngine | None = None
        self._tag_engine_lock = threading.Lock()
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._begun: dict[_Key, Future[Grammar | RequestError]] = {}
        self._lately: deque[_Key] = deque()
        self._entry_bytes = 0
        self.hits = 0
        self.misses = 0

    def compile(self, constraint: Constraint, max_new_tokens: int | None = None) -> Grammar:
        """The grammar of a constraint. Blocks; raises RequestError("grammar", pointer=...) when it
        cannot be enforced, or when no output fits into `max_new_tokens`."""
        grammar = self._cached(constraint)
        if max_new_tokens is not None:
            grammar.require_budget(max_new_tokens)
        return grammar

    def ready(self, constraint: Constraint, max_new_tokens: int | None = None) -> Grammar | None:
        """What `compile` gives or raises, without compiling: None where that was not done yet."""
        with self._lock:
            if _key(constraint) not in self._entries:
                return None
        return self.compile(constraint, max_new_tokens)

    @property
    def cached_bytes(self) -> int:
        """What is kept: grammars, refusals, and the masks of all of them."""
        tags = 0 if self._tag_engine is None else self._tag_engine.num_bytes
        return self._entry_bytes + self._engine.num_bytes + tags

    def _cached(self, constraint: Constraint) -> Grammar:
        key = _key(constraint)
        with self._lock:
            entry, future = self._entries.get(key), self._begun.get(key)
            is_mine = entry is None and future is None
            if is_mine:
                future = self._begun[key] = Future()
            self.misses += is_mine
            self.hits += not is_mine
        if future is not None:
            if is_mine:
                self._run(constraint, key, future)
            found = future.result()
        else:
            assert entry is not None
            found = entry.found
        self._note(key)
        if isinstance(found, RequestError):
            raise _told_again(found)
        return found

    def _note(self, key: _Key) -> None:
        """A constraint was asked for. Its grammar grows as it is used: it is weighed again when it
        is asked for again, and when many others were."""
        with self._lock:
            self._lately.append(key)
            self._weigh_again(key)
            if len(self._lately) > _MAX_LATELY:
                self._weigh_again(self._lately.popleft())
            if key in self._entries:
                self._entries.move_to_end(key)
            self._shrink()

    def _weigh_again(self, key: _Key) -> None:
        entry = self._entries.get(key)
        if entry is not None:
            before, entry.num_bytes = entry.num_bytes, _ENTRY_BYTES + _num_bytes(entry.found)
            self._entry_bytes += entry.num_bytes - before

    def _run(
        self, constraint: Constraint, key: _Key, future: Future[Grammar | RequestError]
    ) -> None:
        try:
            found = self._found(constraint)
        except BaseException as error:
            # Waiting threads must learn of it; nothing is kept.
            with self._lock:
                del self._begun[key]
            future.set_exception(error)
            return
        entry = _Entry(found, _ENTRY_BYTES + _num_bytes(found))
        # A refusal that might be served another time is not remembered.
        is_kept = not isinstance(found, RequestError) or found.code == "grammar"
        with self._lock:
            del self._begun[key]
            if is_kept:
                self._entries[key] = entry
                self._entry_bytes += entry.num_bytes
        future.set_result(found)

    def _found(self, constraint: Constraint) -> Grammar | RequestError:
        try:
            return self._compiled(constraint)
        except RequestError as error:
            return _told_again(error)
        except RecursionError:
            return RequestError("grammar", "the constraint nests too deeply")

    def _compiled(self, constraint: Constraint) -> Grammar:
        # Text that is forced is encoded between two steps, where nothing may be loaded.
        self._engine.tokenizer.prepare()
        workers = self._workers
        if isinstance(constraint, Tagged | Islands):
            engine, backend = self._engine_of_tags(), self._backend
            controls = engine.controls
            assert controls is not None
            marks = {text: controls.marked(text) for text in _format_texts(constraint)}
        else:
            engine, backend, marks = self._engine, self._asked_backend(constraint), {}
        engine.vocabulary.prepare()
        falls_back = backend == "auto"
        if falls_back and not isinstance(constraint, Choices | Regex):
            # The automata of other languages, where there are any, repeat themselves.
            backend = "xgrammar"
        if workers is None:
            language = build_language(constraint, self.limits, lambda text: marks.get(text, text))
            return engine.compile(language, backend, falls_back)
        if backend == "outlines":
            data = workers.run(Build(constraint, self.limits, marks))
            return engine.compile(decode_language(data), backend)
        token_bytes = engine.vocabulary.token_bytes

        def attempt(source: str) -> bytes:
            return workers.run(Try(source, token_bytes))

        wish = (backend, falls_back, engine.has_machine)
        job = Shape(constraint, self.limits, marks, *wish, token_bytes)
        data = workers.run(job)
        return engine.finish(decode_shaped(data), attempt)

    def warm(self) -> None:
        """Do once what the first constraint would wait for, and hold others up with:
        start a process, and put the vocabulary in the order that the engine needs. That of tool
        calls differs by a few tokens and is made of it with the first of them."""
        if self._workers is not None:
            token_bytes = self._engine.vocabulary.token_bytes
            job = Shape(Choices(["a"]), self.limits, {}, "native", False, False, token_bytes)
            self._workers.run(job)
        self._engine.warm()

    def _engine_of_tags(self) -> XGrammarEngine:
        with self._tag_engine_lock:
            if self._tag_engine is None:
                engine = self._engine
                self._tag_engine = XGrammarEngine(
                    engine.tokenizer, engine.vocab_size, self.limits, engine
                )
            return self._tag_engine

    def close(self) -> None:
        """End the processes."""
        if self._workers is not None:
            self._workers.close()

    def _asked_backend(self, constraint: Choices | Regex | JsonSchema | Ebnf) -> GrammarBackend:
        return constraint.backend if constraint.backend != "auto" else self._backend

    def _shrink(self) -> None:
        """Drop the entries not asked for longest; running matchers keep their own grammar."""
        while self._entries and self.cached_bytes > self.limits.cache_bytes:
            _, entry = self._entries.popitem(last=False)
            self._entry_bytes -= entry.num_bytes
