"""The least time that a workload can take on a machine, for cpu.py: what has to be read and to be
multiplied, over what the machine reads and multiplies at most.

Nobody can be below it, whatever the order of the work: it counts the weights once per forward pass,
each key and value once a pass, the products of all rows, and nothing else, reading and multiplying
at the same time. So the best peer's time over it is the most that any ratio to that peer can be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

import torch
import torch.nn.functional as F

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.kernels.cpu.attention import CpuAttention
from branchline.runtime.models.config import ModelConfig

_MOST_ROWS: Final = 1024  # more are not multiplied any faster
_WEIGHT_BYTES: Final = 2  # bfloat16, as in the models' files, whatever they are multiplied in
_KNOWN_ROUNDS: Final = 5
_OPENVINO_ROUNDS: Final = 20  # its first calls are slow


@dataclass(frozen=True)
class Pass:
    """A forward pass. rows: tokens; logit_rows: of these with logits; pairs: of a token and a key
    that it attends to; keys: different ones that are read."""

    rows: int
    logit_rows: int
    pairs: float
    keys: float


def extend(count: int, length: int, cached: int) -> Pass:
    """Of `count` sequences, the tokens behind the first `cached`, and logits of the last one."""
    own = length - cached
    return Pass(count * own, count, count * own * (cached + (own + 1) / 2), count * length)


def prefill(count: int, length: int) -> Pass:
    """Of `count` prompts that have nothing in common."""
    return extend(count, length, 0)


def branches(trunk: int, count: int, own: int) -> list[Pass]:
    """Of prompts that begin with the same tokens, which are computed and read once."""
    length = trunk + own
    rows = trunk + count * own
    pairs = trunk * (trunk + 1) / 2 + extend(count, length, trunk).pairs
    return [Pass(rows, count, pairs, rows)]


def decode(count: int, length: int, steps: int, shared: int = 0) -> list[Pass]:
    """`steps` tokens for each of `count` sequences of so many, the first `shared` the same."""
    lengths = [length + step + 1 for step in range(steps)]
    return [Pass(count, count, count * now, shared + count * (now - shared)) for now in lengths]


@contextmanager
def recorded(core: EngineCore) -> Iterator[list[Pass]]:
    """The passes that an engine makes meanwhile."""
    passes: list[Pass] = []
    forward = core.runner.forward

    def noted(batch: ForwardBatch) -> torch.Tensor:
        pairs = 0.0
        for slots, rows in zip(batch.context_slots, batch.query_lens, strict=True):
            pairs += rows * (len(slots) - (rows - 1) / 2)
        keys = len(torch.cat(list(batch.context_slots)).unique())
        passes.append(Pass(len(batch.token_ids), len(batch.logit_rows), pairs, keys))
        return forward(batch)

    with patch.object(core.runner, "forward", noted):
        yield passes


@dataclass
class Machine:
    """What all threads together read and multiply at most, as far as has been seen: each figure is
    the best of all that were taken until now, and taken again with each workload, so that a bad
    moment lowers no bound."""

    config: ModelConfig
    dtype: torch.dtype
    ops: Any  # CpuKernels, or None where torch computes
    threads: int
    rates: dict[int, float] = field(default_factory=dict)  # operations per second, by rows
    speeds: dict[int, float] = field(default_factory=dict)  # bytes per second, by bytes

    @property
    def layer_weights(self) -> int:
        head = self.config.vocab_size * self.config.hidden_size
        return self.config.num_parameters - head * (1 if self.config.tie_word_embeddings else 2)

    @property
    def head_weights(self) -> int:
        return self.config.vocab_size * self.config.hidden_size

    @property
    def weight_bytes(self) -> int:
        """Of those that a pass reads."""
        return (self.layer_weights + self.head_weights) * _WEIGHT_BYTES

    def least_s(self, passes: Iterable[Pass], weight_bytes: int | None = None) -> float:
        """Seconds. weight_bytes: that a pass reads, where they are not in the model's type."""
        work = list(passes)
        shape = self.config
        weights = self.weight_bytes if weight_bytes is None else weight_bytes
        key_bytes = 2 * shape.num_layers * shape.num_kv_heads * shape.head_dim * self.dtype.itemsize
        pair_flops = 4 * shape.num_layers * shape.num_heads * shape.head_dim
        read_s = sum(weights + one.keys * key_bytes for one in work) / self.speed(weights)
        flops = sum(
            2 * (self.layer_weights * one.rows + self.head_weights * one.logit_rows)
            + pair_flops * one.pairs
            for one in work
        )
        return max(read_s, flops / self.rate(_most_rows(work)))

    def measure(self, passes: Iterable[Pass], weight_bytes: int | None = None) -> None:
        """Take what `least_s` needs once more."""
        size = self.weight_bytes if weight_bytes is None else weight_bytes
        self.speeds[size] = self._read(size)
        rows = _most_rows(passes)
        self.rates[rows] = max(self.rates.get(rows, 0.0), self._multiply(rows))

    def speed(self, weight_bytes: int) -> float:
        """Bytes per second of reading so many again and again: part of them may stay in caches."""
        return self.speeds[weight_bytes]

    def rate(self, rows: int) -> float:
        """Operations per second in products of so many rows with a layer's weights, each taken by
        itself, so that it stays in the caches where it fits; never less than with fewer rows."""
        return max(rate for known, rate in self.rates.items() if known <= rows)

    def _read(self, size: int) -> float:
        numbers = torch.ones(size // 4 // 4096, 4096)
        ones = torch.ones(4096)
        least = min(_least(numbers.sum, 4), _least(lambda: numbers @ ones, 4))
        return max(self.speeds.get(size, 0.0), numbers.nbytes / least)

    def _multiply(self, rows: int) -> float:
        """The best of ours, torch's and OpenVINO's for each weight of a layer."""
        shape = self.config
        attended = shape.num_heads * shape.head_dim
        qkv = attended + 2 * shape.num_kv_heads * shape.head_dim
        hidden, inner = shape.hidden_size, shape.intermediate_size
        sizes = [(qkv, hidden), (hidden, attended), (2 * inner, hidden), (hidden, inner)]
        seconds = 0.0
        for outputs, inputs in sizes:
            weight = torch.randn(outputs, inputs, dtype=torch.bfloat16).to(self.dtype)
            x = torch.randn(rows, inputs).to(self.dtype)
            runs: list[Callable[[], object]] = [lambda x=x, w=weight: F.linear(x, w)]
            packed = None if self.ops is None else self.ops.pack_linear(weight)
            if packed is not None:
                runs.append(lambda x=x, p=packed: p(x))
            times = [_least(run, _KNOWN_ROUNDS) for run in runs]
            theirs = openvino_product(rows, outputs, inputs, self.threads, self.dtype)
            if theirs is not None:
                times.append(_least(theirs, _OPENVINO_ROUNDS))
            seconds += min(times)
        return 2 * rows * sum(outputs * inputs for outputs, inputs in sizes) / seconds


def quantized_bytes(machine: Machine, name: str) -> int:
    """What the weights of a pass take in int8, or in int4 by groups of 32, logits' in int6 by
    groups of 64 where kernels have it."""
    layers, head = machine.layer_weights, machine.head_weights
    if name == "int8":
        return layers + head
    has_int6 = machine.ops is not None and machine.ops.has_int6
    return layers * 9 // 16 + (head * 25 // 32 if has_int6 else head)


def openvino_product(
    rows: int, outputs: int, inputs: int, threads: int, dtype: torch.dtype
) -> Callable[[], object] | None:
    """A linear layer in OpenVINO, where it is installed."""
    try:
        import openvino
        from openvino import opset13
    except ImportError:
        return None
    import numpy

    x = opset13.parameter([rows, inputs], numpy.float32)
    weight = numpy.ones((outputs, inputs), numpy.float16)
    wide = opset13.convert(opset13.constant(weight), "f32")
    model = openvino.Model([opset13.matmul(x, wide, False, True)], [x])
    hint = "bf16" if dtype is torch.bfloat16 else "f32"
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(numpy.ones((rows, inputs), numpy.float32)))
    return lambda: request.infer()


def kernels_of(attention: object) -> Any:
    """The kernels behind an engine's attention; None where torch computes."""
    return attention.kernels if isinstance(attention, CpuAttention) else None


def _most_rows(passes: Iterable[Pass]) -> int:
    """Rows whose rate is measured, which changes slowly: the largest pass's or a power of two."""
    return min(_MOST_ROWS, 1 << (max(one.rows for one in passes) - 1).bit_length())


def _least(run: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
