// Linear layers with int8 or int4 weights on AVX2, for any number of rows; for level.cpp. It has products of
// bytes, two of them added in 16 bits: four times as many at once as of floats, and nothing to convert.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "linear_bytes.h"

namespace {

inline __m256i load_bytes(const char* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Four inputs of a row, for each output.
inline __m256i four_inputs(const void* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof four);
    return _mm256_set1_epi32(four);
}

// Pairs of 16 bits as one of 32.
inline __m256i add_pairs(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

// The compiler would rather add all products as a tree, and not have the registers for it.
inline void add_in_turn(__m256i& sum, __m256i pairs) {
    sum = _mm256_add_epi16(sum, pairs);
    __asm__("" : "+x"(sum));
}

// The results of R rows with C blocks of 16 outputs. One factor has no sign: it is x's that goes to the
// weights, both being -127 to 127, as two products of up to 255 times 127 would not fit into 16 bits.
template <int R, int C>
inline void add_int8(const Linear& a, int64_t row, int block, float (*results)[R * 16]) {
    const int padded = padded_inputs(a);
    const int64_t strip = int64_t(padded) * 16;
    const char* w = static_cast<const char*>(a.weight) + block * strip;
    const int8_t* x = few_row(a, row);
    const int64_t stride = bytes_of_few_row(a);
    __m256i sums[R][C][2] = {};
    for (int i = 0; i < padded; i += 4, w += 64) {
        for (int r = 0; r < R; ++r) {
            const __m256i of_row = four_inputs(x + r * stride + i), magnitude = _mm256_abs_epi8(of_row);
            for (int c = 0; c < C; ++c) {
                for (int v = 0; v < 2; ++v) {
                    const __m256i weights = _mm256_sign_epi8(load_bytes(w + c * strip + v * 32), of_row);
                    const __m256i pairs = _mm256_maddubs_epi16(magnitude, weights);
                    sums[r][c][v] = _mm256_add_epi32(sums[r][c][v], add_pairs(pairs));
                }
            }
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c)
            for (int v = 0; v < 2; ++v)
                store(results[c] + r * 16 + v * 8,
                      __builtin_convertvector((vi)sums[r][c][v], vf) *
                          (scale_of_outputs<kInt8>(a, block + c, 0, v * 8) * a.x_scales[row + r]));
}

// Adds a group's products, for eight outputs, whose first words are at `words`. Of 32 inputs, a span, all
// eight pairs fit into 16 bits, as weights are 0 to 15.
template <int R>
inline void add_group(const char* words, const int8_t* x, int64_t stride, int spans, __m256i (&sums)[R]) {
    const __m256i low = _mm256_set1_epi8(15);
    for (int span = 0; span < spans; ++span, words += 32 * 8, x += 32) {
        __m256i pairs[R] = {};
#pragma GCC unroll 4
        for (int n = 0; n < 4; ++n) {
            const __m256i both = load_bytes(words + n * 64);
            const __m256i first = _mm256_and_si256(both, low);
            const __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) {
                const int8_t* eight = x + r * stride + n * 8;
                add_in_turn(pairs[r], _mm256_maddubs_epi16(first, four_inputs(eight)));
                add_in_turn(pairs[r], _mm256_maddubs_epi16(second, four_inputs(eight + 4)));
            }
        }
        for (int r = 0; r < R; ++r) sums[r] = _mm256_add_epi32(sums[r], add_pairs(pairs[r]));
    }
}

template <int R, int C>
inline void add_int4(const Linear& a, int64_t row, int block, int end,
                     float (*results)[R * 16]) {
    const int groups = groups_of(a), spans = a.group / 32;
    const int64_t strip = int64_t(padded_inputs(a)) * 8, scales_strip = groups * int64_t(16);
    const int64_t stride = bytes_of_few_row(a), word_bytes = a.group * int64_t(8);
    const char* w = static_cast<const char*>(a.weight) + block * strip;
    const Strips<C> strips(a.weight, strip, block, end);
    const bf16* scales = static_cast<const bf16*>(a.scales) + block * scales_strip;
    const int8_t* x = few_row(a, row);
    const char* starts = reinterpret_cast<const char*>(group_starts(a, row));
    const float* x_scales = a.x_scales + row * groups;
    vf totals[R][C][2] = {};
    for (int group = 0; group < groups; ++group) {
        if (row == 0)
            for (int64_t line = 0; line < word_bytes; line += 64) strips.ask(group * word_bytes + line);
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) {
#pragma GCC unroll 2
            for (int v = 0; v < 2; ++v) {
                __m256i sums[R];
                for (int r = 0; r < R; ++r) sums[r] = four_inputs(starts + r * stride);
                add_group<R>(w + c * strip + v * 32, x, stride, spans, sums);
                const vf scale = load(scales + c * scales_strip + v * 8);
                for (int r = 0; r < R; ++r)
                    totals[r][c][v] += __builtin_convertvector((vi)sums[r], vf) *
                                       (scale * x_scales[r * groups]);
            }
        }
        w += word_bytes, x += a.group, scales += 16, starts += sizeof(uint32_t), ++x_scales;
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c)
            for (int v = 0; v < 2; ++v) store(results[c] + r * 16 + v * 8, totals[r][c][v]);
}

// The rows from `row` on, R at a time while there are so many; `end`: of the blocks that come after these.
template <int R, int C>
inline void bytes_of_rows(const Linear& a, int64_t row, int block, int end) {
    for (; row + R <= a.rows; row += R) {
        float results[C][R * 16];
        a.storage == kInt8 ? add_int8<R, C>(a, row, block, results)
                           : add_int4<R, C>(a, row, block, end, results);
        for (int c = 0; c < C; ++c) put_sums_any(a, results[c], R, row, (block + c) * 16);
    }
    if constexpr (R > 1)
        if (row < a.rows) bytes_of_rows<R - 1, C>(a, row, block, end);
}

// For the blocks [block, end): C of them with R rows at a time, as their sums have to fit into registers.
template <int R, int C>
inline void bytes_of_blocks(const Linear& a, int block, int end) {
    for (; block + C <= end; block += C) bytes_of_rows<R, C>(a, 0, block, end);
    if constexpr (C > 1) bytes_of_blocks<R, C / 2>(a, block, end);
}

// For the pairs [begin, end) of blocks of 16 outputs.
inline void linear_of_bytes(const Linear& a, int begin, int end) {
    const auto run = a.rows == 1   ? bytes_of_blocks<1, 4>
                     : a.rows == 2 ? bytes_of_blocks<2, 2>
                                   : bytes_of_blocks<4, 1>;
    run(a, 2 * begin, std::min(2 * end, (a.outputs + 15) / 16));
}

}  // namespace
