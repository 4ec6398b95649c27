"""The compiled machine as typed Python; used by machine_masks.py. Built once by the kernels'
builder, like the CPU kernels, into the user's cache."""

from __future__ import annotations

import ctypes
import logging
from ctypes import c_int32, c_int64, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from .machine_tables import DTYPES, MachineTables

_log = logging.getLogger(__name__)

SOURCE: Final = Path(__file__).parent / "src"

# Argument types as `declare` reads them.
_SIGNATURES: Final = {
    "bm_vocabulary_new": (c_void_p, "pplplpp"),
    "bm_vocabulary_delete": (None, "p"),
    "bm_masks_new": (c_void_p, "pi"),
    "bm_masks_delete": (None, "p"),
    "bm_start": (c_int32, "p"),
    "bm_walk": (c_int32, "pipl"),
    "bm_cost": (c_int32, "pi"),
    "bm_accepting": (c_int32, "pi"),
    "bm_ends": (c_int32, "pi"),
    "bm_forced": (c_int32, "pipi"),
    "bm_bytes": (c_int64, "p"),
    "bm_work": (c_int64, "p"),
    "bm_alike": (c_int32, "pio"),
    "bm_begin_like": (c_int32, "ppiiipi"),
    "bm_fill": (c_int32, "ppiilpo"),
}


class _Nodes(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in DTYPES]


def nodes_of(tables: MachineTables) -> ctypes.Structure:
    """The addresses of the tables, which must outlive whoever uses them."""
    return _Nodes(*(array.ctypes.data for array in tables.arrays))


@lru_cache(maxsize=1)
def machine_library() -> Any:
    """The library, built first where it is not there; None where it cannot be built, which is told
    once. Blocks for the seconds that this takes."""
    from ..kernels.cpu.build import KernelBuildError, build_folder
    from ..kernels.cpu.signatures import declare

    try:
        path = str(build_folder(SOURCE, "machine.so", _tell))
        # PyDLL: Python's lock is held. Calls take microseconds, and states are built meanwhile.
        library: Any = ctypes.PyDLL(path)
        # Of 131,072 tokens this takes 0.1 s, and shares nothing.
        library.bm_vocabulary_new = ctypes.CDLL(path).bm_vocabulary_new
    except (KernelBuildError, OSError) as error:
        _log.warning("grammars go without their machine, which costs more time: %s", error)
        return None
    declare(library, _SIGNATURES)
    return library


def _tell(line: str) -> None:
    _log.info("%s", line)
