"""Imported by Python itself in every process of a runtime that a test starts with this folder on
PYTHONPATH: plants a fault in the engine's loop, or in the end of the front. See ../faulty.py.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

FLAG = os.environ.get("BRANCHLINE_FAULT_FLAG", "")


def _plant() -> None:
    from branchline.runtime.engine.core import EngineCore

    step = EngineCore.step

    def faulty(self: EngineCore) -> object:
        if os.path.exists(FLAG):
            with open(FLAG) as file:
                kind = file.read()
            os.unlink(FLAG)
            if kind == "loop":
                while True:
                    pass
            elif kind == "sleep":
                time.sleep(1_000)
            elif kind == "native":
                # Holds the interpreter's lock, so no thread of Python's can run either.
                ctypes.PyDLL(None).sleep(1_000)
            elif kind == "exit":
                os._exit(7)
            elif kind == "raise":
                raise RuntimeError("planted")
        return step(self)

    EngineCore.step = faulty  # type: ignore[method-assign]


def _litter() -> None:
    from branchline.runtime.server.endpoint import PrivateDirectory

    PrivateDirectory.remove = lambda directory: None  # type: ignore[method-assign]


if FLAG and "branchline.runtime.server" in sys.orig_argv and os.path.exists(FLAG):
    _litter()
if FLAG and "branchline.runtime.engine.process" in sys.orig_argv:
    _plant()
