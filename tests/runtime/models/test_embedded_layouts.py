"""Rows put together from parts: every slot once, never a held-out row."""

from __future__ import annotations

from collections.abc import Callable
from string import Formatter

import pytest

from branchline.runtime.models.embedded.corpus import layouts
from branchline.runtime.models.embedded.corpus.line_items import PHRASES, ROWS, Lines, block, phrase
from branchline.runtime.models.embedded.corpus.meeting_wordings import ACTION_ROWS
from branchline.runtime.models.embedded.corpus.writer import Writer, split_wordings

Maker = Callable[[Writer, tuple[str, ...]], str]
KINDS = [
    pytest.param(layouts.item_row, ROWS, {"n", "q", "p"}, id="items"),
    pytest.param(layouts.item_phrase, PHRASES, {"n", "q", "p"}, id="prose"),
    pytest.param(layouts.action_row, ACTION_ROWS, {"owner", "task", "due"}, id="actions"),
]


@pytest.mark.parametrize(("make", "spoken", "slots"), KINDS)
def test_a_row_names_each_of_its_values_once(
    make: Maker, spoken: tuple[str, ...], slots: set[str]
) -> None:
    for seed in range(500):
        named = [name for _, name, _, _ in Formatter().parse(make(Writer(seed), spoken)) if name]
        assert sorted(set(named) - {"s"}) == sorted(slots)
        assert len(named) == len(set(named))


@pytest.mark.parametrize(("make", "spoken", "slots"), KINDS)
def test_a_held_out_row_is_thrown_away(
    make: Maker, spoken: tuple[str, ...], slots: set[str]
) -> None:
    said = {make(Writer(seed), ("",)) for seed in range(300)}
    heldout = split_wordings((*said,))[1]
    assert heldout
    assert not {make(Writer(seed), (*said,)) for seed in range(300)} & set(heldout)


def test_a_held_out_document_has_held_out_rows_alone() -> None:
    lines = Lines((("lamp", 3, "4.50"),), "13.50")
    amounts = {"n": "lamp", "q": 3, "p": "4.50", "s": "13.50"}
    heldout_rows = {text.format(**amounts) for text in split_wordings(ROWS)[1]}
    heldout_phrases = {text.format(**amounts) for text in split_wordings(PHRASES)[1]}
    for seed in range(200):
        writer = Writer(seed, heldout=True)
        assert block(writer, lines, "EUR", 0).lstrip("-*• 1.") in {
            row.lstrip("-*• 1.") for row in heldout_rows
        }
        assert phrase(writer, lines, "EUR", 0) in heldout_phrases
