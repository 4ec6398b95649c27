"""What an engine is made of where its caller gives nothing; used by the engine core."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from ..errors import RequestError
from ..models.resolve import resolve_model
from ..tokenizer import Tokenizer
from .compiling import Compiler
from .config import EngineConfig
from .forward import Runner

if TYPE_CHECKING:
    from ..constrained.compiler import GrammarCompiler


def load_runner(config: EngineConfig) -> Runner:
    from .runner import ModelRunner

    return ModelRunner(config)


def load_tokenizer(config: EngineConfig) -> Tokenizer:
    return Tokenizer.load(resolve_model(config.model))


def load_compiler(tokenizer: Tokenizer, vocab_size: int, config: EngineConfig) -> Compiler:
    from ..constrained.compiler import GrammarCompiler
    from ..constrained.limits import GrammarLimits
    from ..constrained.workers import Workers

    limits = GrammarLimits()
    compiler = GrammarCompiler(
        tokenizer, vocab_size, limits, config.grammar_backend, Workers(limits)
    )
    # Beside whatever else is loaded.
    threading.Thread(target=_warmed, args=(compiler,), name="grammar-warm", daemon=True).start()
    return compiler


def _warmed(compiler: GrammarCompiler) -> None:
    # Where no process can be started now, the first constraint tries again, and tells.
    with contextlib.suppress(RequestError):
        compiler.warm()
