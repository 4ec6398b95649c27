"""What a program is before it runs: its Python function, parameters, trace, and the text that its
instances begin with. The base of function.py, which runs it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from branchline.runtime.protocol import Part, SamplingParams

from .backend.base import Backend, unwrap_backend
from .config import backend_or_default
from .loop import shared_loop
from .parameters import Parameters
from .pins import Pin, pin_parts
from .prefix import constant_prefix
from .tracing import TracedState, trace_body

Return = TypeVar("Return")
# One record of a batch: arguments by name or in order.
Instance = Mapping[str, Any] | Sequence[Any]


class Declaration(Generic[Return]):
    """A function whose first parameter is the state `s`, with some arguments bound."""

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
        self.parameters = Parameters(func, self.name)
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError(f"the program {self.name!r} must be a function without yield")
        self.is_async = inspect.iscoroutinefunction(func)

    @property
    def arg_names(self) -> list[str]:
        """The program's own parameters, without `s`."""
        return self.parameters.names

    @property
    def arg_defaults(self) -> dict[str, Any]:
        return self.parameters.defaults

    def arguments_of(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> inspect.BoundArguments:
        """The program's arguments for a call, with those of `bind` where it gives none."""
        return self.parameters.bind(args, kwargs, self.bind_arguments)

    def bound(self, item: Instance, where: str) -> inspect.BoundArguments:
        """One record of a batch as the program's arguments."""
        if isinstance(item, Mapping):
            return self.arguments_of((), item)
        if isinstance(item, list | tuple):
            return self.arguments_of(item, {})
        raise TypeError(
            f"{where}: each item is a dict, list or tuple of the arguments of {self.name!r}; "
            f"got {type(item).__name__}"
        )

    def trace(self, /, *, backend: object = None, **kwargs: Any) -> TracedState:
        """Run the body once, recording what it appends: a graph of nodes, nothing generated.

        Arguments that are not given are symbolic: they can be appended, and anything else done to
        them (or to an output) raises TraceError with the line.
        """
        return self.trace_once(backend, kwargs, with_calls=True)

    def cache(self, backend: object = None) -> None:
        """Compute the text that every instance of this program begins with, and leave it in the
        runtime's cache. The body runs up to its first argument, call or fork."""
        chosen = backend_or_default(backend)
        parts = self._constant_prefix(chosen)
        if parts:
            nothing = SamplingParams(max_new_tokens=0)
            shared_loop().run(chosen.generate(parts, nothing))

    def pin(self, ttl: float = 600.0, backend: object = None) -> Pin:
        """`cache`, and let the text be evicted last for `ttl` seconds. Raises ValueError when the
        body begins with an argument, a call or a fork."""
        chosen = backend_or_default(backend)
        parts = self._constant_prefix(chosen)
        if not parts:
            raise ValueError(f"the program {self.name!r} begins with nothing that could be pinned")
        return pin_parts(parts, ttl, chosen)

    def _constant_prefix(self, chosen: Backend) -> list[Part]:
        self._require_traceable({})
        given = self.bind_arguments
        return constant_prefix(self.func, self.arg_names, given, chosen).parts

    def trace_once(
        self, backend: object, kwargs: Mapping[str, Any], *, with_calls: bool
    ) -> TracedState:
        """`trace`; without `with_calls` a body that calls another program raises TraceError."""
        self._require_traceable(kwargs)
        if self.parameters.unnamed:
            raise TypeError(
                f"the program {self.name!r} takes {' and '.join(self.parameters.unnamed)}; only "
                "arguments with names trace"
            )
        chosen = None if backend is None else unwrap_backend(backend)
        given = {**self.bind_arguments, **kwargs}
        return trace_body(self.func, self.arg_names, given, chosen, with_calls=with_calls)

    def _require_traceable(self, kwargs: Mapping[str, Any]) -> None:
        self.parameters.require_known(kwargs)
        if self.is_async:
            raise TypeError(f"the program {self.name!r} is a coroutine; only plain bodies trace")
