"""The exception of a checkpoint that cannot be served; raised by everything in `models/`."""

from __future__ import annotations


class ModelLoadError(Exception):
    """A model directory is missing, incomplete, unsafe or of an unsupported kind.

    The text is for the user: what was given, what is allowed, what to do.
    """
