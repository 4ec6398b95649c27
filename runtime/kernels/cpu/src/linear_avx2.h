// Linear layers with quantized weights on AVX2, for any number of rows; for level.cpp. It has products of
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

// The results of R rows with C blocks of 16 outputs, `apart` blocks from each other. One factor has no sign:
// it is x's that goes to the weights, both being -127 to 127, as two products of up to 255 times 127 would
// not fit into 16 bits.
template <int R, int C>
inline void add_int8(const Linear& a, int64_t row, int block, int apart, float (*results)[R * 16]) {
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
                    const char* words = w + c * apart * strip + v * 32;
                    const __m256i weights = _mm256_sign_epi8(load_bytes(words), of_row);
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
                          (scale_of_outputs<kInt8>(a, block + c * apart, 0, v * 8) * a.x_scales[row + r]));
}

// Adds the products of a span. Of int4's, 0 to 15, eight pairs fit into 16 bits, of int6's, 0 to 63, two.
// What a later span has is asked for.
template <int STORAGE, int R, int C>
inline void add_span(const char* span, int64_t next_block, const int8_t* x, int64_t stride,
                     __m256i (&sums)[R][C][2]) {
    constexpr int kAheadBytes = 1024;
    const __m256i low_bits = _mm256_set1_epi8(15), high_bits = _mm256_set1_epi8(48);
    __m256i pairs[R][C][2] = {};
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n, x += 8) {
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) {
            const char* words = span + c * next_block + n * 64;
            const char* high_begin = span + c * next_block + high_words(n);
            _mm_prefetch(words + kAheadBytes, _MM_HINT_T0);
            if (STORAGE == kInt6 && n % 2 == 0) _mm_prefetch(high_begin + kAheadBytes, _MM_HINT_T0);
#pragma GCC unroll 2
            for (int v = 0; v < 2; ++v) {
                __m256i both = load_bytes(words + v * 32);
                __asm__("" : "+x"(both));  // once: the compiler would load it for each use
                __m256i first = _mm256_and_si256(both, low_bits);
                __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low_bits);
                if constexpr (STORAGE == kInt6) {
                    const __m256i high = load_bytes(high_begin + v * 32);
                    const __m256i to_first = n % 2 == 0 ? _mm256_slli_epi16(high, 4) : high;
                    const __m256i to_second =
                        n % 2 == 0 ? _mm256_slli_epi16(high, 2) : _mm256_srli_epi16(high, 2);
                    first = _mm256_or_si256(first, _mm256_and_si256(to_first, high_bits));
                    second = _mm256_or_si256(second, _mm256_and_si256(to_second, high_bits));
                }
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) {
                    const int8_t* eight = x + r * stride;
                    const __m256i of_first = _mm256_maddubs_epi16(first, four_inputs(eight));
                    const __m256i of_second = _mm256_maddubs_epi16(second, four_inputs(eight + 4));
                    if constexpr (STORAGE == kInt6) {
                        const __m256i both_pairs = _mm256_add_epi16(of_first, of_second);
                        sums[r][c][v] = _mm256_add_epi32(sums[r][c][v], add_pairs(both_pairs));
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
            for (int v = 0; v < 2; ++v)
                sums[r][c][v] = _mm256_add_epi32(sums[r][c][v], add_pairs(pairs[r][c][v]));
}

template <int STORAGE, int R, int C>
inline void add_groups(const Linear& a, int64_t row, int block, int apart, float (*results)[R * 16]) {
    const int groups = groups_of(a);
    const int64_t strip = int64_t(padded_inputs(a)) / 32 * kSpanBytes<STORAGE>;
    const int64_t scales_strip = groups * int64_t(16);
    const int64_t stride = bytes_of_few_row(a);
    const char* w = static_cast<const char*>(a.weight) + block * strip;
    const bf16* scales = static_cast<const bf16*>(a.scales) + block * scales_strip;
    const int8_t* x = few_row(a, row);
    const char* starts = reinterpret_cast<const char*>(group_starts(a, row));
    const float* x_scales = a.x_scales + row * groups;
    vf totals[R][C][2] = {};
    for (int group = 0; group < groups; ++group) {
        __m256i sums[R][C][2];
        for (int r = 0; r < R; ++r)
            for (auto& of_block : sums[r]) of_block[0] = of_block[1] = four_inputs(starts + r * stride);
        for (int i = 0; i < a.group; i += 32, w += kSpanBytes<STORAGE>, x += 32)
            add_span<STORAGE, R, C>(w, apart * strip, x, stride, sums);
        for (int c = 0; c < C; ++c) {
            for (int v = 0; v < 2; ++v) {
                const vf scale = load(scales + c * apart * scales_strip + v * 8);
                for (int r = 0; r < R; ++r)
                    totals[r][c][v] += __builtin_convertvector((vi)sums[r][c][v], vf) *
                                       (scale * x_scales[r * groups]);
            }
        }
        scales += 16, starts += sizeof(uint32_t), ++x_scales;
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c)
            for (int v = 0; v < 2; ++v) store(results[c] + r * 16 + v * 8, totals[r][c][v]);
}

// The rows from `row` on, R at a time while there are so many.
template <int R, int C>
inline void bytes_of_rows(const Linear& a, int64_t row, int block, int apart) {
    for (; row + R <= a.rows; row += R) {
        float results[C][R * 16];
        const auto add = a.storage == kInt8   ? add_int8<R, C>
                         : a.storage == kInt4 ? add_groups<kInt4, R, C>
                                              : add_groups<kInt6, R, C>;
        add(a, row, block, apart, results);
        for (int c = 0; c < C; ++c) put_sums_any(a, results[c], R, row, (block + c * apart) * 16);
    }
    if constexpr (R > 1)
        if (row < a.rows) bytes_of_rows<R - 1, C>(a, row, block, apart);
}

// For the blocks [block, end): C of them with R rows at a time, as their sums have to fit into registers.
template <int R, int C>
inline void bytes_of_blocks(const Linear& a, int block, int end) {
    block = in_streams<C>(block, end, [&](int first, int apart) {
        bytes_of_rows<R, C>(a, 0, first, apart);
    });
    if constexpr (C > 1) bytes_of_blocks<R, C / 2>(a, block, end);
}

// For the pairs [begin, end) of blocks of 16 outputs.
inline void linear_of_bytes(const Linear& a, int begin, int end) {
    const auto run = a.rows > 2             ? bytes_of_blocks<4, 1>
                     : a.rows == 2          ? bytes_of_blocks<2, 2>
                     : a.storage == kInt8   ? bytes_of_blocks<1, 4>
                                            : bytes_of_blocks<1, 2>;
    run(a, 2 * begin, std::min(2 * end, (a.outputs + 15) / 16));
}

}  // namespace
