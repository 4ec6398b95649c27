"""What a constraint may cost; imported without numpy by the front process, which checks early."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GrammarLimits:
    """What a constraint may cost. Reaching a limit is a `RequestError` with code "grammar".

    max_source_chars: length of the schema or pattern text.
    max_depth: nesting of a schema or of a pattern's groups.
    max_properties: object properties in a whole schema.
    max_optional: optional properties of one object, and the root of the sum of squares over all
    objects of a schema; xgrammar's compile time grows with their square
    (100: 0.4 s at 4,096 tokens, 2.7 s at 32,768), and where it takes too long the walker makes the
    masks, which costs milliseconds each.
    max_nodes: size of the expanded grammar.
    max_repeat_work: repetition count x vocabulary size of one bounded repetition that is spelled
    out for xgrammar, whose compile time grows with both (0.27 us each on a 2.5 GHz core).
    max_length_states: states of the automata that count a length beside a pattern.
    max_min_repeat: largest lower bound of a repetition.
    max_count: largest bound of a repetition in a grammar.
    max_compile_s, max_compile_bytes: processor time and memory of the process in which a constraint
    is taken apart and tried, and a finished value checked.
    cache_bytes: memory for compiled grammars that are kept for reuse.
    """

    max_source_chars: int = 256 * 1024
    max_depth: int = 64
    max_properties: int = 2_000
    max_optional: int = 1_000
    max_nodes: int = 60_000
    max_repeat_work: int = 8_000_000
    max_length_states: int = 10_000
    max_min_repeat: int = 256
    max_count: int = 100_000
    max_compile_s: float = 2.0
    max_compile_bytes: int = 1024 * 1024 * 1024
    cache_bytes: int = 256 * 1024 * 1024
