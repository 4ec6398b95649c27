"""What an engine is made of where its caller gives nothing; used by the engine core."""

from __future__ import annotations

import contextlib
import math
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import RequestError
from ..memory.allocator import SlotAllocator
from ..memory.quotas import check_reserved, quota_slots
from ..models.resolve import resolve_model
from ..radix_cache.disk_tier import DiskTier
from ..radix_cache.host_tier import HostTier
from ..radix_cache.tree import RadixCache
from ..scheduler.config import SchedulerConfig
from ..scheduler.scheduler import Scheduler
from ..tokenizer import Tokenizer
from .compiling import Compiler
from .config import EngineConfig
from .forward import Runner, bytes_per_slot

if TYPE_CHECKING:
    from ..constrained.compiler import GrammarCompiler

# Rows of logits of one step for log probabilities of prompts take at most so many bytes.
_MAX_LOGPROB_BYTES: Final = 128 * 1024**2


def load_runner(config: EngineConfig) -> Runner:
    from ..memory.pages import forget_code
    from .runner import ModelRunner

    # Importing is over before the weights take its place, and loading before the first step.
    forget_code()
    runner = ModelRunner(config)
    forget_code()
    return runner


def load_tokenizer(config: EngineConfig) -> Tokenizer:
    # Until there is a grammar (constrained/compiler.py), nothing is encoded here.
    return Tokenizer.load(resolve_model(config.model), encodes=False)


def build_cache(config: EngineConfig, runner: Runner, allocator: SlotAllocator) -> RadixCache:
    """Raises ValueError when the namespaces' quotas are too large."""
    quotas = _quotas(config, runner)
    # There a token's products with its context are as many as those with the weights.
    half_attention = 6.0 * runner.hidden_size or math.inf
    return RadixCache(allocator, quotas=quotas, half_attention=half_attention)


def _quotas(config: EngineConfig, runner: Runner) -> dict[str, int]:
    size = partial(bytes_per_slot, runner)
    return quota_slots(config.namespace_quotas, runner.num_slots, size)


def build_tiers(config: EngineConfig, runner: Runner) -> HostTier | None:
    """What lies below the KV pool, if anything. Raises OSError for a folder that cannot be used,
    ValueError when the namespaces' quotas are too large for a tier."""
    quotas = _quotas(config, runner)
    below = None
    if config.disk_cache is not None:
        folder = Path(config.disk_cache).expanduser()
        in_bytes = {name: tokens * bytes_per_slot(runner) for name, tokens in quotas.items()}
        check_reserved(in_bytes, config.disk_cache_bytes, "bytes of a disk_cache_bytes")
        try:
            below = DiskTier(folder, config.disk_cache_bytes, runner.fingerprint, in_bytes)
        except OSError as error:
            raise OSError(f"disk_cache {config.disk_cache!r} cannot be used: {error}") from error
    if not config.host_cache_tokens:
        quotas = {}
        if below is None:
            return None
    check_reserved(quotas, config.host_cache_tokens, "tokens of a host_cache_tokens")
    return HostTier(config.host_cache_tokens, runner.read_kv, runner.write_kv, below, quotas)


def build_scheduler(
    config: EngineConfig, runner: Runner, cache: RadixCache, tier: HostTier | None
) -> Scheduler:
    """The scheduler of the cache's slots."""
    return Scheduler(
        SchedulerConfig(
            max_running=config.max_running,
            chunk_tokens=config.chunk_tokens,
            policy=config.policy,
        ),
        cache.allocator,
        cache,
        max_logit_rows=max(1, _MAX_LOGPROB_BYTES // (4 * runner.vocab_size)),
        tier=tier,
    )


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
