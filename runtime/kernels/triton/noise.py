"""The random numbers of device sampling, as functions of request, position and token.

Called by `sampling.py`. Philox (Salmon et al., SC'11) is a cipher of counters: the same request
draws the same token at the same position, whatever else is in the batch, and a token's number can
be computed again where it is needed instead of being stored.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def exponential(bits):
    """Exponentially distributed float32 from uniform uint32: -log(1 - u), exact to its smallest
    values, on which an unlikely token's chance depends."""
    uniform = (bits.to(tl.float32) + 0.5) * 2.3283064365386963e-10
    uniform = tl.minimum(uniform, 0.99999994)
    series = uniform + uniform * uniform * (0.5 + uniform * 0.3333333333333333)
    return tl.where(uniform < 0.0078125, series, -tl.log(1.0 - uniform))


@triton.jit
def of_block(seed, position, first, BLOCK: tl.constexpr):
    """The numbers of the tokens first .. first + BLOCK - 1; `first` is a multiple of 4."""
    word = first // 4 + tl.arange(0, BLOCK // 4)
    zero = word * 0
    a, b, c, d = tl.philox(seed, word, zero + position, zero, zero)
    bits = tl.interleave(tl.interleave(a, c), tl.interleave(b, d))
    return exponential(bits)


@triton.jit
def of_tokens(seed, position, ids):
    """The numbers of the tokens `ids`: the same as `of_block` gives them."""
    zero = ids * 0
    a, b, c, d = tl.philox(seed, ids // 4, zero + position, zero, zero)
    lane = ids % 4
    bits = tl.where(lane < 2, tl.where(lane == 0, a, b), tl.where(lane == 2, c, d))
    return exponential(bits)
