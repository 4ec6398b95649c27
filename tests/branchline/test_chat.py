"""A conversation in the terminal, line by line: `branchline chat`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent / "lang"))

from scripted import Scripted

import branchline as bl
from branchline.chat import converse, typed


class Terminal(Console):
    """A console whose user types the given lines and then Ctrl-D; Ctrl-C, when the text `breaks`
    is printed."""

    def __init__(self, lines: list[str], breaks: str | None = None) -> None:
        super().__init__(file=StringIO(), width=200)
        self.typed: Iterator[str] = iter(lines)
        self.breaks = breaks

    def input(self, *args: object, **options: object) -> str:
        try:
            return next(self.typed)
        except StopIteration:
            raise EOFError from None

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **options)
        if objects == (self.breaks,):
            self.breaks = None
            raise KeyboardInterrupt


@pytest.fixture
def backend() -> Scripted:
    return Scripted(reply=lambda prompt: f"[bold]{prompt.count('<|user|>')}[/bold]")


def talk(
    backend: Scripted, *lines: str, system: str | None = None, breaks: str | None = None
) -> str:
    terminal = Terminal(list(lines), breaks)
    converse(backend, terminal, system=system, temperature=0.0, max_tokens=20)
    assert isinstance(terminal.file, StringIO)
    return terminal.file.getvalue()


def test_every_answer_is_printed_as_it_is_markup_or_not(backend: Scripted) -> None:
    assert "model [bold]1[/bold]" in talk(backend, "Hello")


def test_a_later_turn_holds_all_that_was_said_before(backend: Scripted) -> None:
    talk(backend, "first line", "second line", system="Be brief.")
    prompt = backend.calls[-1].text
    said = ["Be brief.", "first line", "[bold]1[/bold]", "second line"]
    assert [prompt.find(text) for text in said] == sorted(prompt.find(text) for text in said)
    assert all(text in prompt for text in said)


@pytest.mark.parametrize("line", ["/exit", "/quit"])
def test_a_leaving_word_ends_it_without_a_call(backend: Scripted, line: str) -> None:
    talk(backend, line, "never asked")
    assert backend.calls == []


def test_a_line_that_is_too_long_is_told_and_the_talk_goes_on() -> None:
    backend = Scripted(
        fail=lambda prompt: bl.ContextLengthExceeded("too long") if "long line" in prompt else None
    )
    said = talk(backend, "a long line", "a short one")
    assert "error: too long" in said
    assert "a long line" not in backend.calls[-1].text
    assert "a short one" in backend.calls[-1].text


def test_an_empty_line_asks_nothing(backend: Scripted) -> None:
    talk(backend, "", "Hello")
    assert len(backend.calls) == 1


def test_ctrl_c_breaks_an_answer_off_and_the_talk_goes_on(backend: Scripted) -> None:
    said = talk(backend, "first line", "second line", breaks="[bo")
    assert "model [bo\n" in said
    assert "model [bold]2[/bold]\n" in said
    assert "<|assistant|>[bo<|end|>" in backend.calls[-1].text


def test_ctrl_c_at_the_prompt_ends_it(backend: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Terminal, "input", interrupted)
    talk(backend, "never typed")
    assert backend.calls == []


def test_a_line_that_is_not_utf_8_is_told_and_the_talk_goes_on(backend: Scripted) -> None:
    said = talk(backend, b"caf\xe9".decode(errors="surrogateescape"), "Hello")
    assert "error: what was typed is not UTF-8" in said
    assert len(backend.calls) == 1


def test_a_pasted_text_is_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = os.openpty()
    with open(keyboard, "w") as pasted, open(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        pasted.write("one\n\ntwo\n")
        pasted.flush()
        assert typed(Console(file=StringIO())) == "one\n\ntwo"
