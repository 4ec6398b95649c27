// Linear layers with quantized weights on AVX2 and AVX-512, for any number of rows; for level.cpp. They have
// products of bytes, two of them added in 16 bits: four times as many at once as of floats, and nothing to
// convert.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "linear_bytes.h"

namespace {

// --- vectors of bytes ----------------------------------------------------------------------------

typedef uint16_t vw __attribute__((vector_size(BL_VECTOR_BYTES)));

// Vectors of the same four inputs of 16 outputs.
constexpr int kVectors = 16 / W;

#if BL_VECTOR_BYTES == 64
inline vu magnitude(vu bytes) { return (vu)_mm512_abs_epi8((__m512i)bytes); }

// Where x is negative, bytes with the other sign.
inline vu signed_as(vu bytes, vu x) {
    const __mmask64 negative = _mm512_movepi8_mask((__m512i)x);
    return (vu)_mm512_mask_sub_epi8((__m512i)bytes, negative, _mm512_setzero_si512(), (__m512i)bytes);
}

// Bytes without a sign times bytes with one, two products added.
inline vw products(vu bytes, vu x) { return (vw)_mm512_maddubs_epi16((__m512i)bytes, (__m512i)x); }

// Pairs of 16 bits as one of 32.
inline vu add_pairs(vw pairs) {
    return (vu)_mm512_madd_epi16((__m512i)pairs, _mm512_set1_epi16(1));
}
#else
inline vu magnitude(vu bytes) { return (vu)_mm256_abs_epi8((__m256i)bytes); }
inline vu signed_as(vu bytes, vu x) { return (vu)_mm256_sign_epi8((__m256i)bytes, (__m256i)x); }
inline vw products(vu bytes, vu x) { return (vw)_mm256_maddubs_epi16((__m256i)bytes, (__m256i)x); }
inline vu add_pairs(vw pairs) {
    return (vu)_mm256_madd_epi16((__m256i)pairs, _mm256_set1_epi16(1));
}
#endif

inline void add_in_turn(vw& sum, vw pairs) {
    sum += pairs;
    keep_in_register(sum);
}

// --- products ------------------------------------------------------------------------------------

// The results of R rows with C blocks of 16 outputs, `apart` blocks from each other. One factor has no sign:
// it is x's that goes to the weights, both being -127 to 127, as two products of up to 255 times 127 would
// not fit into 16 bits.
template <int R, int C>
__attribute__((noinline)) void add_int8(const Linear& a, int64_t row, int block, int apart,
                                        float (*results)[R * 16]) {
    const int padded = padded_inputs(a);
    const int64_t strip = int64_t(padded) * 16;
    const char* w = static_cast<const char*>(a.weight) + block * strip;
    const int8_t* x = few_row(a, row);
    const int64_t stride = bytes_of_few_row(a);
    vu sums[R][C][kVectors] = {};
    for (int i = 0; i < padded; i += 4, w += 64) {
        for (int r = 0; r < R; ++r) {
            const vu of_row = four_inputs(x + r * stride + i), without_sign = magnitude(of_row);
            for (int c = 0; c < C; ++c) {
                for (int v = 0; v < kVectors; ++v) {
                    const vu weights = load_bytes(w + c * apart * strip + v * BL_VECTOR_BYTES);
                    sums[r][c][v] += add_pairs(products(without_sign, signed_as(weights, of_row)));
                }
            }
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c)
            for (int v = 0; v < kVectors; ++v)
                store(results[c] + r * 16 + v * W,
                      __builtin_convertvector((vi)sums[r][c][v], vf) *
                          (scale_of_outputs<kInt8>(a, block + c * apart, 0, v * W) * a.x_scales[row + r]));
}

// Adds the products of a span. Of int4's, 0 to 15, eight pairs fit into 16 bits, of int6's, 0 to 63, two.
// What a later span has is asked for.
template <int STORAGE, int R, int C>
inline void add_span(const char* span, int64_t next_block, const int8_t* x, int64_t stride,
                     vu (&sums)[R][C][kVectors]) {
    constexpr int kAheadBytes = 1024;
    vw pairs[R][C][kVectors] = {};
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n, x += 8) {
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) {
            const char* words = span + c * next_block + n * 64;
            const char* high_begin = span + c * next_block + high_words(n);
            _mm_prefetch(words + kAheadBytes, _MM_HINT_T0);
            if (STORAGE == kInt6 && n % 2 == 0) _mm_prefetch(high_begin + kAheadBytes, _MM_HINT_T0);
#pragma GCC unroll 2
            for (int v = 0; v < kVectors; ++v) {
                const Eight weights = eight_inputs<STORAGE>(span + c * next_block, n, v);
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) {
                    const int8_t* eight = x + r * stride;
                    const vw of_first = products(weights.first, four_inputs(eight));
                    const vw of_second = products(weights.second, four_inputs(eight + 4));
                    if constexpr (STORAGE == kInt6) {
                        sums[r][c][v] += add_pairs(of_first + of_second);
                    } else {
                        add_in_turn(pairs[r][c][v], of_first);
                        add_in_turn(pairs[r][c][v], of_second);
                    }
                }
            }
        }
    }
    for (int r = 0; STORAGE == kInt4 && r < R; ++r)
        for (int c = 0; c < C; ++c)
            for (int v = 0; v < kVectors; ++v) sums[r][c][v] += add_pairs(pairs[r][c][v]);
}

template <int STORAGE, int R, int C>
__attribute__((noinline)) void add_groups(const Linear& a, int64_t row, int block, int apart,
                                          float (*results)[R * 16]) {
    const int groups = groups_of(a);
    const int64_t strip = int64_t(padded_inputs(a)) / 32 * kSpanBytes<STORAGE>;
    const int64_t scales_strip = groups * int64_t(16);
    const int64_t stride = bytes_of_few_row(a);
    const char* w = static_cast<const char*>(a.weight) + block * strip;
    const bf16* scales = static_cast<const bf16*>(a.scales) + block * scales_strip;
    const int8_t* x = few_row(a, row);
    const char* starts = reinterpret_cast<const char*>(group_starts(a, row));
    const float* x_scales = a.x_scales + row * groups;
    vf totals[R][C][kVectors] = {};
    for (int group = 0; group < groups; ++group) {
        vu sums[R][C][kVectors];
        for (int r = 0; r < R; ++r)
            for (auto& of_block : sums[r])
                for (vu& sum : of_block) sum = four_inputs(starts + r * stride);
        for (int i = 0; i < a.group; i += 32, w += kSpanBytes<STORAGE>, x += 32)
            add_span<STORAGE, R, C>(w, apart * strip, x, stride, sums);
        for (int c = 0; c < C; ++c) {
            for (int v = 0; v < kVectors; ++v) {
                const vf scale = load(scales + c * apart * scales_strip + v * W);
                for (int r = 0; r < R; ++r)
                    totals[r][c][v] += __builtin_convertvector((vi)sums[r][c][v], vf) *
                                       (scale * x_scales[r * groups]);
            }
        }
        scales += 16, starts += sizeof(uint32_t), ++x_scales;
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c)
            for (int v = 0; v < kVectors; ++v) store(results[c] + r * 16 + v * W, totals[r][c][v]);
}

// The rows from `row` on, R at a time while there are so many.
template <int STORAGE, int R, int C>
inline void pairs_of_rows(const Linear& a, int64_t row, int block, int apart) {
    for (; row + R <= a.rows; row += R) {
        float results[C][R * 16];
        if constexpr (STORAGE == kInt8)
            add_int8<R, C>(a, row, block, apart, results);
        else
            add_groups<STORAGE, R, C>(a, row, block, apart, results);
        for (int c = 0; c < C; ++c) put_sums_any(a, results[c], R, row, (block + c * apart) * 16);
    }
    if constexpr (R > 1)
        if (row < a.rows) pairs_of_rows<STORAGE, R - 1, C>(a, row, block, apart);
}

// For the blocks [block, end): C of them with R rows at a time, as their sums have to fit into registers.
template <int STORAGE, int R, int C>
inline void pairs_of_blocks(const Linear& a, int block, int end) {
    block = in_streams<C>(block, end, [&](int first, int apart) {
        pairs_of_rows<STORAGE, R, C>(a, 0, first, apart);
    });
    if constexpr (C > 1) pairs_of_blocks<STORAGE, R, C / 2>(a, block, end);
}

// For the pairs [begin, end) of blocks of 16 outputs.
template <int STORAGE>
inline void linear_of_pairs(const Linear& a, int begin, int end) {
    constexpr int more = 2 / kVectors;  // blocks in as many registers
    const auto run = a.rows > 2    ? pairs_of_blocks<STORAGE, 4, more>
                     : a.rows == 2 ? pairs_of_blocks<STORAGE, 2, 2 * more>
                                   : pairs_of_blocks<STORAGE, 1, (STORAGE == kInt8 ? 4 : 2) * more>;
    run(a, 2 * begin, std::min(2 * end, (a.outputs + 15) / 16));
}

}  // namespace
