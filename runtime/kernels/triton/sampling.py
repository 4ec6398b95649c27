"""From logits to one token per row without leaving the device; launched by `sampler.py`.

A token is the maximum of score / temperature plus Gumbel noise, which is the same as the least of
independent exponential variables with the probabilities as rates. What top-k, top-p and min-p
exclude is found without a sort: a bound that is cheap and safe keeps few tokens of the vocabulary
as candidates, and bisection over the bits of their probabilities finds the exact limits.

Four kernels: `_draw` reads the logits once; `_settle` ends rows without truncation; `_gather`
collects candidates; `_choose` draws among them. Weights are exp(score / temperature - highest):
1 for the likeliest token, so that as int32 their bits order like their values.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .noise import of_block, of_tokens
from .scores import MIN_P, POSITION, SEED, TEMPERATURE, TOP_K, TOP_P, WIDTH, scores_of

# What stands in place of a token (`runtime/sampling/sample.py`): no token is allowed, or the logits
# are not finite.
NOTHING_ALLOWED = tl.constexpr(-1)
NOT_FINITE = tl.constexpr(-2)

# The bits of 1.0, the largest weight.
_ONE = tl.constexpr(0x3F800000)
# No weight reaches this: nothing is gathered in the row.
_NO_CANDIDATES = tl.constexpr(2.0)
# Sums of weights are integers of this unit, 2^-40: they do not depend on the order of summation,
# and hold 2^18 tokens with room to spare.
_UNITS = tl.constexpr(1099511627776.0)


@triton.jit
def _truncates(numbers, integers, row):
    """Whether the row draws among some of the tokens only."""
    top_k = tl.load(integers + row * WIDTH + TOP_K)
    top_p = tl.load(numbers + row * WIDTH + TOP_P)
    min_p = tl.load(numbers + row * WIDTH + MIN_P)
    drawn = tl.load(numbers + row * WIDTH + TEMPERATURE) > 0
    return drawn & ((top_k > 0) | (top_p < 1.0) | (min_p > 0.0))


@triton.jit
def draw_kernel(
    logits,
    row_stride,
    numbers,
    integers,
    seen,
    masks,
    bias_ids,
    biases,
    highest,
    totals,
    best,
    best_ids,
    vocab,
    chunks,
    BLOCK: tl.constexpr,
):
    """Of each chunk of the vocabulary: the highest score, the sum of weights relative to it, and
    the token that wins there if none is excluded."""
    row = tl.program_id(0).to(tl.int64)
    chunk = tl.program_id(1)
    ids = chunk * BLOCK + tl.arange(0, BLOCK)
    score = scores_of(
        ids,
        ids < vocab,
        row,
        logits,
        row_stride,
        numbers,
        integers,
        seen,
        masks,
        bias_ids,
        biases,
        vocab,
    )
    temperature = tl.load(numbers + row * WIDTH + TEMPERATURE)
    raced = score
    total = 0.0
    if temperature > 0:
        score = score / temperature
        top = tl.max(score, 0)
        total = tl.sum(tl.exp(score - tl.where(top == -float("inf"), 0.0, top)), 0)
        raced = score
        if not _truncates(numbers, integers, row):
            seed = tl.load(integers + row * WIDTH + SEED)
            position = tl.load(integers + row * WIDTH + POSITION).to(tl.int32)
            raced = score - tl.log(of_block(seed, position, chunk * BLOCK, BLOCK))
    here = row * chunks + chunk
    value, index = tl.max(raced, 0, return_indices=True)
    tl.store(highest + here, tl.max(score, 0))
    tl.store(totals + here, total)
    tl.store(best + here, value)
    tl.store(best_ids + here, chunk * BLOCK + index)


@triton.jit
def _highest(keys, k):
    """The k-th highest of a tile of keys."""
    low = 0
    end = _ONE + 0
    while low < end:
        middle = (low + end) // 2
        enough = tl.sum((keys > middle).to(tl.int32), 0) >= k
        low = tl.where(enough, middle + 1, low)
        end = tl.where(enough, end, middle)
    return low


@triton.jit
def settle_kernel(
    numbers,
    integers,
    highest,
    totals,
    best,
    best_ids,
    tokens,
    tops,
    sums,
    floors,
    counts,
    vocab,
    chunks,
    CHUNKS: tl.constexpr,
):
    """The row's token if nothing truncates, else `floors`: a weight below which no token can stay.
    Also the row's highest score, `tops`, and its sum of weights, `sums`."""
    row = tl.program_id(0).to(tl.int64)
    chunk = tl.arange(0, CHUNKS)
    inside = chunk < chunks
    here = row * chunks + chunk
    high = tl.load(highest + here, mask=inside, other=-float("inf"))
    top = tl.max(high, 0)
    _, winner = tl.max(
        tl.load(best + here, mask=inside, other=-float("inf")), 0, return_indices=True
    )
    token = tl.load(best_ids + row * chunks + winner)
    token = tl.where(top == -float("inf"), NOTHING_ALLOWED, token)
    token = tl.where(top == float("inf"), NOT_FINITE, token)
    tl.store(tokens + row, token.to(tl.int64))

    floor = _NO_CANDIDATES + 0.0
    total = 0.0
    if _truncates(numbers, integers, row) & (token >= 0):
        top_p = tl.load(numbers + row * WIDTH + TOP_P)
        top_k = tl.load(integers + row * WIDTH + TOP_K)
        weights = tl.where(inside, tl.exp(high - top), 0.0)
        total = tl.sum(weights * tl.load(totals + here, mask=inside, other=0.0), 0)
        floor = tl.load(numbers + row * WIDTH + MIN_P)
        if top_p < 1.0:
            # All tokens below this weigh less than the 1 - top_p that may be left out. The 1 %
            # covers rounding.
            floor = tl.maximum(floor, 0.99 * (1.0 - top_p) * total / vocab)
        if (top_k > 0) & (top_k <= chunks):
            # k chunks have a token at least this likely.
            kth = _highest(weights.to(tl.int32, bitcast=True), top_k)
            floor = tl.maximum(floor, kth.to(tl.float32, bitcast=True))
    tl.store(tops + row, top)
    tl.store(sums + row, total)
    tl.store(floors + row, floor)
    tl.store(counts + row, 0)


@triton.jit
def gather_kernel(
    logits,
    row_stride,
    numbers,
    integers,
    seen,
    masks,
    bias_ids,
    biases,
    highest,
    tops,
    floors,
    counts,
    candidates,
    keys,
    vocab,
    chunks,
    BLOCK: tl.constexpr,
):
    """Tokens that weigh at least the row's floor, in `candidates`, with their weights' bits in
    `keys`. Their order is that of the programs' arrival, and nothing depends on it."""
    row = tl.program_id(0).to(tl.int64)
    chunk = tl.program_id(1)
    floor = tl.load(floors + row)
    if floor < _NO_CANDIDATES:
        top = tl.load(tops + row)
        if tl.exp(tl.load(highest + row * chunks + chunk) - top) >= floor:
            ids = chunk * BLOCK + tl.arange(0, BLOCK)
            score = scores_of(
                ids,
                ids < vocab,
                row,
                logits,
                row_stride,
                numbers,
                integers,
                seen,
                masks,
                bias_ids,
                biases,
                vocab,
            )
            weights = tl.exp(score / tl.load(numbers + row * WIDTH + TEMPERATURE) - top)
            stays = (weights >= floor) & (weights > 0)
            ordinal = tl.cumsum(stays.to(tl.int32), 0)
            start = tl.atomic_add(counts + row, tl.sum(stays.to(tl.int32), 0))
            there = row * vocab + start + ordinal - 1
            tl.store(candidates + there, ids, mask=stays)
            tl.store(keys + there, weights.to(tl.int32, bitcast=True), mask=stays)


@triton.jit
def _above(keys, count, key, COUNTS: tl.constexpr, TILE: tl.constexpr):
    """How many of the row's `keys` are above `key`, or else the sum of their weights in units."""
    found = tl.zeros((TILE,), tl.int64)
    for start in range(0, count, TILE):
        place = start + tl.arange(0, TILE)
        bits = tl.load(keys + place, mask=place < count, other=-1)
        if COUNTS:
            found += (bits > key).to(tl.int64)
        else:
            units = (bits.to(tl.float32, bitcast=True) * _UNITS).to(tl.int64)
            found += tl.where(bits > key, units, 0)
    return tl.sum(found, 0)


@triton.jit
def _least(keys, count, low, bound, COUNTS: tl.constexpr, TILE: tl.constexpr):
    """The least key from `low` on above which the keys amount to less than `bound`. Such a least
    is one of the keys, or `low`."""
    end = _ONE + 0
    while low < end:
        middle = (low + end) // 2
        enough = _above(keys, count, middle, COUNTS, TILE) >= bound
        low = tl.where(enough, middle + 1, low)
        end = tl.where(enough, end, middle)
    return low


@triton.jit
def choose_kernel(
    numbers, integers, sums, floors, counts, candidates, keys, tokens, vocab, TILE: tl.constexpr
):
    """The token of a row with candidates: limits of top-k, then top-p, then min-p, then the race
    of those that stay."""
    row = tl.program_id(0).to(tl.int64)
    if tl.load(floors + row) < _NO_CANDIDATES:
        keys += row * vocab
        candidates += row * vocab
        count = tl.load(counts + row)
        top_k = tl.load(integers + row * WIDTH + TOP_K)
        top_p = tl.load(numbers + row * WIDTH + TOP_P)
        limit = 0
        if top_k > 0:
            limit = _least(keys, count, limit, top_k, True, TILE)
        if top_p < 1.0:
            mass = (tl.load(sums + row) * _UNITS).to(tl.int64)
            if top_k > 0:
                mass = _above(keys, count, limit - 1, False, TILE)
            bound = tl.maximum((mass.to(tl.float64) * top_p).to(tl.int64), 1)
            limit = _least(keys, count, limit, bound, False, TILE)
        min_p = tl.load(numbers + row * WIDTH + MIN_P)
        limit = tl.maximum(limit, min_p.to(tl.int32, bitcast=True))

        seed = tl.load(integers + row * WIDTH + SEED)
        position = tl.load(integers + row * WIDTH + POSITION).to(tl.int32)
        best = tl.zeros((TILE,), tl.float32) - 1.0
        best_ids = tl.zeros((TILE,), tl.int32)
        for start in range(0, count, TILE):
            place = start + tl.arange(0, TILE)
            bits = tl.load(keys + place, mask=place < count, other=-1)
            ids = tl.load(candidates + place, mask=place < count, other=0)
            raced = bits.to(tl.float32, bitcast=True) / of_tokens(seed, position, ids)
            raced = tl.where((bits >= limit) & (place < count), raced, -1.0)
            best_ids = tl.where(raced > best, ids, best_ids)
            best = tl.maximum(raced, best)
        highest = tl.max(best, 0)
        token = tl.min(tl.where(best == highest, best_ids, vocab), 0)
        tl.store(tokens + row, token.to(tl.int64))
