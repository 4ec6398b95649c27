"""How one engine runs: which model, which device, how much memory; read by every engine part.

Imports no torch, so that the front process and the command line can build one cheaply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from ..memory.quotas import CacheQuota, check_quota
from ..protocol import GrammarBackend
from ..scheduler.config import Policy

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
AttentionBackend = Literal["auto", "torch", "cpu", "triton"]
KvDtype = Literal["auto", "float8", "int8"]
Speculation = Literal["off", "auto", "always"]
OverlapMode = Literal["off", "auto", "on"]
Quantization = Literal["none", "int8", "int4", "int4-64", "int4-128", "fp8"]

DTYPES: Final = get_args(Dtype)
POLICIES: Final = get_args(Policy)
ATTENTION_BACKENDS: Final = get_args(AttentionBackend)
KV_DTYPES: Final = get_args(KvDtype)
SPECULATIONS: Final = get_args(Speculation)
OVERLAPS: Final = get_args(OverlapMode)
QUANTIZATIONS: Final = get_args(Quantization)
GRAMMAR_BACKENDS: Final = get_args(GrammarBackend)

# 10,000 take a minute to start, without a word.
_MOST_THREADS: Final = 1_024


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Settings of an engine process. Raises ValueError with the field's name on a bad value.

    model: local directory, hub id "owner/name", or "embedded".
    dtype: of weights and KV; "auto" is bfloat16 on a GPU and for big models on a CPU that has
        bfloat16 arithmetic, else float32.
    device: "auto" is the GPU where there is one, else "cpu"; any name that torch knows.
    attention_backend: "cpu" is C++ for attention and the small operators, "triton" is for GPUs,
        "torch" serves any device; "auto" is "cpu" on a CPU where it can be built, "triton" on a
        GPU where it is installed, else "torch".
    kv_dtype: of keys and values; "auto" is `dtype`. Half the memory of 16 bits take "int8" (a
        scale per token and head) on a CPU, and "float8" (e4m3) with Triton on a GPU that has it.
    quantization: of the weights, while they are loaded: "int8" (a scale per output; on a CPU inputs
        are rounded, too, as they come), "int4" (a scale per 32, 64 or 128 inputs), or on a GPU that
        has float8 "fp8" (a scale per 128 x 128 weights).
    deterministic: the same request gives the same tokens and log probabilities to the bit, whatever
        runs beside it, is cached already or is computed in pieces; somewhat slower, with the C++
        kernels of a CPU or Triton's of a GPU. What is sampled needs a seed of the request's own.
    context_length: longest sequence in tokens; None is the model's own.
    kv_slots: tokens whose keys and values fit; None is as many as `kv_memory_fraction` of the free
        memory holds. None of that is 0.5, and on a CPU at most 2 GiB.
    max_running: sequences that run at the same time.
    chunk_tokens: new tokens per step, over all sequences.
    num_threads: of torch on the CPU, at most 1,024; None leaves torch's own choice,
        or the cores of the control group where these are fewer.
    seed: of everything random that no request's own seed decides.
    policy: who of the waiting is admitted first, "lpm" (longest cached prefix), "dfs-weight"
        (branch by branch), "fcfs" (oldest) or "priority" (highest, in place of lower ones).
    max_waiting: sequences that may wait; one more is refused as overloaded.
    namespace_quotas: what requests of others can never evict of a namespace: a number of cached
        tokens, or bytes with a unit, "512MiB"; and as much in each tier below the pool.
    cache_file: the radix tree with its KV is loaded from here at the start and saved here at the
        end; None does neither.
    host_cache_tokens: evicted tokens whose KV is kept in the host's memory, to be put back instead
        of computed again; 0 keeps none. For pools on a device, or smaller than the memory.
    disk_cache: folder for what is driven out of the host's memory, or by `host_cache_tokens` of 0
        out of the pool; a later engine of the same model goes on with it. None keeps nothing.
    disk_cache_bytes: what its files may take.
    profile_dir: folder for profiles of the engine, which clients may then ask for; None allows
        none.
    cache_events: changes of the radix tree to keep for those who ask; 0 keeps none.
    max_pinned_fraction: of the KV pool, how much pins may hold.
    jump_forward: what a grammar leaves no choice for is taken without being sampled.
    speculation: tokens are guessed from the text before and computed together; the output stays
        the same. "auto" guesses where it pays, by the measured cost of a token and by how many
        guesses came true; "always" is for tests.
    draft_tokens: so many are guessed per step and sequence.
    overlap: while a decode step is computed, the host takes the tokens of the step before; the
        output stays the same. "auto" does it on a GPU, and on a CPU where it is measured to pay
        and no grammar is compiled that needs the core.
    grammar_timeout_s: how long a request waits for its grammar, by the clock; what compiling it may
        take is `GrammarLimits.max_compile_s` of processor time.
    grammar_backend: which engine makes the masks of constraints that do not say.
    """

    model: str = "embedded"
    dtype: Dtype = "auto"
    device: str = "auto"
    attention_backend: AttentionBackend = "auto"
    kv_dtype: KvDtype = "auto"
    quantization: Quantization = "none"
    deterministic: bool = False
    context_length: int | None = None
    kv_slots: int | None = None
    kv_memory_fraction: float | None = None
    max_running: int = 64
    chunk_tokens: int = 512
    num_threads: int | None = None
    seed: int = 0
    policy: Policy = "lpm"
    max_waiting: int = 4_096
    jump_forward: bool = True
    speculation: Speculation = "auto"
    draft_tokens: int = 8
    overlap: OverlapMode = "auto"
    grammar_timeout_s: float = 30.0
    grammar_backend: GrammarBackend = "auto"
    namespace_quotas: Mapping[str, CacheQuota] = field(default_factory=dict)
    max_pinned_fraction: float = 0.5
    host_cache_tokens: int = 0
    disk_cache: str | None = None
    disk_cache_bytes: int = 10 * 1024**3
    cache_events: int = 0
    cache_file: str | None = None
    profile_dir: str | None = None

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model is empty; give a directory, a hub id or 'embedded'")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {self.dtype!r}")
        if self.attention_backend not in ATTENTION_BACKENDS:
            raise ValueError(
                f"attention_backend must be one of {', '.join(ATTENTION_BACKENDS)}, "
                f"not {self.attention_backend!r}"
            )
        if self.kv_dtype not in KV_DTYPES:
            raise ValueError(
                f"kv_dtype must be one of {', '.join(KV_DTYPES)}, not {self.kv_dtype!r}"
            )
        if self.quantization not in QUANTIZATIONS:
            raise ValueError(
                f"quantization must be one of {', '.join(QUANTIZATIONS)}, not {self.quantization!r}"
            )
        if self.speculation not in SPECULATIONS:
            raise ValueError(
                f"speculation must be one of {', '.join(SPECULATIONS)}, not {self.speculation!r}"
            )
        if self.overlap not in OVERLAPS:
            raise ValueError(f"overlap must be one of {', '.join(OVERLAPS)}, not {self.overlap!r}")
        if not self.device:
            raise ValueError("device is empty; give 'auto', 'cpu' or 'cuda'")
        if self.policy not in POLICIES:
            raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {self.policy!r}")
        optional = ("context_length", "kv_slots", "num_threads")
        for name in ("max_running", "chunk_tokens", "max_waiting", "draft_tokens", *optional):
            value = getattr(self, name)
            if value is None and name in optional:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.num_threads is not None and self.num_threads > _MOST_THREADS:
            raise ValueError(
                f"num_threads must be at most {_MOST_THREADS}, not {self.num_threads}; more than "
                "the machine's cores only wait for each other"
            )
        fraction = self.kv_memory_fraction
        if fraction is not None and not 0.0 < fraction <= 1.0:
            raise ValueError(f"kv_memory_fraction must be above 0 and at most 1, not {fraction!r}")
        if not 0.0 <= self.max_pinned_fraction <= 1.0:
            raise ValueError(
                f"max_pinned_fraction must be from 0 to 1, not {self.max_pinned_fraction!r}"
            )
        for name in ("cache_events", "host_cache_tokens", "disk_cache_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be 0 or more, not {value!r}")
        for name, quota in self.namespace_quotas.items():
            try:
                check_quota(quota)
            except ValueError as error:
                raise ValueError(f"namespace_quotas[{name!r}]: {error}") from None
        if not self.grammar_timeout_s > 0:
            raise ValueError(f"grammar_timeout_s must be above 0, not {self.grammar_timeout_s!r}")
        if self.grammar_backend not in GRAMMAR_BACKENDS:
            raise ValueError(
                f"grammar_backend must be one of {', '.join(GRAMMAR_BACKENDS)}, "
                f"not {self.grammar_backend!r}"
            )
        if isinstance(self.seed, bool) or not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be from 0 to 2**63 - 1, not {self.seed!r}")
