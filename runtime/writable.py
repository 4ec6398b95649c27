"""Whether a file can be written where it is to be written at the end: asked before hours of work.
Used by server/options.py and branchline/engine.py."""

from __future__ import annotations

import tempfile
from pathlib import Path


def check_writable(name: str, path: str) -> None:
    """Raises ValueError with the setting's `name` where no file can be made at `path`."""
    if Path(path).is_dir():
        raise ValueError(f"{name} {path!r} is a folder; give a file in it")
    folder = Path(path).parent
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(
            f"{name} {path!r}: no file can be written in {str(folder.absolute())!r} "
            f"({error.strerror}); name a folder that is there and yours"
        ) from None
