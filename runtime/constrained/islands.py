"""Free text with constrained islands as a language; called by compiler.py.

Free text is a machine that reads character by character how much of a trigger it has seen
(Aho and Corasick, 1975); where a trigger is complete the island follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..errors import RequestError
from ..protocol import Choices, Constraint, Ebnf, Islands, JsonSchema, Regex
from . import charset
from .control_tokens import TEXT, TextOnly
from .expr import EMPTY, Expr, Language, Ref, Repeat, alt, chars, lit, seq

Mark = Callable[[str], str]
Build = Callable[[Constraint], Language]


def islands_language(constraint: Islands, build: Build, mark: Mark) -> Language:
    """The language of an Islands constraint. Raises RequestError("grammar").

    build: the language of an island's content. mark: as in tagged.py.
    """
    least, most = constraint.min_islands, constraint.max_islands
    if most is not None and most < least:
        _refuse(f"max_islands {most} is below min_islands {least}", "max_islands")
    begins = [mark(island.begin) for island in constraint.islands]
    triggers = [mark(text) for text in dict.fromkeys(constraint.triggers)] or begins
    _check_triggers(triggers, begins)
    rules: dict[str, Expr] = {}
    text_only = TextOnly()
    bodies: list[Expr] = []
    for index, island in enumerate(constraint.islands):
        _check_content(island.content, index)
        try:
            inner = text_only.language(build(island.content), f"{index} ")
        except RequestError as error:
            where = f"/constraint/islands/{index}/content{error.pointer or ''}"
            message = f"{island.begin!r}: {error.message}"
            raise RequestError(error.code, message, pointer=where) from None
        rules |= inner.rules
        rules[f"island {index}"] = seq(inner.root, _text(mark(island.end)))
        bodies.append(Ref(f"island {index}"))
    # What follows each trigger, the rest of `begin` included.
    after = [
        alt(
            seq(_text(begin[len(trigger) :]), body)
            for begin, body in zip(begins, bodies, strict=True)
            if begin.startswith(trigger)
        )
        for trigger in triggers
    ]
    machine = _Machine(triggers)
    counted = least if most is None else most
    for number in range(counted):
        ends = [seq(one, Ref(f"text {number + 1} 0")) for one in after]
        rules |= machine.rules(f"text {number}", ends, may_end=number >= least)
    last = f"text {counted}"
    if most is None:
        rules |= machine.rules(last, [seq(one, Ref(f"{last} 0")) for one in after], may_end=True)
    elif constraint.text_after:
        rules |= machine.rules(last, None, may_end=True)
    else:
        rules[f"{last} 0"] = EMPTY
    return Language(Ref("text 0 0"), rules)


def _check_content(content: Choices | Regex | JsonSchema | Ebnf, index: int) -> None:
    """Refuse what holds for whole outputs only."""
    if isinstance(content, JsonSchema) and content.on_unsupported != "refuse":
        field = f"islands/{index}/content/on_unsupported"
        _refuse("an island is not checked when it is there; leave on_unsupported", field)
    if content.backend != "auto":
        _refuse("an output has one grammar backend", f"islands/{index}/content/backend")


def _check_triggers(triggers: Sequence[str], begins: Sequence[str]) -> None:
    for trigger in triggers:
        if not trigger:
            _refuse("a trigger is empty; give the text that an island begins with", "triggers")
        if not any(begin.startswith(trigger) for begin in begins):
            _refuse(f"no island begins with the trigger {trigger!r}", "triggers")
        for other in triggers:
            if trigger is not other and trigger in other:
                _refuse(
                    f"{other!r} holds {trigger!r}, which would end the text before it; give the "
                    "shorter one as the only trigger of both",
                    "triggers",
                )
    for begin in begins:
        if not any(begin.startswith(trigger) for trigger in triggers):
            _refuse(f"no trigger begins the island {begin!r}", "triggers")


class _Machine:
    """How much of a trigger the text ends with: a state for each beginning of a trigger."""

    def __init__(self, triggers: Sequence[str]) -> None:
        self._children: list[dict[str, int]] = [{}]
        self._complete: list[int | None] = [None]
        for index, trigger in enumerate(triggers):
            state = 0
            for char in trigger:
                following = self._children[state].get(char)
                if following is None:
                    following = len(self._children)
                    self._children[state][char] = following
                    self._children.append({})
                    self._complete.append(None)
                state = following
            self._complete[state] = index
        self._steps = self._filled()

    def _filled(self) -> list[dict[str, int]]:
        """Per state where each character of the alphabet leads; state 0 is left out."""
        fails = [0] * len(self._children)
        steps: list[dict[str, int]] = [{} for _ in self._children]
        pending = deque([0])
        while pending:
            state = pending.popleft()
            for char, child in self._children[state].items():
                fails[child] = steps[fails[state]].get(char, 0) if state else 0
                pending.append(child)
            steps[state] = {**(steps[fails[state]] if state else {}), **self._children[state]}
        return steps

    def rules(self, name: str, ends: list[Expr] | None, *, may_end: bool) -> dict[str, Expr]:
        """Rules `name 0`, ... of text that goes on with ends[i] behind trigger i, or, without
        `ends`, holds none."""
        rules: dict[str, Expr] = {}
        for state, steps in enumerate(self._steps):
            if self._complete[state] is not None:
                continue
            options: list[Expr] = [EMPTY] if may_end else []
            for char, target in steps.items():
                trigger = self._complete[target]
                if trigger is None:
                    options.append(seq(lit(char), Ref(f"{name} {target}")))
                elif ends is not None:
                    options.append(seq(lit(char), ends[trigger]))
            # Characters of triggers that begin none are text like any other.
            other = chars(charset.intersect(charset.negate(charset.of("".join(steps))), TEXT))
            if state == 0:
                rules[f"{name} 0"] = seq(Repeat(other, 0, None), alt(options))
            else:
                rules[f"{name} {state}"] = alt([*options, seq(other, Ref(f"{name} 0"))])
        return rules


def _text(text: str) -> Expr:
    return lit(text) if text else EMPTY


def _refuse(message: str, field: str) -> NoReturn:
    raise RequestError("grammar", message, pointer=f"/constraint/{field}")
