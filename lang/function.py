"""`Function`: what `@bl.function` makes of a Python function. `run` starts one instance; how its
body runs is in body.py, batches live in batch.py and amap.py."""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload
from weakref import WeakKeyDictionary, ref

from . import ir
from .backend.base import Backend, unwrap_backend
from .body import Body
from .calls import Asked
from .current import current_program
from .declaration import Declaration, Instance, Return
from .executor import StreamExecutor
from .failures import raised_at
from .held import HeldExecutor
from .retry import Retry
from .run_options import RunOptions, batch_options
from .state import ProgramState
from .trace_graph import TraceError
from .tracing import refuse_while_tracing, traces_calls

if TYPE_CHECKING:
    from .compiled import CompiledProgram

OnError = Literal["raise", "return"]


class Function(Declaration[Return]):
    """A program. `func` is the Python function, whose first parameter is the state `s`."""

    # Of the last run: its backend, which does not live longer for it, who asked, and what its
    # calls asked for.
    _known_asked: tuple[ref[Backend], object, WeakKeyDictionary[ir.Gen, Asked]] | None = None

    def run(self, /, *args: Any, **kwargs: Any) -> ProgramState:
        """Start one instance with the program's arguments and return its state.

        The body runs in this thread and its calls run in the background: what is read from the
        state waits for it. An exception of the body is raised here; one of a call is raised where
        its result is read, and `state.error()` tells it.

        Besides the program's own arguments, by keyword: defaults for its calls (`max_new_tokens,
        n, stop, stop_token_ids, stop_regex, temperature, top_p, top_k, min_p, frequency_penalty,
        presence_penalty, ignore_eos, return_logprob, logprob_start_len, top_logprobs_num,
        return_text_in_logprobs, seed, skip_special_tokens, repetition_penalty, logit_bias`);
        `backend`; `timeout`, the seconds after which what is not finished fails with
        TimeoutExceeded; `retry`, a `bl.Retry`;
        `stream=True`, which runs the body in a thread of its own and returns at once, its
        exceptions coming out of the iterators; `use_thread=False`, which finishes each call before
        the body goes on. A parameter that the program itself declares under one of these names
        gets the argument.

        An `async def` program runs to its end here; inside of a running event loop use `arun`.
        """
        body, options = self._body(args, kwargs, "run()")
        if options.stream:
            body.start()
        else:
            body.run()
        return body.state

    def __call__(self, /, *args: Any, **kwargs: Any) -> ProgramState:
        """`run`. In a body that is being traced it is `trace`: what it gives can be read and
        appended there as a state's variables are."""
        if traces_calls():
            own, _ = self.parameters.split(kwargs)
            given = self.arguments_of(args, own).arguments
            return cast(ProgramState, self.trace_once(None, given, with_calls=True))
        return self.run(*args, **kwargs)

    async def arun(self, /, *args: Any, **kwargs: Any) -> ProgramState:
        """`run` for coroutines: the state once its body and all of its calls are finished, so
        that no read of it waits any more. Arguments and errors are those of `run`.

        The body of an `async def` program runs on this event loop; a plain body runs in a thread.
        Cancelling the task cancels the state, in the runtime too.
        """
        body, _ = self._body(args, kwargs, "arun()")
        await body.arun()
        return body.state

    @overload
    def run_batch(
        self,
        batch_kwargs: Sequence[Instance],
        *,
        backend: object = None,
        num_threads: int | Literal["auto"] = "auto",
        progress_bar: bool = False,
        generator_style: Literal[False] = False,
        on_error: OnError | None = None,
        checkpoint: str | Path | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        compiled: bool = True,
        **sampling: Any,
    ) -> list[ProgramState]: ...
    @overload
    def run_batch(
        self,
        batch_kwargs: Sequence[Instance],
        *,
        backend: object = None,
        num_threads: int | Literal["auto"] = "auto",
        progress_bar: bool = False,
        generator_style: Literal[True],
        on_error: OnError | None = None,
        checkpoint: str | Path | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        compiled: bool = True,
        **sampling: Any,
    ) -> Generator[ProgramState, None, None]: ...
    def run_batch(
        self,
        batch_kwargs: Sequence[Instance],
        *,
        backend: object = None,
        num_threads: int | Literal["auto"] = "auto",
        progress_bar: bool = False,
        generator_style: bool = False,
        on_error: OnError | None = None,
        checkpoint: str | Path | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        compiled: bool = True,
        **sampling: Any,
    ) -> list[ProgramState] | Generator[ProgramState, None, None]:
        """Run one instance per item, concurrently, and return their states in order.

        Items are dicts of arguments, or lists or tuples of positional ones; they are not changed.
        `num_threads` bounds how many instances are under way at a time ("auto": max(96, 16 per
        core)); `progress_bar` shows the finished ones; `timeout` is for each instance, from its
        start. With `generator_style` the states are yielded in order as they are done, and leaving
        the loop early cancels the rest.

        No instance spoils another. A failed call is told by its state's `error()`; an exception
        of a body too, and is raised as `BatchError` (with all states) once all are finished.
        `on_error="raise"` raises BatchError for failed calls as well, "return" raises nothing.

        With `checkpoint`, every instance that ends well is written to that file at once. A batch
        over the same items takes what it finds there and runs the others: see checkpoint.py.
        Raises `CheckpointError` when the file belongs to another batch.

        With `compiled`, an instance whose body does not wait for results goes to the runtime
        whole, and its calls follow each other there; what a body appends before it first wants a
        result goes so, too. Each body runs once, as ever, and the results are the same. Only a
        failed branch is told later: by the state, and no longer by its `join()`.

        Prefixes that the instances share are computed once by the runtime, whoever comes first,
        so no instance is run or traced ahead of the others.
        """
        from .batch import run_batch

        if isinstance(batch_kwargs, Mapping | str) or not isinstance(batch_kwargs, Iterable):
            raise TypeError(
                "run_batch(): expected a list with the arguments of each instance (a dict, list "
                f"or tuple), got {type(batch_kwargs).__name__}"
            )
        return run_batch(
            self,
            batch_kwargs,
            batch_options(backend, timeout, retry, sampling, "run_batch()"),
            num_threads=num_threads,
            progress_bar=progress_bar,
            generator_style=generator_style,
            on_error=on_error,
            checkpoint=checkpoint,
            compiled=compiled,
        )

    def amap(
        self,
        records: Iterable[Instance] | AsyncIterable[Instance],
        *,
        concurrency: int = 64,
        ordered: bool = True,
        on_error: OnError = "raise",
        backend: object = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        **sampling: Any,
    ) -> AsyncIterator[ProgramState]:
        """`async for state in f.amap(records)`: one finished state per record, in order, or with
        `ordered=False` as they are finished.

        Records are taken from the iterable, which may be an async one, as there is room: at most
        `concurrency` instances are under way. The first instance that fails raises its error and
        cancels the others; with `on_error="return"` its state tells it (`state.error()`). Leaving
        the loop, or cancelling the task, cancels what still runs.
        """
        from .amap import map_states

        return map_states(
            self,
            records,
            batch_options(backend, timeout, retry, sampling, "amap()"),
            concurrency=concurrency,
            ordered=ordered,
            on_error=on_error,
        )

    def bind(self, /, **kwargs: Any) -> Function[Return]:
        """A program with some arguments given; a call may still give others for them."""
        self.parameters.require_known(kwargs)
        return Function(self.func, self.num_api_spec_tokens, {**self.bind_arguments, **kwargs})

    def compile(self, /, *, backend: object = None, **kwargs: Any) -> CompiledProgram:
        """The program traced once, as `trace` does it; its runs go to the runtime whole, and the
        body does not run again: what it does besides appending happens here, once.

        Symbols stand for texts: arguments that are given here, and defaults that are no text, are
        traced as they are. A run with others, or with an argument that is no text, is interpreted.

        What cannot be traced is no error: `reason` of the result says what it was and on which
        line, and the program is run as ever. `graph()` prints the result, `to_mermaid()` draws it.
        """
        from .compiled import CompiledProgram, traced_whole

        program = self.bind(**kwargs) if kwargs else self
        chosen = None if backend is None else unwrap_backend(backend)
        try:
            return CompiledProgram(program, traced_whole(program, chosen), None)
        except TraceError as error:
            return CompiledProgram(program, None, str(error))
        except Exception as error:  # a run may raise it, too
            place = raised_at(error, self.func)
            return CompiledProgram(program, None, f"{type(error).__name__}: {error} ({place})")

    def is_plannable(self, options: RunOptions) -> bool:
        """Whether instances may go to the runtime as plans."""
        return options.backend.capabilities.plans and not (self.is_async or options.stream)

    def body(self, arguments: inspect.BoundArguments, options: RunOptions) -> Body:
        """A fresh state with the Python function that will fill it, not started yet."""
        refuse_while_tracing(self.name)
        return Body(self.func, arguments, self._state(arguments, options), self.is_async)

    def _body(
        self, args: Sequence[Any], kwargs: dict[str, Any], where: str
    ) -> tuple[Body, RunOptions]:
        refuse_while_tracing(self.name)
        own, given = self.parameters.split(kwargs)
        arguments = self.arguments_of(args, own)
        options = self._begun(arguments, RunOptions.of(given, where))
        return self.body(arguments, options), options

    def _begun(self, arguments: inspect.BoundArguments, options: RunOptions) -> RunOptions:
        """The options of an instance that is run at once."""
        return options

    def _state(self, arguments: inspect.BoundArguments, options: RunOptions) -> ProgramState:
        executor = self._executor(options)(
            options.backend,
            options.sampling,
            program=self.name,
            arguments=dict(arguments.arguments),
            stream=options.stream,
            inline=options.inline and not self.is_async,
            parent=current_program(),
            retry=options.retry,
            num_api_spec_tokens=self.num_api_spec_tokens,
            asked=self._asked_under(options),
        )
        if options.timeout_s is not None:
            executor.limit_time(options.timeout_s)
        return ProgramState(executor)

    def _asked_under(self, options: RunOptions) -> WeakKeyDictionary[ir.Gen, Asked]:
        """What is known of what calls ask for, by their nodes: nodes come again in the next run."""
        asker, known = options.asker, self._known_asked
        if known is None or known[0]() is not options.backend or known[1] != asker:
            known = self._known_asked = ref(options.backend), asker, WeakKeyDictionary()
        return known[2]

    def _executor(self, options: RunOptions) -> type[StreamExecutor] | partial[HeldExecutor]:
        """What makes an instance's executor."""
        if options.plans is not None and options.plans.reason is None:
            return partial(HeldExecutor, runner=options.plans)
        return StreamExecutor

    def __repr__(self) -> str:
        return f"Function({self.name})"


@overload
def function(
    func: Callable[..., Return], num_api_spec_tokens: int | None = None
) -> Function[Return]: ...
@overload
def function(
    func: None = None, num_api_spec_tokens: int | None = None
) -> Callable[[Callable[..., Return]], Function[Return]]: ...
def function(func: Callable[..., Any] | None = None, num_api_spec_tokens: int | None = None) -> Any:
    """Decorator, with or without parentheses: makes a program of a function whose first parameter
    is `s`. With `num_api_spec_tokens` a call of an API backend writes on past its stop, up to so
    many tokens, and the gens after it take their outputs from there; see speculation.py."""
    if func is not None:
        return Function(func, num_api_spec_tokens)
    return lambda func: Function(func, num_api_spec_tokens)
