"""What a saved cache must agree with: model, tokenizer and data type. Used by the model runner."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

# Of each weight file; beside its size and its header (which lies at the beginning).
_SAMPLE_BYTES: Final = 1024 * 1024
_WHOLE_FILES: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")


def fingerprint(model_dir: Path, *facts: object) -> str:
    """A hash of the model's files and of `facts`. Of the weights it reads the first, a middle and
    the last megabyte of each file: milliseconds, where hashing all would take seconds."""
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=16)
    for name in _WHOLE_FILES:
        path = model_dir / name
        if path.exists():
            digest.update(name.encode() + path.read_bytes())
    for path in sorted(model_dir.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
                file.seek(start)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
