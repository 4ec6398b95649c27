"""The settings under the module name of older SGLang releases. Importing a submodule binds its name
in the package, where `branchline.global_config` is the settings already: so they stand for it."""

from __future__ import annotations

import sys

from .lang.config import GlobalConfig, global_config

__all__ = ["GlobalConfig", "global_config"]

vars(global_config).update(
    global_config=global_config, GlobalConfig=GlobalConfig, __spec__=globals()["__spec__"]
)
sys.modules[__name__] = global_config  # type: ignore[assignment]
