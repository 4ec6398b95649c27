"""The matrix product of two tiles; called by the kernels of linear layers and attention."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

# The interpreter multiplies the bits of bfloat16, not the numbers.
_WIDENS = tl.constexpr(bool(triton.knobs.runtime.interpret))

# Of products of float32: nearly exact on NVIDIA's tensor cores, where "ieee" would do without them.
_PRECISION = tl.constexpr("ieee" if torch.version.hip else "tf32x3")


@triton.jit
def dot(a, b, total):
    """total + a b^T in float32. a: [m, k], b: [n, k], of one type; m, n and k at least 16."""
    if _WIDENS:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, tl.trans(b), total, input_precision=_PRECISION)


@triton.jit
def put(total, m, n, bias, out, rows, outputs, HAS_BIAS: tl.constexpr, ADDS: tl.constexpr):
    """Store `total`, or add it to what `out` holds, rounded once."""
    inside = (m < rows)[:, None] & (n < outputs)[None, :]
    if HAS_BIAS:
        total += tl.load(bias + n, mask=n < outputs, other=0.0).to(tl.float32)[None, :]
    here = out + m[:, None].to(tl.int64) * outputs + n[None, :]
    if ADDS:
        total += tl.load(here, mask=inside, other=0.0).to(tl.float32)
    tl.store(here, total.to(out.dtype.element_ty), mask=inside)
