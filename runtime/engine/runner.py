"""The model, its KV pool and its attention as one thing that turns a batch into logits.

Owned by the engine core, which alone calls `forward`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import torch

from ..device.base import Device, Kernels
from ..device.cpu import default_threads, num_cores
from ..device.select import open_device
from ..kernels.base import Attention
from ..memory.allocator import SlotIds
from ..memory.kv_pool import KVPool
from ..models.config import ModelConfig, read_config
from ..models.errors import ModelLoadError
from ..models.loader import weight_files
from ..models.registry import load_model
from ..models.resolve import resolve_model
from .batch import ForwardBatch
from .config import EngineConfig
from .fingerprint import fingerprint
from .graphs import DecodeGraphs

_log = logging.getLogger(__name__)

_ROUNDED_KV: Final = {
    "float8": (torch.float8_e4m3fn, "Triton on a GPU from Ada or Hopper on"),
    "int8": (torch.int8, "the C++ kernels of a CPU and torch's"),
}


class ModelRunner:
    """Loads the model that `config` names; raises ModelLoadError when that cannot be done.

    device: where it computes; by default the one that `config` names.
    num_slots: of the KV pool. vocab_size: columns of the logits; a checkpoint may pad it beyond
    its tokenizer's vocabulary. context_length: longest sequence. eos_token_ids: tokens that end a
    sequence. hidden_size: of the model's states. architecture: the checkpoint's own name for its
    family. execution: how it computes, in words. fingerprint: of model, tokenizer and data type,
    for saved caches.
    """

    def __init__(self, config: EngineConfig, device: Device | None = None) -> None:
        if config.num_threads is not None and config.num_threads > num_cores():
            _log.warning(
                "num_threads is %d, but there are %d cores: the threads will wait for each other",
                config.num_threads,
                num_cores(),
            )
        torch.set_num_threads(config.num_threads or default_threads())
        model_dir = resolve_model(config.model)
        self.model_config = read_config(model_dir)
        self.device = device or open_device(config.device, queues=config.overlap != "off")
        self.dtype = _dtype(config, self.model_config, self.device)
        self.context_length = _context_length(config, self.model_config)
        weight_bytes = sum(path.stat().st_size for path in weight_files(model_dir))
        choose = self.device.deterministic_kernels if config.deterministic else self.device.kernels
        kernels = choose(config.attention_backend, config.quantization, self.dtype)
        if self.model_config.float8 and (kernels.ops is None or kernels.ops.pack_float8 is None):
            weight_bytes *= self.dtype.itemsize  # of the file's; in memory they are unpacked
        kv_dtype = _kv_dtype(config, self.dtype, kernels)
        self.num_slots = _num_slots(config, self.model_config, kv_dtype, self.device, weight_bytes)
        self.vocab_size = self.model_config.vocab_size
        self.hidden_size = self.model_config.hidden_size
        self.eos_token_ids = self.model_config.eos_token_ids
        self.architecture = self.model_config.architecture
        # Quantized weights give other keys and values.
        quantized = () if config.quantization == "none" else (config.quantization,)
        rounded = () if kv_dtype is self.dtype else (kv_dtype,)
        # Others than the same kernels' own would bring bits of their own.
        exact = (kernels.description,) if config.deterministic else ()
        self.fingerprint = fingerprint(model_dir, self.dtype, *quantized, *rounded, *exact)

        shape = self.model_config
        self.model = load_model(
            model_dir,
            shape,
            # A token needs a slot, so no position beyond the pool's size can occur.
            max_positions=min(self.context_length, self.num_slots),
            dtype=self.dtype,
            device=self.device.torch_device,
            ops=kernels.ops,
        )
        try:
            self.kv_pool = KVPool(
                shape.num_layers,
                # One more, which nobody gets, for rows that only fill a captured step.
                self.num_slots + self.device.captures,
                shape.num_kv_heads,
                shape.head_dim,
                kv_dtype,
                self.device.torch_device,
            )
        except (OSError, OverflowError, RuntimeError) as error:
            size = KVPool.bytes_per_slot(
                shape.num_layers, shape.num_kv_heads, shape.head_dim, kv_dtype
            )
            raise ModelLoadError(
                f"{self.num_slots} kv_slots take {self.num_slots * size / 1024**3:,.1f} GiB, which "
                f"{self.device.torch_device} does not have: {error}; ask for fewer"
            ) from error
        self.attention: Attention[Any] = kernels.attention(
            shape.num_heads,
            shape.num_kv_heads,
            shape.head_dim,
            None if shape.caps is None else shape.caps.attention,
        )
        self.graphs: DecodeGraphs | None = None
        if self.device.captures:
            self.graphs = DecodeGraphs(
                self.device,
                self.attention,
                self._compute,
                shape.layer_windows,
                self.num_slots,
                self.vocab_size,
            )
        self.execution = {
            "dtype": str(self.dtype).removeprefix("torch."),
            "keys and values": str(kv_dtype).removeprefix("torch."),
            "device": self.device.describe(),
            "kernels": kernels.description,
            "weights": "as they are" if config.quantization == "none" else config.quantization,
        }

    @torch.inference_mode()
    def read_kv(self, slots: SlotIds) -> dict[str, torch.Tensor]:
        """The keys and values in `slots`, by layer: [heads, slots, head_dim]."""
        self.device.catch_up()
        return self.kv_pool.read(slots)

    @torch.inference_mode()
    def write_kv(self, slots: SlotIds, kv: Mapping[str, torch.Tensor]) -> None:
        """Put into `slots` what `read_kv` gave for as many."""
        self.device.catch_up()
        self.kv_pool.write(slots, kv)

    def forward(self, batch: ForwardBatch) -> torch.Tensor:
        """Logits, float32 [rows, vocab_size], of `batch.logit_rows`; stores the new tokens' KV.
        They hold good until the next call, and those of a step ahead may still be on their way."""
        if not batch.is_ahead:
            self.device.catch_up()
        logits = None if self.graphs is None else self.graphs.forward(batch)
        return self._compute(batch).float() if logits is None else logits

    def _compute(self, batch: ForwardBatch, plan: object = None) -> torch.Tensor:
        return self.model.forward(batch, self.kv_pool, self.attention, plan)

    @torch.inference_mode()
    def embed(self, batch: ForwardBatch) -> torch.Tensor:
        """Last hidden states, float32 [rows, hidden], of `batch.logit_rows`; stores as forward."""
        self.device.catch_up()
        return self.model.last_states(batch, self.kv_pool, self.attention).float()


def _dtype(config: EngineConfig, model: ModelConfig, device: Device) -> torch.dtype:
    if config.dtype == "auto":
        return device.default_dtype(model.num_parameters)
    dtype: torch.dtype = getattr(torch, config.dtype)
    return dtype


def _kv_dtype(config: EngineConfig, dtype: torch.dtype, kernels: Kernels) -> torch.dtype:
    if config.kv_dtype == "auto":
        return dtype
    kv_dtype, place = _ROUNDED_KV[config.kv_dtype]
    if kv_dtype not in kernels.kv_dtypes:
        raise ModelLoadError(
            f"kv_dtype {config.kv_dtype!r} is for {place}, not for {kernels.description} here; use "
            "'auto'"
        )
    return kv_dtype


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
    device: Device,
    weight_bytes: int,
) -> int:
    if config.kv_slots is not None:
        return config.kv_slots
    slot_bytes = KVPool.bytes_per_slot(model.num_layers, model.num_kv_heads, model.head_dim, dtype)
    if config.kv_memory_fraction is None:
        budget = device.default_kv_budget(weight_bytes)
    else:
        budget = device.kv_budget(config.kv_memory_fraction, weight_bytes)
    num_slots = budget // slot_bytes
    if num_slots < 1:
        raise ModelLoadError(
            f"{budget} bytes hold no key-value slot of {slot_bytes} bytes; free memory, or give a "
            "higher kv_memory_fraction"
        )
    return num_slots
