"""What a type checker knows of a program's values. Checked by mypy, and run, by test_types.py."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypedDict, assert_type

from pydantic import BaseModel

import branchline as bl


class Invoice(BaseModel):
    number: str
    total: int


@dataclass
class Point:
    x: int


class Row(TypedDict):
    x: int


class Mood(Enum):
    CALM = "calm"


@bl.tool
def add(a: int, b: int = 1) -> int:
    return a + b


@bl.function
def program(s: bl.ProgramState, kind: Any) -> str:
    s += bl.gen("x", schema=kind)
    return "done"


def read_values(backend: bl.Backend) -> tuple[Invoice, int, Point]:
    state = program.run(Invoice, backend=backend)
    assert_type(state, bl.ProgramState)
    invoice = state.value("x", Invoice)
    return invoice, invoice.total, asyncio.run(state.get_value("x", Point))


def check_values(state: bl.ProgramState) -> None:
    assert_type(state.value("x", Invoice), Invoice)
    assert_type(state.value("x", Point), Point)
    assert_type(state.value("x", Row), Row)
    assert_type(state.value("x", list[Invoice]), list[Invoice])
    assert_type(state.value("x", int), int)
    assert_type(state.value("x"), Any)


def check_mistakes(state: bl.ProgramState) -> None:
    _ = state.value("x", Invoice).no_such_field  # type: ignore[attr-defined]
    wrong: str = state.value("x", Point)  # type: ignore[assignment]
    add("1")  # type: ignore[arg-type]
    del wrong


def check_conveniences(backend: bl.Backend) -> None:
    assert_type(bl.extract(Invoice, "text", backend=backend), Invoice)
    assert_type(bl.classify("text", Mood, backend=backend), Mood)
    assert_type(bl.classify("text", ["a", "b"], backend=backend), str)
    assert_type(add(1), int)
    assert_type(program.run_batch([{"kind": Invoice}], backend=backend), list[bl.ProgramState])


async def coroutine(state: bl.ProgramState) -> Invoice:
    return assert_type(await state.get_value("x", Invoice), Invoice)
