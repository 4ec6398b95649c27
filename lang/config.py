"""The default backend, and the calls that speak to a backend outside of any program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .backend.base import Backend, unwrap_backend


@dataclass
class GlobalConfig:
    """Process-wide settings; programs that get `backend=` need none of them.

    verbosity: at 2 and above a run prints its text when it is over.
    skip_special_tokens_in_output: for gens that do not say `skip_special_tokens` themselves.
    The other fields are SGLang's: programs may set them, and nothing here needs them.
    """

    default_backend: object = None
    verbosity: int = 0
    skip_special_tokens_in_output: bool = True
    spaces_between_special_tokens_in_out: bool = True
    enable_precache_with_tracing: bool = True
    enable_parallel_encoding: bool = True


global_config = GlobalConfig()


def set_default_backend(backend: object) -> None:
    """The backend for programs that run without `backend=`. None unsets it."""
    global_config.default_backend = None if backend is None else unwrap_backend(backend)


def backend_or_default(backend: object) -> Backend:
    """The Backend to use, or ValueError when there is none."""
    # Programs may have set the default themselves, to a Runtime too.
    chosen = global_config.default_backend if backend is None else backend
    if chosen is None:
        raise ValueError(
            "Please specify a backend: pass backend=..., or call set_default_backend(...) once"
        )
    return unwrap_backend(chosen)


def flush_cache(backend: object = None) -> bool:
    """Empty the runtime's prefix cache. False when there is no backend."""
    if backend is None and global_config.default_backend is None:
        return False
    return backend_or_default(backend).flush_cache()


def get_server_info(backend: object = None) -> dict[str, Any] | None:
    """The model and the counters of the runtime. None when there is no backend."""
    if backend is None and global_config.default_backend is None:
        return None
    return backend_or_default(backend).get_server_info()
