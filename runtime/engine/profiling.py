"""Profiles of the engine's loop, into the folder that the operator allowed. Held by core.py, asked
by process.py."""

from __future__ import annotations

import cProfile
import os
from pathlib import Path
from typing import Final

from ..errors import RequestError

# Whoever may ask for profiles must not fill the disk: from here on the first ones are replaced.
_MOST_FILES: Final = 64


class Profiler:
    """What the engine's thread spends its time with, function by function, as Python's `pstats`
    reads it. It makes steps slower while it runs.

    folder: where the files go; None allows none.
    """

    def __init__(self, folder: str | None) -> None:
        self._folder = None if folder is None else Path(folder).absolute()
        self._running: cProfile.Profile | None = None
        self._num_files = 0

    def start(self) -> None:
        """Raises RequestError where profiles are not allowed, or one is under way."""
        if self._folder is None:
            raise RequestError(
                "invalid_request",
                "this runtime writes no profiles; start it with a folder for them, "
                "profile_dir=... or --profile-dir DIR",
            )
        if self._running is not None:
            raise RequestError("invalid_request", "a profile is under way already; stop it first")
        profile = cProfile.Profile()
        try:
            profile.enable()
        except ValueError as error:  # another tool profiles this process
            raise RequestError("invalid_request", f"no profile can be taken: {error}") from None
        self._running = profile

    def stop(self) -> str:
        """The path of the file. Raises RequestError where no profile is under way, or it cannot be
        written."""
        profile, self._running = self._running, None
        if profile is None or self._folder is None:
            raise RequestError("invalid_request", "no profile is under way; start one first")
        profile.disable()
        path = self._folder / f"engine-{os.getpid()}-{self._num_files % _MOST_FILES}.prof"
        self._num_files += 1
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            profile.dump_stats(path)
        except OSError as error:
            raise RequestError("internal", f"the profile was not written: {error}") from None
        return str(path)
