"""Grammars of the machine, which knows all that a matcher is asked: masks, counts, budgets, and
what is forced. Built by xgrammar_engine.py; grammars of other engines ask a walker beside them."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import RequestError
from .allowance import Allowance
from .base import NOTHING_FORCED, Forced, Grammar, MaskRow, Matcher
from .machine_masks import Machine, MachineHandle, MachineMasks
from .schema_report import Entry, report_bytes
from .spelling import Speller
from .vocabulary import Vocabulary

# What the Python objects of a grammar take, its tables' arrays included.
_OBJECTS_BYTES = 6_144


class MachineGrammar(Grammar):
    """A language that is found as it is needed."""

    def __init__(
        self,
        compiled: MachineMasks,
        vocabulary: Vocabulary,
        encode_text: Callable[[str], list[int]],
        report: tuple[Entry, ...] = (),
    ) -> None:
        self.compiled = compiled
        self.report = report
        self._report_bytes = report_bytes(report)
        self._vocabulary = vocabulary
        self._encode_text = encode_text
        self._speller = self._speller_of(compiled.machine)
        self.min_tokens = compiled.machine.cost(compiled.machine.start)

    @property
    def num_bytes(self) -> int:
        found = self.compiled.memory_size_bytes + self._speller.num_bytes
        return _OBJECTS_BYTES + found + self._report_bytes

    def matcher(self) -> MachineMatcher:
        return MachineMatcher(self, self.compiled.handle())

    def speller(self, machine: Machine) -> Speller[int]:
        """What is kept is kept with the states of the machine to go on with; who still has those of
        the one before does without."""
        if self._speller.walks is not self.compiled.machine:
            self._speller = self._speller_of(self.compiled.machine)
        return self._speller if self._speller.walks is machine else self._speller_of(machine)

    def _speller_of(self, machine: Machine) -> Speller[int]:
        return Speller(machine, self._vocabulary, self._encode_text)


class MachineMatcher(Matcher):
    """The handle, with the tokens by number."""

    def __init__(self, grammar: MachineGrammar, handle: MachineHandle) -> None:
        self._grammar = grammar
        self._handle = handle
        self._tokens: list[int] = []
        self.finished = False

    @property
    def min_tokens_to_accept(self) -> int:
        return self._handle.machine.cost(self._handle.state)

    def fill_mask(self, row: MaskRow, remaining: int | None = None) -> None:
        self._fill(row, remaining, None)

    def try_mask(self, row: MaskRow, remaining: int | None, allowance: Allowance) -> bool:
        return self._fill(row, remaining, allowance)

    def _fill(self, row: MaskRow, remaining: int | None, allowance: Allowance | None) -> bool:
        if self._handle.is_terminated():
            raise RequestError("grammar", "the output is complete; no token may follow")
        budget = None if remaining is None else remaining - 1
        is_filled = self._handle.fill(row, budget, allowance)
        if self._handle.is_reduced:
            self._note_left_out()
        return is_filled

    def accept(self, token_id: int) -> bool:
        if not self._handle.accept_token(token_id):
            return False
        self._tokens.append(token_id)
        self._update_finished()
        return True

    def rollback(self, count: int) -> None:
        self._handle.rollback(count)
        if count:
            del self._tokens[-count:]
            self._update_finished()

    def _update_finished(self) -> None:
        handle = self._handle
        self.finished = handle.is_terminated() or handle.machine.ends(handle.state)

    def forced(self, remaining: int | None = None, respell: int = 0) -> Forced:
        handle = self._handle
        if handle.is_terminated():
            return NOTHING_FORCED
        speller = self._grammar.speller(handle.machine)
        return speller.forced(handle.states, self._tokens, remaining, respell)

    def fork(self) -> MachineMatcher:
        copy = MachineMatcher(self._grammar, self._handle.fork())
        copy._tokens = self._tokens.copy()
        copy.finished = self.finished
        copy.closed_by_budget = self.closed_by_budget
        copy.kept_short_by_budget = self.kept_short_by_budget
        return copy
