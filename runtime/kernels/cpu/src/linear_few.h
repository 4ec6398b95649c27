// Linear layers with int4 weights and so few rows that unpacking the weight would cost more than
// meeting it: products of bytes (AVX512-VNNI), sixteen outputs at a time; for amx.h.
#pragma once

#include <immintrin.h>

#include "kernels.h"
#include "linear.h"
#include "vec.h"

namespace {

constexpr int kByteRows = 4;

inline bool has_few_rows(const Linear& a) { return a.storage == kInt4 && a.rows <= kByteRows; }

// A row: its integers as bytes, and for each group -8 times their sum, since codes are stored plus 8.
// Where x is not finite they are any, and overflow.
inline int64_t bytes_of_few_row(const Linear& a) {
    return padded_inputs(a) + groups_of(a) * int64_t(sizeof(uint32_t));
}

inline int64_t few_rows_bytes(const Linear& a) { return a.rows * bytes_of_few_row(a); }

inline int8_t* few_row(const Linear& a, int64_t row) {
    return static_cast<int8_t*>(a.packed_x) + row * bytes_of_few_row(a);
}

inline uint32_t* group_starts(const Linear& a, int64_t row) {
    return reinterpret_cast<uint32_t*>(few_row(a, row) + padded_inputs(a));
}

template <class T>
inline void pack_few_row(const Linear& a, int64_t row) {
    int8_t* to = few_row(a, row);
    uint32_t* starts = group_starts(a, row);
    std::memset(starts, 0, size_t(groups_of(a)) * sizeof *starts);
    round_row<T>(a, row, [&](int i, vi whole) {
        starts[i / a.group] -= 8u * uint32_t(_mm512_reduce_add_epi32((__m512i)whole));
        // The low nibbles of a word's bytes are inputs 0, 4, 1, 5, the high ones 2, 6, 3, 7.
        const vi order = {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
        store_bytes(to + i, (vi)_mm512_permutexvar_epi32((__m512i)order, (__m512i)whole));
    });
}

inline __m512i four_bytes(const int8_t* x) {
    int32_t bytes;
    std::memcpy(&bytes, x, sizeof bytes);
    return _mm512_set1_epi32(bytes);
}

// R rows x C blocks of 16 outputs.
template <class T, int R, int C>
inline void few_outputs(const Linear& a, int block) {
    const int padded = padded_inputs(a), groups = groups_of(a);
    const int64_t next_block = int64_t(padded) * 8;
    const char* w = static_cast<const char*>(a.weight) + block * next_block;
    const bf16* scales = static_cast<const bf16*>(a.scales) + int64_t(block) * groups * 16;
    const __m512i low = _mm512_set1_epi8(15);
    const int8_t* x[R];
    const uint32_t* starts[R];
    for (int r = 0; r < R; ++r) x[r] = few_row(a, r), starts[r] = group_starts(a, r);
    vf totals[R][C] = {};
    for (int g = 0; g < groups; ++g) {
        __m512i sums[R][C];
        for (int r = 0; r < R; ++r)
            for (int c = 0; c < C; ++c) sums[r][c] = _mm512_set1_epi32(int32_t(starts[r][g]));
        for (int i = g * a.group; i < (g + 1) * a.group; i += 8) {
            for (int c = 0; c < C; ++c) {
                const __m512i words = _mm512_loadu_si512(w + c * next_block + int64_t(i) * 8);
                const __m512i first = _mm512_and_si512(words, low);
                const __m512i second = _mm512_and_si512(_mm512_srli_epi16(words, 4), low);
                for (int r = 0; r < R; ++r) {
                    sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], first, four_bytes(x[r] + i));
                    sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], second, four_bytes(x[r] + i + 4));
                }
            }
        }
        for (int c = 0; c < C; ++c) {
            const vf scale = load(scales + (int64_t(c) * groups + g) * 16);
            for (int r = 0; r < R; ++r)
                totals[r][c] += __builtin_convertvector((vi)sums[r][c], vf) *
                                (scale * a.x_scales[int64_t(r) * groups + g]);
        }
    }
    for (int c = 0; c < C; ++c) {
        float results[R * 16];
        for (int r = 0; r < R; ++r) store(results + r * 16, totals[r][c]);
        put_sums<T>(a, results, R, 0, (block + c) * 16);
    }
}

template <class T, int R>
inline void few_rows(const Linear& a, int begin, int end) {
    for (int pair = begin; pair < end; ++pair) {
        if (pair * 32 + 16 < a.outputs)
            few_outputs<T, R, 2>(a, 2 * pair);
        else
            few_outputs<T, R, 1>(a, 2 * pair);
    }
}

// For the pairs [begin, end) of blocks of 16 outputs.
template <class T>
inline void linear_few_rows(const Linear& a, int begin, int end) {
    static void (*const by_rows[kByteRows])(const Linear&, int, int) = {
        few_rows<T, 1>, few_rows<T, 2>, few_rows<T, 3>, few_rows<T, 4>};
    by_rows[a.rows - 1](a, begin, end);
}

}  // namespace
