"""Logits as sampling sees them: penalties, bias and token mask; and the columns of a row's inputs.

Called by `sampling.py`, which passes the tensors that `sampler.py` fills. What is applied is
decided row by row on the device, so a captured graph serves every mix of requests.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Columns of `numbers: float32 [rows, WIDTH]` and `integers: int64 [rows, WIDTH]`.
WIDTH = tl.constexpr(8)
TEMPERATURE, TOP_P, MIN_P, REPETITION, FREQUENCY, PRESENCE = map(tl.constexpr, range(6))
# SEEN and MASK: a row of `seen` and of `masks`, negative for none. Biases: FIRST to LAST.
SEED, POSITION, TOP_K, SEEN, MASK, FIRST_BIAS, LAST_BIAS = map(tl.constexpr, range(7))


@triton.jit
def scores_of(
    ids, inside, row, logits, row_stride, numbers, integers, seen, masks, bias_ids, biases, vocab
):
    """float32 scores of the tokens `ids` in `row`: -inf outside and where a mask excludes, +inf
    where the model gave NaN.

    seen: int32 [slots, vocab], twice the number of times a token was generated, plus one where the
    prompt has it. masks: int32 [masks, ceil(vocab / 32)], token i in bit i % 32 of word i // 32.
    """
    numbers += row * WIDTH
    integers += row * WIDTH
    score = tl.load(logits + row * row_stride + ids, mask=inside, other=-float("inf"))
    score = score.to(tl.float32)
    slot = tl.load(integers + SEEN)
    if slot >= 0:
        times = tl.load(seen + slot * vocab + ids, mask=inside, other=0)
        generated = (times >> 1).to(tl.float32)
        repetition = tl.load(numbers + REPETITION)
        repeated = tl.where(score > 0, score / repetition, score * repetition)
        score = tl.where(times > 0, repeated, score)
        score -= tl.load(numbers + FREQUENCY) * generated
        score -= tl.where(generated > 0, tl.load(numbers + PRESENCE), 0.0)
    for i in range(tl.load(integers + FIRST_BIAS), tl.load(integers + LAST_BIAS)):
        score += tl.where(ids == tl.load(bias_ids + i), tl.load(biases + i), 0.0)
    mask = tl.load(integers + MASK)
    if mask >= 0:
        word = tl.load(masks + mask * ((vocab + 31) // 32) + ids // 32, mask=inside, other=0)
        score = tl.where((word >> (ids % 32)) & 1 != 0, score, -float("inf"))
    return tl.where(score == score, score, float("inf"))
