"""From a language to what an engine for masks takes, as far as it is Python's work: in a worker
process where there is one (worker.py), otherwise where it is asked for (xgrammar_engine.py)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from ..errors import RequestError
from ..protocol import GrammarBackend
from .byte_dfa import ByteDfa, byte_dfa
from .determinise import MAX_STATES
from .ebnf import write_ebnf
from .expr import Language
from .limits import GrammarLimits
from .machine_tables import MachineTables, machine_tables
from .nodes import NodeGraph, StoredGraph
from .prune import prune
from .schema_report import STATES, Entry
from .vocabulary import INFINITE, Vocabulary

# Larger automata are made for those who ask for them: 0.1 s of Python each.
_MAX_AUTO_STATES = 3_000


@dataclass(frozen=True, slots=True)
class Shaped:
    """The machine's tables, or `graph` for the walker, and for the masks an automaton, or a grammar
    in xgrammar's EBNF, or with none of them the walker itself."""

    graph: NodeGraph | StoredGraph | None
    report: tuple[Entry, ...]
    dfa: ByteDfa | None = None
    source: str = ""
    falls_back: bool = False
    machine: MachineTables | None = None

    def encoded(self) -> bytes:
        """For `decode_shaped`, in another process."""
        graph = None
        if self.graph is not None:
            assert isinstance(self.graph, NodeGraph)
            graph = self.graph.encoded()
        report = [(entry.pointer, entry.state, entry.reason) for entry in self.report]
        dfa = self.dfa
        tables = None
        if dfa is not None:
            table = dfa.table.astype(np.int32)
            parts = (table, dfa.byte_class, dfa.accepting)
            tables = (table.shape[1], *(part.tobytes() for part in parts))
        machine = None if self.machine is None else self.machine.encoded()
        told = (graph, report, tables, self.source, self.falls_back, machine)
        return msgspec.msgpack.encode(told)


def decode_shaped(data: bytes) -> Shaped:
    graph, report, tables, source, falls_back, arrays = msgspec.msgpack.decode(data)
    dfa = None
    if tables is not None:
        num_classes, table, byte_class, accepting = tables
        dfa = ByteDfa(
            np.frombuffer(table, dtype=np.int32).reshape(-1, num_classes),
            np.frombuffer(byte_class, dtype=np.uint8),
            np.frombuffer(accepting, dtype=np.bool_),
        )
    entries = tuple(Entry(where, STATES[state], why) for where, state, why in report)
    machine = None if arrays is None else MachineTables.decoded(arrays)
    stored = None if graph is None else StoredGraph(graph)
    return Shaped(stored, entries, dfa, source, falls_back, machine)


def shaped(
    language: Language,
    vocabulary: Vocabulary,
    limits: GrammarLimits,
    backend: GrammarBackend,
    falls_back: bool = False,
    has_machine: bool = False,
) -> Shaped:
    """backend: "auto" takes the native engine where a small automaton will do, otherwise xgrammar.
    falls_back: takes the machine instead where there is one, and otherwise leaves to the walker
    what is too much for xgrammar.

    Raises RequestError("grammar") when nothing satisfies the language, this vocabulary cannot
    spell it, or the backend does not take it."""
    if falls_back and has_machine:
        tables = machine_tables(_nodes(language, vocabulary).root)
        return Shaped(None, language.report, machine=tables)
    language, graph = alive(language, vocabulary)
    if backend in ("native", "auto"):
        try:
            most = MAX_STATES if backend == "native" else _MAX_AUTO_STATES
            return Shaped(graph, language.report, byte_dfa(language, most))
        except RequestError:
            if backend == "native":
                raise
    try:
        source = write_ebnf(language, len(vocabulary.token_bytes), limits)
    except RequestError:
        if not falls_back:
            raise
        source = ""
    return Shaped(graph, language.report, None, source, falls_back)


def alive(language: Language, vocabulary: Vocabulary) -> tuple[Language, NodeGraph]:
    """The language without what nothing can match, and its nodes."""
    graph = _nodes(language, vocabulary)
    pruned = prune(language, graph)
    return Language(pruned.root, pruned.rules, language.report), graph


def _nodes(language: Language, vocabulary: Vocabulary) -> NodeGraph:
    graph = NodeGraph(language, vocabulary)
    if graph.root.cost >= INFINITE:
        raise RequestError(
            "grammar",
            "nothing satisfies this constraint: its conditions contradict each other, or it "
            "refers to itself without end, or the model's tokens cannot spell it",
        )
    return graph
