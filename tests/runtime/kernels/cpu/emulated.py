"""How the kernels are built with emulated.h: then every level runs on any x86-64 processor."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Final

_HEADER: Final = Path(__file__).with_suffix(".h")
# For FLAGS_VARIABLE. Vectors of 64 bytes become those of 32 bytes by the compiler itself. The
# header's contents are named, so that a library of other ones is not taken from the cache.
FLAGS: Final = shlex.join(
    (
        *("-O2", "-mno-avx512f", "-mno-amx-tile", "-include", str(_HEADER)),
        f"-DBL_EMULATED=0x{hashlib.sha256(_HEADER.read_bytes()).hexdigest()[:8]}",
    )
)
