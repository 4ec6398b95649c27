"""Regular languages as automata over bytes; used by native_masks.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import RequestError
from .charset import CharSet, utf8_sequences
from .determinise import DEAD, MAX_STATES, Machine, Positions, alive_states, determinised
from .expr import Alt, Chars, Distinct, Expr, Language, Lit, Ref, Repeat, Seq, alt, seq


@dataclass(frozen=True, slots=True)
class ByteDfa:
    """State 0 is the start, the last state is dead: nothing leads out of it.

    table: int32 [states, classes]; byte_class: uint8 [256], the column of each byte;
    accepting: bool [states].
    """

    table: npt.NDArray[np.int32]
    byte_class: npt.NDArray[np.uint8]
    accepting: npt.NDArray[np.bool_]

    @property
    def dead(self) -> int:
        return len(self.accepting) - 1

    def walk(self, state: int, data: bytes) -> int:
        """The state after some bytes."""
        for byte in data:
            state = int(self.table[state, self.byte_class[byte]])
        return state


def byte_dfa(language: Language, max_states: int = MAX_STATES) -> ByteDfa:
    """The automaton of a regular language. Raises RequestError("grammar") where the language is
    not regular or has over `max_states` states."""
    root = inlined(language)
    texts = _texts(root)
    if texts is not None:
        machine = _trie(texts)
    else:
        machine = determinised(Positions(max_states).build(_bytes(root)))
    classes, rows, accepting = machine
    alive = alive_states(rows, accepting)
    dead = len(rows)
    # Column 0 is for bytes that no class holds.
    table = np.full((dead + 1, len(classes) + 1), dead, dtype=np.int32)
    if classes:
        body = np.array(rows, dtype=np.int32)
        gone = (body == DEAD) | ~np.append(alive, True)[body]
        table[:dead, 1:] = np.where(gone, dead, body)
    byte_class = np.zeros(256, dtype=np.uint8)
    for column, members in enumerate(classes, start=1):
        for low, high in members:
            byte_class[low : high + 1] = column
    return ByteDfa(table, byte_class, np.append(accepting, False).astype(np.bool_))


def inlined(language: Language) -> Expr:
    """The root without rules. Rules that lead back to themselves have no finite automaton here."""
    done: dict[str, Expr] = {}
    opened: set[str] = set()

    def keep(expr: Expr) -> Expr:
        match expr:
            case Seq(items):
                return seq(*map(keep, items))
            case Alt(items):
                return alt(map(keep, items))
            case Repeat(item, low, high):
                return Repeat(keep(item), low, high)
            case Ref(name):
                return rule(name)
            case Distinct():
                raise RequestError(
                    "grammar",
                    "this grammar backend takes regular languages only, and items that all differ "
                    '(`uniqueItems`) are none; use grammar_backend="auto"',
                )
            case _:
                return expr

    def rule(name: str) -> Expr:
        if name in opened:
            raise RequestError(
                "grammar",
                "this grammar backend takes regular languages only, and this one nests without "
                'end; use grammar_backend="xgrammar" or "auto"',
            )
        if name not in done:
            opened.add(name)
            done[name] = keep(language.rules[name])
            opened.discard(name)
        return done[name]

    return keep(language.root)


def _texts(root: Expr) -> list[bytes] | None:
    """All texts of a language that lists them."""
    options = root.items if isinstance(root, Alt) else (root,)
    texts = [option.data for option in options if isinstance(option, Lit)]
    return texts if len(texts) == len(options) else None


def _trie(texts: list[bytes]) -> Machine:
    """The automaton of listed texts, without the detour over subsets."""
    used = sorted(set(b"".join(texts)))
    column = {byte: place for place, byte in enumerate(used)}
    rows = [[DEAD] * len(used)]
    accepting = [False]
    for text in texts:
        state = 0
        for byte in text:
            following = rows[state][column[byte]]
            if following == DEAD:
                following = rows[state][column[byte]] = len(rows)
                rows.append([DEAD] * len(used))
                accepting.append(False)
                if len(rows) > 10 * MAX_STATES:
                    raise RequestError(
                        "grammar", f"the choices need over {10 * MAX_STATES} states together"
                    )
            state = following
        accepting[state] = True
    classes: list[CharSet] = [((byte, byte),) for byte in used]
    return Machine(classes, [tuple(row) for row in rows], accepting)


def _bytes(expr: Expr) -> Expr:
    """The expression over bytes: each character as its UTF-8 sequences."""
    done: dict[int, Expr] = {}

    def keep(expr: Expr) -> Expr:
        if id(expr) not in done:
            done[id(expr)] = rebuilt(expr)
        return done[id(expr)]

    def rebuilt(expr: Expr) -> Expr:
        match expr:
            case Lit(data):
                return Seq(tuple(Chars(((byte, byte),)) for byte in data))
            case Chars(members):
                return Alt(
                    tuple(
                        Seq(tuple(Chars((part,)) for part in sequence))
                        for sequence in utf8_sequences(members)
                    )
                )
            case Seq(items):
                return Seq(tuple(map(keep, items)))
            case Alt(items):
                return Alt(tuple(map(keep, items)))
            case Repeat(item, low, high):
                return Repeat(keep(item), low, high)
            case Ref() | Distinct():
                raise AssertionError("rules were inlined, and they hold regular parts only")

    return keep(expr)
