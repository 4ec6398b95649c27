"""Iterating over a state's text while it comes into being. Called by state.py.

A plain state's iterators wait and yield once; a state of `run(stream=True)` yields pieces as they
come. Both raise what went wrong at the place where the text ends for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from .cells import Cell, Meta
from .executor import StreamExecutor
from .readings import unknown_variable


def iterate_text(executor: StreamExecutor) -> Iterator[str]:
    """The whole text, prompt and role markup included, in pieces."""
    if not executor.stream:
        executor.sync()
        yield executor.text_
        return
    reader = _TextReader(executor)
    while not reader.ended:
        executor.block_until(reader.ready, "async for piece in s.text_async_iter()")
        yield from reader.take()
    executor.raise_failure()


async def iterate_text_async(executor: StreamExecutor) -> AsyncIterator[str]:
    """The coroutine form of `iterate_text`."""
    if not executor.stream:
        await executor.monitor.wait_for_async(executor.idle_test())
        executor.raise_failure()
        yield executor.text_
        return
    reader = _TextReader(executor)
    while not reader.ended:
        await executor.monitor.wait_for_async(reader.ready)
        for piece in reader.take():
            yield piece
    executor.raise_failure()


def iterate_variable(executor: StreamExecutor, name: str) -> Iterator[tuple[str, Meta]]:
    """A variable's text in pieces, each with the meta info of its own tokens.

    Waits for the variable to be declared. A streaming program that ends without declaring it yields
    one empty piece.
    """
    instead = f"async for piece in s.text_async_iter({name!r})"
    executor.block_until(_declared(executor, name), instead)
    cell = _cell(executor, name)
    if cell is None:
        yield "", {}
        return
    reader = _CellReader(cell)
    while not reader.ended:
        executor.block_until(reader.ready, instead)
        yield from reader.take()
    executor.raise_error_of(cell)


async def iterate_variable_async(
    executor: StreamExecutor, name: str
) -> AsyncIterator[tuple[str, Meta]]:
    """The coroutine form of `iterate_variable`."""
    await executor.monitor.wait_for_async(_declared(executor, name))
    cell = _cell(executor, name)
    if cell is None:
        yield "", {}
        return
    reader = _CellReader(cell)
    while not reader.ended:
        await executor.monitor.wait_for_async(reader.ready)
        for piece in reader.take():
            yield piece
    executor.raise_error_of(cell)


def _declared(executor: StreamExecutor, name: str) -> Callable[[], bool]:
    if executor.stream:
        has_ended = executor.end_test()
        return lambda: name in executor.cells or has_ended()
    return lambda: True


def _cell(executor: StreamExecutor, name: str) -> Cell | None:
    """What is read; None where a streaming program has ended without it. KeyError where a plain
    one has none of that name."""
    cell = executor.cells.get(name)
    if cell is None:
        executor.raise_failure()
        if not executor.stream:
            raise unknown_variable(executor, name)
    return cell


class _TextReader:
    """A position in a state's text; any number of readers may stand at different ones."""

    def __init__(self, executor: StreamExecutor) -> None:
        self.executor = executor
        self.position = 0
        self.ended = False
        self._has_ended = executor.end_test()

    def ready(self) -> bool:
        return len(self.executor.text_chunks) > self.position or self._has_ended()

    def take(self) -> list[str]:
        with self.executor.monitor.lock:
            pieces = self.executor.text_chunks[self.position :]
            self.ended = self._has_ended()
        self.position += len(pieces)
        return pieces


class _CellReader:
    """A position in a variable's chunks."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.position = 0
        self.ended = False

    def ready(self) -> bool:
        return len(self.cell.chunks) > self.position or self.cell.final

    def take(self) -> list[tuple[str, Meta]]:
        # `final` is read first: chunks that come after it was read are taken next time.
        self.ended = self.cell.final
        pieces = self.cell.chunks[self.position :]
        self.position += len(pieces)
        return pieces
