"""Memory by the page, beside malloc's heap: packed weights and the KV pool lie in it.

A page costs nothing until it is first used, and the whole goes back when its tensor does. numpy,
which also leaves pages alone, asks for pages of 2 MiB: a pool's first tokens lie in one page per
layer and head, and took 165 MB for 144 tokens of a model of 100 M parameters.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import re
import sys
from pathlib import Path
from typing import Final

import torch

# A mapping of /proc/self/smaps: code of a file, of which no page was written to.
_CODE: Final = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-xp .* /.*\n(?:\w+: .*\n)*?Anonymous: +0 kB$", re.MULTILINE
)


def zeros_by_page(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Zeros on the CPU in pages of their own."""
    size = math.prod(shape) * dtype.itemsize
    if size == 0:
        return torch.zeros(shape, dtype=dtype)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=dtype).view(shape)


def trim_heap() -> None:
    """Give back what was freed on malloc's heap; glibc keeps it. Elsewhere nothing happens."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(ctypes.c_size_t(0))


def forget_code() -> None:
    """Take all code out of the process's memory, of which what is used next comes back from the
    page cache. Importing torch runs 60 MB of it that nothing runs again."""
    if not sys.platform.startswith("linux"):
        return
    for start, end in _CODE.findall(Path("/proc/self/smaps").read_text()):
        give_back(int(start, 16), int(end, 16))


def give_back(start: int, end: int) -> None:
    """Take whole pages of a mapped file, from one address to another, out of the process's memory;
    they are read anew when they are used. An error would only mean that they stay."""
    ctypes.CDLL(None).madvise(
        ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED
    )
