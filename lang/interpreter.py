"""What SGLang programs import from a module of this name: the classes of a running program, and its
functions that run one. They are `Function.run`, `run_batch` and `cache` in another spelling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from .backend.base import unwrap_backend
from .batch import run_batch
from .body import Body
from .declaration import Instance
from .executor import StreamExecutor
from .function import Function
from .group import ProgramStateGroup
from .run_options import RunOptions
from .sampling import NO_OPTIONS, SamplingOptions
from .state import ProgramState

__all__ = [
    "ProgramState",
    "ProgramStateGroup",
    "StreamExecutor",
    "cache_program",
    "run_program",
    "run_program_batch",
]


def run_program(
    program: Function[Any],
    backend: object,
    func_args: Sequence[Any] = (),
    func_kwargs: Mapping[str, Any] | None = None,
    default_sampling_para: SamplingOptions = NO_OPTIONS,
    stream: bool = False,
    sync: bool = False,
    use_thread: bool = True,
) -> ProgramState:
    """Start one instance, as `program.run` does. With `sync` its calls are finished too; their
    errors are told by the state, as ever."""
    options = RunOptions(
        unwrap_backend(backend), default_sampling_para, stream=stream, inline=not use_thread
    )
    body: Body = program.body(program.arguments_of(func_args, func_kwargs or {}), options)
    if stream:
        body.start()
    else:
        body.run()
    if sync:
        body.state.error()
    return body.state


def run_program_batch(
    program: Function[Any],
    backend: object,
    batch_arguments: Sequence[Instance],
    default_sampling_para: SamplingOptions = NO_OPTIONS,
    num_threads: int | Literal["auto"] = "auto",
    progress_bar: bool = False,
    generator_style: bool = False,
) -> list[ProgramState] | Iterator[ProgramState]:
    """Run one instance per item, as `program.run_batch` does."""
    return run_batch(
        program,
        batch_arguments,
        RunOptions(unwrap_backend(backend), default_sampling_para),
        num_threads=num_threads,
        progress_bar=progress_bar,
        generator_style=generator_style,
    )


def cache_program(program: Function[Any], backend: object) -> None:
    """Compute what every instance begins with, as `program.cache` does."""
    program.cache(backend)
