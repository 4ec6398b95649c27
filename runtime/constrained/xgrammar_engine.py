"""Grammars whose masks come from xgrammar, or where the language is regular from our automata
(native_masks.py) or outlines_core; built by compiler.py, run by the engine process.

These answer which tokens the grammar allows. What they do not know stays with the walker of the
same language: whether the output can still be completed within the budget, long counted
repetitions, and forced text that ends inside a character.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import RequestError
from ..protocol import GrammarBackend
from ..tokenizer import Tokenizer
from .allowance import Allowance
from .base import NOTHING_FORCED, Forced, Grammar, MaskRow, Matcher
from .budget import TokenCosts, TokenIds
from .control_tokens import ControlTokens
from .expr import Language
from .handle import Compiled, Handle
from .limits import GrammarLimits
from .machine_grammar import MachineGrammar
from .machine_library import machine_library
from .machine_masks import MachineMasks, MachineVocabulary
from .native_masks import NativeMasks, TokenColumns
from .outlines_masks import OutlinesEngine
from .rows import Rows
from .schema_report import Entry, report_bytes
from .shaping import Shaped, alive, shaped
from .spelling import Speller
from .vocabulary import Vocabulary
from .walker import State, Walker
from .walker_masks import WalkerMasks

# Characters of EBNF x tokens that compile in under 0.3 s whatever they say.
_SURE_TO_END = 50_000_000
# What the Python objects of a grammar take.
_OBJECTS_BYTES = 8_192
_NONE: TokenIds = np.empty(0, dtype=np.int64)


class XGrammarEngine:
    """Compiles languages for one vocabulary. Thread-safe.

    text: another engine, to share what both have; with it languages may name control tokens,
    without none of them is ever allowed.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocab_size: int,
        limits: GrammarLimits,
        text: XGrammarEngine | None = None,
    ) -> None:
        self._limits = limits
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.controls: ControlTokens | None = None
        if text is None:
            self.encode_text: Callable[[str], list[int]] = tokenizer.encode_text
            token_bytes = [
                b"" if index in tokenizer.control_ids or index in tokenizer.eos_ids else data
                for index, data in enumerate(tokenizer.token_bytes[:vocab_size])
            ]
            self.vocabulary = Vocabulary(token_bytes)
        else:
            self.controls = ControlTokens(tokenizer)
            self.encode_text = self.controls.encode_text
            self.vocabulary = self.controls.vocabulary(text.vocabulary)
        self.eos_ids = tuple(index for index in tokenizer.eos_ids if index < vocab_size)
        if not self.eos_ids:
            raise RequestError("grammar", "the model has no end token, so nothing could end")
        self._rows: Rows = Rows(limits.cache_bytes // 4) if text is None else text._rows
        self.row_size = -(-vocab_size // 32)

    def compile(
        self,
        language: Language,
        backend: GrammarBackend = "xgrammar",
        falls_back: bool = False,
    ) -> Grammar:
        """backend, falls_back: as of `shaped`.

        Raises RequestError("grammar") when nothing satisfies the language, this tokenizer cannot
        spell it, or the engine refuses it."""
        if backend == "outlines":
            pruned, graph = alive(language, self.vocabulary)
            compiled = self._outlines.compile(pruned)
            return XGrammar(self, compiled, Walker.over(graph), language.report)
        wish = (backend, falls_back, self.has_machine)
        return self.finish(shaped(language, self.vocabulary, self._limits, *wish))

    def finish(self, shape: Shaped, attempt: Callable[[str], object] | None = None) -> Grammar:
        """The grammar of what was shaped, with this engine's vocabulary. It takes hardly any
        Python: the threads that come here share the interpreter with the engine's loop.

        attempt: compiles a long grammar elsewhere first, and raises where that fails."""
        if shape.machine is not None:
            assert self._machine is not None  # or nobody would have made its tables
            masks = MachineMasks(self._machine, shape.machine, self.eos_ids, self._rows)
            return MachineGrammar(masks, self.vocabulary, self.encode_text, shape.report)
        assert shape.graph is not None
        walker = Walker.over(shape.graph)
        return XGrammar(self, self._masks(shape, walker, attempt), walker, shape.report)

    def _masks(
        self, shape: Shaped, walker: Walker, attempt: Callable[[str], object] | None
    ) -> Compiled:
        if shape.dfa is not None:
            return NativeMasks(shape.dfa, self._columns, self.eos_ids, self.vocabulary, self._rows)
        if not shape.source:
            return WalkerMasks(walker, self.vocabulary, self.eos_ids)
        if attempt is not None and len(shape.source) * self.vocab_size > _SURE_TO_END:
            try:
                attempt(shape.source)
            except RequestError as error:
                if not shape.falls_back or error.code != "grammar":
                    raise
                return WalkerMasks(walker, self.vocabulary, self.eos_ids)
        try:
            return _XGrammarMasks(self._xgrammar.compile_grammar(shape.source))
        except (RuntimeError, ValueError) as error:
            message = str(error).splitlines()[-1][:300] if str(error) else "no reason given"
            raise RequestError("grammar", f"xgrammar cannot compile this: {message}") from None

    @property
    def num_bytes(self) -> int:
        """The masks that were found, where they are its own, and what xgrammar keeps."""
        xgrammar = self.__dict__.get("_xgrammar")
        kept = 0 if xgrammar is None else int(xgrammar.get_cache_size_bytes())
        return kept + (self._rows.num_bytes if self.controls is None else 0)

    def warm(self) -> None:
        """Prepare for what is asked for without an engine's name."""
        _ = self._machine if self.has_machine else self._columns

    @property
    def has_machine(self) -> bool:
        """Whether the machine in src/ is there, so that nothing needs xgrammar."""
        return machine_library() is not None

    @cached_property
    def _machine(self) -> MachineVocabulary | None:
        library = machine_library()
        return None if library is None else MachineVocabulary(library, self.vocabulary)

    @cached_property
    def _xgrammar(self) -> Any:
        """xgrammar's compiler, for who asks for it by name, or where there is no machine."""
        import xgrammar  # imports torch

        info = xgrammar.TokenizerInfo(
            self.vocabulary.token_bytes,
            xgrammar.VocabType.RAW,
            vocab_size=self.vocab_size,
            stop_token_ids=list(self.eos_ids),
        )
        # Whole grammars are cached by compiler.py; this cache shares their common rules.
        most = self._limits.cache_bytes // 4
        return xgrammar.GrammarCompiler(info, max_threads=1, cache_limit_bytes=most)

    @cached_property
    def _columns(self) -> TokenColumns:
        return TokenColumns(self.vocabulary)

    @cached_property
    def _outlines(self) -> OutlinesEngine:
        return OutlinesEngine(self.vocabulary, self.eos_ids)


class _XGrammarMasks:
    """xgrammar's compiled grammar."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    @property
    def memory_size_bytes(self) -> int:
        return int(self._compiled.memory_size_bytes)

    def prepare(self, handle: Handle, allowance: Allowance) -> bool:
        """Nothing: xgrammar's masks cannot be found in parts."""
        return True

    def handle(self) -> Handle:
        from xgrammar import GrammarMatcher

        handle: Handle = GrammarMatcher(self._compiled)
        return handle


class XGrammar(Grammar):
    """A compiled language."""

    def __init__(
        self,
        engine: XGrammarEngine,
        compiled: Compiled,
        walker: Walker,
        report: tuple[Entry, ...] = (),
    ) -> None:
        self.engine = engine
        self.report = report
        self.compiled = compiled
        self.walker = walker
        self.costs = TokenCosts(walker, engine.vocabulary)
        self.speller = Speller(walker, engine.vocabulary, engine.encode_text)
        self.min_tokens = walker.start.cost
        self._report_bytes = report_bytes(report)

    @property
    def num_bytes(self) -> int:
        found = self.walker.num_bytes + self.costs.num_bytes + self.speller.num_bytes
        return _OBJECTS_BYTES + self.compiled.memory_size_bytes + found + self._report_bytes

    def matcher(self) -> XGrammarMatcher:
        return XGrammarMatcher(self, self.compiled.handle())


class XGrammarMatcher(Matcher):
    """An xgrammar matcher and the walker's state for the same text."""

    def __init__(self, grammar: XGrammar, handle: Handle) -> None:
        self._grammar = grammar
        self._handle = handle
        self._tokens: list[int] = []
        # states[i] is the walker's state after i tokens.
        self._states: list[State] = [grammar.walker.start]
        self.finished = False

    @property
    def min_tokens_to_accept(self) -> int:
        return self._states[-1].cost

    def fill_mask(self, row: MaskRow, remaining: int | None = None) -> None:
        self._fill(row, remaining, None)

    def try_mask(self, row: MaskRow, remaining: int | None, allowance: Allowance) -> bool:
        if not self._grammar.compiled.prepare(self._handle, allowance):
            return False
        return self._fill(row, remaining, allowance)

    def _fill(self, row: MaskRow, remaining: int | None, allowance: Allowance | None) -> bool:
        engine, costs = self._grammar.engine, self._grammar.costs
        mask = row.reshape(1, -1)
        if self._handle.is_terminated():
            raise RequestError("grammar", "the output is complete; no token may follow")
        row.fill(-1)
        self._handle.fill_next_token_bitmask(mask, 0)
        _clear_from(row, engine.vocab_size)
        state = self._states[-1]
        forbidden: TokenIds | None = _NONE
        if remaining is not None and remaining <= self._grammar.walker.most:
            ids = self._allowed(row)
            forbidden = costs.unaffordable(state, ids, remaining - 1, allowance)
            if forbidden is not None and forbidden.size:
                self._note_left_out()
        elif state.slack < engine.vocabulary.max_length:
            forbidden = costs.overrunning(state, self._allowed(row), allowance)
        if forbidden is None:
            return False
        self._forbid(row, forbidden)
        if not row.any():
            raise RequestError("grammar", "no token of the vocabulary continues the output")
        return True

    def _allowed(self, row: MaskRow) -> TokenIds:
        """The ids that a row allows, end tokens left out."""
        bits = np.unpackbits(row.view(np.uint8), bitorder="little")
        bits[list(self._grammar.engine.eos_ids)] = 0
        return np.flatnonzero(bits)

    @staticmethod
    def _forbid(row: MaskRow, ids: TokenIds) -> None:
        if ids.size:
            bits = np.unpackbits(row.view(np.uint8), bitorder="little")
            bits[ids] = 0
            row[:] = np.packbits(bits, bitorder="little").view(np.int32)

    def accept(self, token_id: int) -> bool:
        engine, state = self._grammar.engine, self._states[-1]
        following: State | None = state
        if token_id not in engine.eos_ids:
            # xgrammar does not count long repetitions; the walker does.
            data = engine.vocabulary.bytes_of(token_id)
            following = self._grammar.walker.walk(state, data) if data else None
        if following is None or self._handle.is_terminated():
            return False
        if not self._handle.accept_token(token_id):
            return False
        self._tokens.append(token_id)
        self._states.append(following)
        self._update_finished()
        return True

    def _update_finished(self) -> None:
        ended = self._handle.is_terminated()
        self.finished = ended or self._grammar.walker.ends(self._states[-1])

    def rollback(self, count: int) -> None:
        if not 0 <= count <= len(self._tokens):
            raise ValueError(f"cannot take back {count} of {len(self._tokens)} tokens")
        if count:
            self._handle.rollback(count)
            del self._tokens[-count:]
            del self._states[-count:]
            self._update_finished()

    def forced(self, remaining: int | None = None, respell: int = 0) -> Forced:
        if self._handle.is_terminated():
            return NOTHING_FORCED
        return self._grammar.speller.forced(self._states, self._tokens, remaining, respell)

    def fork(self) -> XGrammarMatcher:
        copy = type(self)(self._grammar, self._handle.fork())
        copy._tokens = self._tokens.copy()
        copy._states = self._states.copy()
        copy.finished = self.finished
        copy.closed_by_budget = self.closed_by_budget
        copy.kept_short_by_budget = self.kept_short_by_budget
        return copy


def _clear_from(row: MaskRow, size: int) -> None:
    """Forbid the ids from `size` on: rows are padded to whole words."""
    if size % 32:
        row[size // 32] &= np.int32((1 << (size % 32)) - 1)
    row[-(-size // 32) :] = 0
