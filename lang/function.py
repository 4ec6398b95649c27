"""`Function`: what `@bl.function` makes of a Python function. `run` starts one instance; batches
of them live in batch.py."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

from .backend.base import Backend
from .config import backend_or_default
from .executor import StreamExecutor
from .sampling import NO_OPTIONS, SamplingOptions
from .state import ProgramState

Return = TypeVar("Return")
Instance = Mapping[str, Any] | Sequence[Any]

# run()'s names for sampling defaults -> SamplingOptions' names
_SAMPLING_NAMES = {
    "max_new_tokens": "max_tokens",
    **{
        name: name
        for name in (
            "n", "stop", "stop_token_ids", "stop_regex", "temperature", "top_p", "top_k", "min_p",
            "frequency_penalty", "presence_penalty", "ignore_eos", "return_logprob",
            "logprob_start_len", "top_logprobs_num", "return_text_in_logprobs", "seed",
        )
    },
}  # fmt: skip
_RUN_NAMES = {*_SAMPLING_NAMES, "stream", "backend", "use_thread"}

# The program whose body this thread is in: programs that it calls end with it.
_current: contextvars.ContextVar[StreamExecutor | None] = contextvars.ContextVar(
    "branchline_program", default=None
)


class Function(Generic[Return]):
    """A program. `func` is the Python function, whose first parameter is the state `s`."""

    def __init__(
        self,
        func: Callable[..., Return],
        num_api_spec_tokens: int | None = None,
        bind_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.func = func
        self.num_api_spec_tokens = num_api_spec_tokens
        self.bind_arguments = dict(bind_arguments or {})
        self.name: str = getattr(func, "__name__", type(func).__name__)
        self.__doc__ = func.__doc__
        self.__wrapped__ = func
        parameters = list(inspect.signature(func).parameters.values())
        if not parameters or parameters[0].name != "s":
            raise TypeError(f"the first parameter of the program {self.name!r} must be named s")
        if inspect.iscoroutinefunction(func) or inspect.isgeneratorfunction(func):
            raise TypeError(
                f"the program {self.name!r} must be a plain function, without async or yield"
            )
        self._signature = inspect.Signature(parameters[1:])
        named = [p for p in parameters[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self._takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.arg_names = [p.name for p in named]
        self.arg_defaults = {p.name: p.default for p in named if p.default is not p.empty}

    def run(self, *args: Any, **kwargs: Any) -> ProgramState:
        """Start one instance with the program's arguments and return its state.

        The body runs in this thread and its calls run in the background: what is read from the
        state waits for it. An exception of the body is raised here; one of a call is raised where
        its result is read, and `state.error()` tells it.

        Besides the program's own arguments, by keyword: defaults for its calls (`max_new_tokens,
        n, stop, stop_token_ids, stop_regex, temperature, top_p, top_k, min_p, frequency_penalty,
        presence_penalty, ignore_eos, return_logprob, logprob_start_len, top_logprobs_num,
        return_text_in_logprobs, seed`); `backend`; `stream=True`, which runs the body in a thread
        of its own and returns at once, its exceptions coming out of the iterators;
        `use_thread=False`, which finishes each call before the body goes on. A parameter that the
        program itself declares under one of these names gets the argument.
        """
        own, options = self._split(kwargs)
        arguments = self._arguments(args, own)
        executor = StreamExecutor(
            backend_or_default(options.get("backend")),
            sampling_defaults(options, "run()"),
            program=self.name,
            arguments=dict(arguments.arguments),
            stream=bool(options.get("stream", False)),
            inline=not options.get("use_thread", True),
            parent=_current.get(),
        )
        state = ProgramState(executor)
        if executor.stream:
            thread = threading.Thread(
                target=contextvars.copy_context().run,
                args=(self._run_streaming, state, arguments),
                name=f"branchline-{self.name}",
                daemon=True,
            )
            thread.start()
        else:
            self.run_body(state, arguments)
        return state

    __call__ = run

    @overload
    def run_batch(
        self,
        batch_kwargs: Sequence[Instance],
        *,
        backend: object = None,
        num_threads: int | Literal["auto"] = "auto",
        progress_bar: bool = False,
        generator_style: Literal[False] = False,
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
        **sampling: Any,
    ) -> Iterator[ProgramState]: ...
    def run_batch(
        self,
        batch_kwargs: Sequence[Instance],
        *,
        backend: object = None,
        num_threads: int | Literal["auto"] = "auto",
        progress_bar: bool = False,
        generator_style: bool = False,
        **sampling: Any,
    ) -> list[ProgramState] | Iterator[ProgramState]:
        """Run one instance per item, concurrently, and return their states in order.

        Items are dicts of arguments, or lists or tuples of positional ones; they are not changed.
        `num_threads` bounds how many instances are under way at a time ("auto": max(96, 16 per
        core)); `progress_bar` shows the finished ones. With `generator_style` the states are
        yielded in order as they are done, and leaving the loop early cancels the rest.

        No instance spoils another. A failed call is told by its state's `error()`; an exception
        of a body too, and is raised as `BatchError` (with all states) once all are finished.
        Prefixes that the instances share are computed once by the runtime, whoever comes first,
        so no instance is run or traced ahead of the others.
        """
        from .batch import Batch

        unknown = sampling.keys() - _SAMPLING_NAMES.keys()
        if unknown:
            raise TypeError(f"run_batch(): unknown arguments {', '.join(sorted(unknown))}")
        batch = Batch(
            self,
            [self._item(item) for item in batch_kwargs],
            backend_or_default(backend),
            sampling_defaults(sampling, "run_batch()"),
            num_threads,
            progress_bar,
        )
        return batch.in_order() if generator_style else batch.all()

    def bind(self, **kwargs: Any) -> Function[Return]:
        """A program with some arguments given; a call may still give others for them."""
        self._require_known(kwargs)
        return Function(self.func, self.num_api_spec_tokens, {**self.bind_arguments, **kwargs})

    def start(
        self, arguments: inspect.BoundArguments, backend: Backend, sampling: SamplingOptions
    ) -> ProgramState:
        """A fresh state for `run_body`."""
        return ProgramState(
            StreamExecutor(
                backend,
                sampling,
                program=self.name,
                arguments=dict(arguments.arguments),
                parent=_current.get(),
            )
        )

    def run_body(self, state: ProgramState, arguments: inspect.BoundArguments) -> None:
        """Run the Python function in this thread. When it raises, everything that still runs for
        it is cancelled, branches too."""
        executor = state.stream_executor
        executor.body_thread = threading.get_ident()
        token = _current.set(executor)
        try:
            state.ret_value = self.func(state, *arguments.args, **arguments.kwargs)
        except BaseException as error:
            executor.cancel(error)
            raise
        finally:
            _current.reset(token)
            executor.finish()

    def _run_streaming(self, state: ProgramState, arguments: inspect.BoundArguments) -> None:
        # run_body has told the state, whose readers raise it; nobody else waits for this thread.
        with contextlib.suppress(BaseException):
            self.run_body(state, arguments)

    def _split(self, kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The program's own arguments, and run()'s. Names that the program declares are its own."""
        options = {
            name: value
            for name, value in kwargs.items()
            if name in _RUN_NAMES and name not in self.arg_names
        }
        own = {name: value for name, value in kwargs.items() if name not in options}
        return own, options

    def _arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        self._require_known(kwargs)
        given = {*self.arg_names[: len(args)], *kwargs}
        bound = {name: v for name, v in self.bind_arguments.items() if name not in given}
        try:
            return self._signature.bind(*args, **{**bound, **kwargs})
        except TypeError as error:
            raise TypeError(f"program {self.name!r}: {error}") from None

    def _item(self, item: Instance) -> inspect.BoundArguments:
        if isinstance(item, Mapping):
            return self._arguments((), item)
        if isinstance(item, list | tuple):
            return self._arguments(item, {})
        raise TypeError(
            f"run_batch(): each item is a dict, list or tuple of the arguments of {self.name!r}; "
            f"got {type(item).__name__}"
        )

    def _require_known(self, kwargs: Mapping[str, Any]) -> None:
        unknown = kwargs.keys() - set(self.arg_names)
        if unknown and not self._takes_any:
            raise TypeError(
                f"program {self.name!r} has no argument {', '.join(sorted(unknown))}; "
                f"it has: {', '.join(self.arg_names) or 'none'}"
            )

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
    is `s`. `num_api_spec_tokens` matters to API backends only."""
    if func is not None:
        return Function(func, num_api_spec_tokens)
    return lambda func: Function(func, num_api_spec_tokens)


def sampling_defaults(options: Mapping[str, Any], where: str) -> SamplingOptions:
    """run()'s sampling arguments, checked."""
    given = {
        _SAMPLING_NAMES[name]: value
        for name, value in options.items()
        if name in _SAMPLING_NAMES and value is not None
    }
    return SamplingOptions(**given).checked(where) if given else NO_OPTIONS
