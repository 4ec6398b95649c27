"""The types of a compiled library's functions, in short; for library.py and the machine;
and of the arrays that are given to them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, c_float, c_int32, c_int64, c_void_p
from functools import cache
from typing import Any, Final

_TYPES: Final = {"p": c_void_p, "l": c_int64, "i": c_int32, "f": c_float, "o": POINTER(c_int32)}


@cache
def array_type(item: Any, count: int) -> Any:
    """`item * count`. ctypes makes a type each time where none is in use, and a type refers to
    itself, so it waits for a collection of garbage."""
    return item * count


def declare(library: ctypes.CDLL, signatures: Mapping[str, tuple[Any, str]]) -> None:
    """Give functions their types, by name: the result's, and a letter for each argument: p an
    address, l a 64-bit integer, i an integer, f a float, o where an integer is written."""
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = [_TYPES[letter] for letter in arguments]
