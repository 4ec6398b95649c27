"""Running a program over a stream of records from a coroutine: `Function.amap`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from .body import Body
from .run_options import RunOptions

if TYPE_CHECKING:
    from .declaration import Instance
    from .function import Function, OnError
    from .state import ProgramState

    Records = Iterable[Instance] | AsyncIterable[Instance]
    _Finished = tuple[int, ProgramState, BaseException | None]

# How many finished states may wait for an unfinished one before them.
_AHEAD = 200


def map_states(
    program: Function[Any],
    records: Records,
    options: RunOptions,
    *,
    concurrency: int,
    ordered: bool,
    on_error: OnError,
) -> AsyncIterator[ProgramState]:
    """See `Function.amap`; checks its arguments before the iteration begins."""
    if not isinstance(concurrency, int) or concurrency < 1:
        raise ValueError(f"amap(): concurrency={concurrency!r}: expected at least 1")
    if on_error not in ("raise", "return"):
        raise ValueError(f"amap(): on_error={on_error!r}: expected 'raise' or 'return'")
    if not isinstance(records, Iterable | AsyncIterable):
        raise TypeError(f"amap(): records={records!r}: expected an iterable of arguments")
    return _Map(program, options, concurrency, ordered, on_error).states(records)


class _Map:
    """One call of amap. Everything happens on the caller's event loop."""

    def __init__(
        self,
        program: Function[Any],
        options: RunOptions,
        concurrency: int,
        ordered: bool,
        on_error: OnError,
    ) -> None:
        self._program = program
        self._options = options
        self._concurrency = concurrency
        self._ordered = ordered
        self._on_error = on_error
        self._running: set[asyncio.Task[None]] = set()
        # Finished instances; None when the records are used up.
        self._finished: asyncio.Queue[_Finished | None] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._num_started = self._num_yielded = 0

    async def states(self, records: Records) -> AsyncIterator[ProgramState]:
        """The iteration itself."""
        feeder = asyncio.create_task(self._feed(records))
        feeder.add_done_callback(lambda _: self._finished.put_nowait(None))
        early: dict[int, ProgramState] = {}
        try:
            while self._running or not feeder.done() or not self._finished.empty():
                finished = await self._finished.get()
                if finished is None:
                    feeder.result()
                    continue
                number, state, error = finished
                if error is not None and self._on_error == "raise":
                    raise error
                early[number] = state
                due = self._num_yielded if self._ordered else number
                while due in early:
                    self._num_yielded += 1
                    self._changed.set()
                    yield early.pop(due)
                    due += 1
        finally:
            left = [feeder, *self._running]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _feed(self, records: Records) -> None:
        """Take records and start instances while there is room."""
        source = records if isinstance(records, AsyncIterable) else _in_coroutine(records)
        await self._room()
        async for record in source:
            body = self._program.body(self._program.bound(record, "amap()"), self._options)
            task = asyncio.create_task(self._run(self._num_started, body))
            self._num_started += 1
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await self._room()

    async def _room(self) -> None:
        """Wait until another instance may be started."""
        window = max(self._concurrency, _AHEAD)
        while (
            len(self._running) >= self._concurrency
            or self._num_started - self._num_yielded >= window
        ):
            self._changed.clear()
            await self._changed.wait()

    async def _run(self, number: int, body: Body) -> None:
        error: BaseException | None = None
        try:
            await body.arun()
        except BaseException as raised:
            # Whatever it is, who waits for this instance is told.
            error = raised
        task = asyncio.current_task()
        if task is not None:
            self._running.discard(task)
        error = error or body.state.stream_executor.failure
        self._finished.put_nowait((number, body.state, error))
        self._changed.set()


async def _in_coroutine(records: Iterable[Instance]) -> AsyncIterator[Instance]:
    for record in records:
        yield record
