"""The public names under the module name of older SGLang releases (`branchline.api`)."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import branchline

    if name not in branchline.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(branchline, name)
