"""Memory by the page, beside malloc's heap: packed weights and the KV pool lie in it.

A page costs nothing until it is first used, and the whole goes back when its tensor does. numpy,
which also leaves pages alone, asks for pages of 2 MiB: a pool's first tokens lie in one page per
layer and head, and took 165 MB for 144 tokens of a model of 100 M parameters.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import sys

import torch


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
