"""What an engine is made of where its caller gives nothing; used by the engine core."""

from __future__ import annotations

import threading

from ..models.resolve import resolve_model
from ..tokenizer import Tokenizer
from .compiling import Compiler
from .config import EngineConfig
from .forward import Runner


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
    threading.Thread(target=compiler.warm, name="grammar-warm", daemon=True).start()
    return compiler
