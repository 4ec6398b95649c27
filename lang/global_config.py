"""The process-wide settings under the module name that SGLang programs import."""

from .config import GlobalConfig, global_config

__all__ = ["GlobalConfig", "global_config"]
