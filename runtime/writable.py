"""Whether a file can be written where it is to be written at the end, and a folder be written in:
asked before hours of work. Used by server/options.py and branchline/engine.py."""

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


def check_writable_folder(name: str, path: str) -> None:
    """Raises ValueError with the setting's `name` where there can be no folder `path` to write in.
    Makes none."""
    folder = Path(path).expanduser()
    try:
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise ValueError(
            f"{name} {path!r}: no file can be written there ({error.strerror}); name a folder of "
            "yours, or one that can be made"
        ) from None
