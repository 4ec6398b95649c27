"""One checksum for tensors in files; used by snapshot.py and disk_tier.py."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def checksum(tensors: Mapping[str, torch.Tensor], text: str = "") -> str:
    """BLAKE2b of a text and of names, types, shapes and contents, in hexadecimal."""
    digest = hashlib.blake2b(text.encode(), digest_size=32)
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
