"""Compiles what a call launches for a GPU that need not be there, because the interpreter accepts
programs that the compiler does not. `test_compiling.py` runs it with TRITON_INTERPRET=0.

    TRITON_INTERPRET=0 python compile_launches.py CASE ...
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.kernels.float8 import float8_weight
from branchline.runtime.kernels.triton.activation import gelu_mul, silu_mul
from branchline.runtime.kernels.triton.attention import TritonAttention
from branchline.runtime.kernels.triton.norm import add_rms_norm, rms_norm
from branchline.runtime.kernels.triton.ops import TritonOps
from branchline.runtime.kernels.triton.packing import Storage, as_it_is, from_float8, quantize
from branchline.runtime.kernels.triton.quantized import QuantizedLinear
from branchline.runtime.kernels.triton.rope import rope_store
from branchline.runtime.kernels.triton.sampler import DeviceSampler
from branchline.runtime.kernels.triton.work import Machine
from branchline.runtime.memory.kv_pool import KVPool

H200 = GPUTarget("cuda", 90, 32)
H200_SHARED_BYTES = 227 * 1024

_POINTERS = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.float8_e4m3fn: "*fp8e4nv",
    torch.int64: "*i64",
    torch.int32: "*i32",
    torch.int8: "*i8",
    torch.uint8: "*u8",
    torch.bool: "*i1",
}


@contextmanager
def compiling(target: GPUTarget = H200) -> Iterator[list[str]]:
    """Within, a launch compiles its kernel for `target` and runs nothing; the kernels' names."""
    names: list[str] = []

    def compile_only(
        kernel: Any, *args: object, grid: object, warmup: bool, **kwargs: object
    ) -> None:
        parameters = inspect.signature(kernel.fn).parameters
        options = {key: kwargs.pop(key) for key in list(kwargs) if key not in parameters}
        bound = inspect.signature(kernel.fn).bind(*args, **kwargs)
        bound.apply_defaults()
        signature, constants, attributes = {}, {}, {}
        for index, (name, value) in enumerate(bound.arguments.items()):
            is_constant = "constexpr" in str(parameters[name].annotation)
            signature[name] = "constexpr" if is_constant else _type(value)
            if signature[name] == "constexpr":
                constants[name] = value
            elif isinstance(value, torch.Tensor) or (isinstance(value, int) and value % 16 == 0):
                attributes[(index,)] = [["tt.divisibility", 16]]
        source = ASTSource(kernel, signature, constants, attributes)
        compiled = triton.compile(source, target=target, options=options)
        shared = compiled.metadata.shared
        if shared > H200_SHARED_BYTES:
            raise ValueError(f"{kernel.fn.__name__} needs {shared} bytes of shared memory")
        names.append(f"{kernel.fn.__name__} ({shared} bytes shared)")

    original: Callable[..., Any] = JITFunction.run
    JITFunction.run = compile_only
    try:
        yield names
    finally:
        JITFunction.run = original


def _type(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return _POINTERS[value.dtype]
    if isinstance(value, float):
        return "fp32"
    if isinstance(value, bool):
        return "i1"
    if value is None or value == 1:  # as Triton specialises them
        return "constexpr"
    assert isinstance(value, int)
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def zeros(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype)


def elementwise() -> None:
    x, weight = zeros(4, 4096), zeros(4096)
    rms_norm(x, weight, 1e-6)
    add_rms_norm(x, zeros(4, 4096), weight, 1e-6)
    silu_mul(x)
    gelu_mul(x)
    gelu_mul(x, exact=True)
    for dtype in (torch.bfloat16, torch.float8_e4m3fn):
        layer_kv = KVPool(1, 64, 8, 128, dtype, torch.device("cpu")).layers[0]
        angles, slots = zeros(4, 1, 128), zeros(4, dtype=torch.int64)
        for norm in (None, (zeros(40, 128), 1e-6)):
            rope_store(zeros(4, 48, 128), angles, angles, layer_kv, slots, norm)


def attention() -> None:
    float8 = torch.float8_e4m3fn
    for heads, head_dim, kv_dtype, window, soft_cap in (
        (32, 128, torch.bfloat16, None, None),
        (32, 128, float8, None, None),
        (16, 256, torch.bfloat16, 4096, 50.0),
        (24, 80, torch.bfloat16, None, None),
    ):
        machine = Machine(heads, 8, head_dim, processors=132)
        layer_kv = KVPool(1, 1024, 8, head_dim, kv_dtype, torch.device("cpu")).layers[0]
        kernels = TritonAttention(machine, soft_cap)
        # Tiles of 16 rows, of 64 and of as many as there are.
        for new in (1, 10, 100):
            slots = torch.arange(900)
            where = torch.arange(900 - new, 900)
            batch = ForwardBatch(where, where, slots[-new:], [new], [slots], where)
            plan = kernels.plan(batch)
            q = zeros(new, heads, head_dim)
            kernels.decode_attention(q, layer_kv, plan, window, q)
            kernels.extend_attention(q, layer_kv, plan, window, q)


def sampling() -> None:
    vocab = 151_936
    DeviceSampler(2, vocab, torch.device("cpu")).launch(zeros(2, vocab, dtype=torch.float32))


def quantized() -> None:
    storages: list[tuple[Storage, int]] = [("int8", 0), ("fp8", 0)]
    for storage, group in [*storages, ("int4", 32), ("int4", 64), ("int4", 128)]:
        linear = QuantizedLinear(quantize(zeros(256, 1024), storage, group))
        for rows in (1, 64, 100, 512):
            linear(zeros(rows, 1024))
            linear.add_to(zeros(rows, 256), zeros(rows, 1024), zeros(256))
        linear.rows(zeros(2, dtype=torch.int64), torch.bfloat16)
    codes = zeros(256, 1024, dtype=torch.float8_e4m3fn)
    for scales in (zeros(256, 1), zeros(2, 8), zeros(1)):
        stored = from_float8(float8_weight(codes, scales))
        for rows in (1, 100):
            QuantizedLinear(stored)(zeros(rows, 1024))
    for dtype in (torch.bfloat16, torch.float32):
        fixed = QuantizedLinear(as_it_is(zeros(256, 1024, dtype=dtype)), fixed=True)
        fixed(zeros(100, 1024, dtype=dtype))
        fixed(zeros(100, 1024, dtype=dtype), dtype=torch.float32)


def moe() -> None:
    weights = zeros(8, 512, 256), zeros(8, 256, 256)
    for quantization in ("none", "int8", "fp8", "int4", "int4-128", "deterministic"):
        fixed = quantization == "deterministic"
        ops = TritonOps("none" if fixed else quantization, deterministic=fixed)
        experts = ops.pack_experts(zip(*weights, strict=True))
        for tokens in (1, 4096):
            ids, shares = zeros(tokens, 2, dtype=torch.int64), zeros(tokens, 2, dtype=torch.float32)
            experts.add_to(zeros(tokens, 256), zeros(tokens, 256), ids, shares)


if __name__ == "__main__":
    for case in sys.argv[1:]:
        with compiling() as compiled:
            {f.__name__: f for f in (attention, elementwise, sampling, quantized, moe)}[case]()
        print(case, "compiled", *compiled, sep="\n  ")
