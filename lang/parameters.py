"""A program's parameters: which arguments are its own, how they are bound. Used by function.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .run_options import RUN_NAMES, meant


class Parameters:
    """What a program declares behind its first parameter `s`: `names`, `defaults` of those that
    have one, and as what it takes `unnamed` ones."""

    def __init__(self, func: Callable[..., Any], program: str) -> None:
        declared = list(inspect.signature(func).parameters.values())
        if not declared or declared[0].name != "s":
            raise TypeError(f"the first parameter of the program {program!r} must be named s")
        self._program = program
        self._signature = inspect.Signature(declared[1:])
        named = [p for p in declared[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self._takes_any = any(p.kind is p.VAR_KEYWORD for p in declared)
        # `*args` and `**kwargs`, as they are written.
        stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
        self.unnamed = [f"{stars[p.kind]}{p.name}" for p in declared[1:] if p.kind in stars]
        self.names = [p.name for p in named]
        self.defaults = {p.name: p.default for p in named if p.default is not p.empty}

    def split(self, kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The program's own arguments, and run()'s. Names that the program declares are its own."""
        options = {
            name: value
            for name, value in kwargs.items()
            if name in RUN_NAMES and name not in self.names
        }
        own = {name: value for name, value in kwargs.items() if name not in options}
        return own, options

    def bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], bound: Mapping[str, Any]
    ) -> inspect.BoundArguments:
        """The arguments of a call; those of `bind` stand in where it gives none."""
        self.require_known(kwargs)
        given = {*self.names[: len(args)], *kwargs}
        left = {name: value for name, value in bound.items() if name not in given}
        try:
            return self._signature.bind(*args, **{**left, **kwargs})
        except TypeError as error:
            raise TypeError(f"program {self._program!r}: {error}") from None

    def require_known(self, kwargs: Mapping[str, Any]) -> None:
        """Refuse arguments that the program does not declare."""
        unknown = kwargs.keys() - set(self.names)
        if unknown and not self._takes_any:
            raise TypeError(
                f"program {self._program!r} has no argument {', '.join(sorted(unknown))}; "
                f"it has: {', '.join(self.names) or 'none'}{meant(unknown, RUN_NAMES)}"
            )
