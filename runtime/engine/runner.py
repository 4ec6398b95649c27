"""The model, its KV pool and its attention as one thing that turns a batch into logits.

Owned by the engine core, which alone calls `forward`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import torch

from ..kernels.base import Attention
from ..kernels.cpu.attention import CpuAttention
from ..kernels.cpu.build import KernelBuildError
from ..kernels.cpu.library import DTYPES, CpuKernels, load_kernels
from ..kernels.torch_attention import TorchAttention
from ..memory.allocator import SlotIds
from ..memory.available import available_bytes
from ..memory.kv_pool import KVPool
from ..models.config import ModelConfig, read_config
from ..models.errors import ModelLoadError
from ..models.loader import weight_files
from ..models.registry import load_model
from ..models.resolve import resolve_model
from .batch import ForwardBatch
from .config import EngineConfig
from .fingerprint import fingerprint

_log = logging.getLogger(__name__)

MAX_CPU_KV_BYTES: Final = 2 * 1024**3

# Below this a CPU decodes one sequence as fast in float32 (measured: 2.0 against 3.0 ms per token
# at 6 M parameters, equal at 26 M; bfloat16 takes half the time at batch 8 from 146 M on), and
# float32 gives the same greedy text however a batch is put together.
_FLOAT32_PARAMETERS: Final = 64_000_000


class ModelRunner:
    """Loads the model that `config` names; raises ModelLoadError when that cannot be done.

    num_slots: of the KV pool. vocab_size: columns of the logits; a checkpoint may pad it beyond
    its tokenizer's vocabulary. context_length: longest sequence. eos_token_ids: tokens that end a
    sequence. hidden_size: of the model's states. architecture: the checkpoint's own name for its
    family. execution: how it computes, in words. fingerprint: of model, tokenizer and data type,
    for saved caches.
    """

    def __init__(self, config: EngineConfig) -> None:
        if config.num_threads is not None:
            torch.set_num_threads(config.num_threads)
        model_dir = resolve_model(config.model)
        self.model_config = read_config(model_dir)
        self.device = _device(config.device)
        self.dtype = _dtype(config, self.model_config, self.device)
        self.context_length = _context_length(config, self.model_config)
        weight_bytes = sum(path.stat().st_size for path in weight_files(model_dir))
        self.num_slots = _num_slots(
            config, self.model_config, self.dtype, self.device, weight_bytes
        )
        self.vocab_size = self.model_config.vocab_size
        self.hidden_size = self.model_config.hidden_size
        self.eos_token_ids = self.model_config.eos_token_ids
        self.architecture = self.model_config.architecture
        # Quantized weights give other keys and values.
        quantized = () if config.quantization == "none" else (config.quantization,)
        self.fingerprint = fingerprint(model_dir, self.dtype, *quantized)

        shape = self.model_config
        kernels = _kernels(config, self.dtype, self.device)
        self.model = load_model(
            model_dir,
            shape,
            # A token needs a slot, so no position beyond the pool's size can occur.
            max_positions=min(self.context_length, self.num_slots),
            dtype=self.dtype,
            device=self.device,
            ops=kernels,
        )
        self.kv_pool = KVPool(
            shape.num_layers,
            self.num_slots,
            shape.num_kv_heads,
            shape.head_dim,
            self.dtype,
            self.device,
        )
        heads = (shape.num_heads, shape.num_kv_heads, shape.head_dim)
        self.attention: Attention[Any] = (
            TorchAttention(*heads) if kernels is None else CpuAttention(kernels, *heads)
        )
        self.execution = {
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": f"{self.device}, torch threads: {torch.get_num_threads()}",
            "kernels": "torch" if kernels is None else f"C++ ({kernels.level})",
            "weights": "as they are" if config.quantization == "none" else config.quantization,
        }

    @torch.inference_mode()
    def read_kv(self, slots: SlotIds) -> dict[str, torch.Tensor]:
        """The keys and values in `slots`, by layer: [heads, slots, head_dim]."""
        return self.kv_pool.read(slots)

    @torch.inference_mode()
    def write_kv(self, slots: SlotIds, kv: Mapping[str, torch.Tensor]) -> None:
        """Put into `slots` what `read_kv` gave for as many."""
        self.kv_pool.write(slots, kv)

    @torch.inference_mode()
    def forward(self, batch: ForwardBatch) -> torch.Tensor:
        """Logits, float32 [rows, vocab_size], of `batch.logit_rows`; stores the new tokens' KV."""
        return self.model.forward(batch, self.kv_pool, self.attention).float()

    @torch.inference_mode()
    def embed(self, batch: ForwardBatch) -> torch.Tensor:
        """Last hidden states, float32 [rows, hidden], of `batch.logit_rows`; stores as forward."""
        return self.model.last_states(batch, self.kv_pool, self.attention).float()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelLoadError(
            f"device {name!r} is not known to torch; give 'auto', 'cpu' or 'cuda'"
        ) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelLoadError(f"device {name!r} was asked for, but torch finds no GPU; use 'cpu'")
    return device


def _dtype(config: EngineConfig, model: ModelConfig, device: torch.device) -> torch.dtype:
    if config.dtype != "auto":
        dtype: torch.dtype = getattr(torch, config.dtype)
        return dtype
    if device.type == "cuda":
        return torch.bfloat16
    big = model.num_parameters > _FLOAT32_PARAMETERS
    return torch.bfloat16 if big and _has_bfloat16_arithmetic() else torch.float32


def _kernels(config: EngineConfig, dtype: torch.dtype, device: torch.device) -> CpuKernels | None:
    """The C++ kernels where `config` and the machine allow, else None: torch serves."""
    needed_by = _needs_kernels(config)
    if config.attention_backend == "torch":
        if config.quantization != "none":
            raise ModelLoadError(
                f"quantization {config.quantization!r} is done by the C++ kernels, which "
                "attention_backend 'torch' excludes; use 'auto'"
            )
        return None
    can_serve = device.type == "cpu" and dtype in DTYPES
    if needed_by is None and not can_serve:
        return None
    if not can_serve:
        raise ModelLoadError(
            f"{needed_by} is for float32 and bfloat16 on a CPU, not for {dtype} on {device}; "
            "leave it at its default"
        )
    try:
        return load_kernels(quantization=config.quantization)
    except (KernelBuildError, OSError) as error:
        if needed_by is not None:
            raise ModelLoadError(f"{needed_by} is not available: {error}") from None
        _log.warning("the CPU kernels are not available; torch serves, slower: %s", error)
        return None


def _needs_kernels(config: EngineConfig) -> str | None:
    """The setting that cannot do without the C++ kernels."""
    if config.attention_backend == "cpu":
        return "attention_backend 'cpu'"
    return None if config.quantization == "none" else f"quantization {config.quantization!r}"


def _has_bfloat16_arithmetic() -> bool:
    """Whether this CPU multiplies bfloat16 itself; without that it is slower than float32."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported())


def _context_length(config: EngineConfig, model: ModelConfig) -> int:
    if config.context_length is None:
        return model.context_length
    if config.context_length > model.context_length:
        raise ModelLoadError(
            f"context_length {config.context_length} is longer than the model's "
            f"{model.context_length}; ask for at most that"
        )
    return config.context_length


def _num_slots(
    config: EngineConfig,
    model: ModelConfig,
    dtype: torch.dtype,
    device: torch.device,
    weight_bytes: int,
) -> int:
    if config.kv_slots is not None:
        return config.kv_slots
    slot_bytes = KVPool.bytes_per_slot(model.num_layers, model.num_kv_heads, model.head_dim, dtype)
    if device.type == "cuda":
        free_bytes = torch.cuda.mem_get_info(device)[0]
        budget = int(free_bytes * config.kv_memory_fraction)
    else:
        # The weights are still to come.
        free_bytes = max(0, available_bytes() - weight_bytes)
        budget = min(int(free_bytes * config.kv_memory_fraction), MAX_CPU_KV_BYTES)
    num_slots = budget // slot_bytes
    if num_slots < 1:
        raise ModelLoadError(
            f"{budget} bytes hold no key-value slot of {slot_bytes} bytes; free memory or raise "
            "kv_memory_fraction"
        )
    return num_slots
