// Inputs of linear layers with quantized weights as bytes, row by row, for products of bytes; for
// linear_few.h and linear_avx2.h.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "linear.h"

namespace {

// 32 inputs of int4 or int6, of 16 outputs.
template <int STORAGE>
constexpr int kSpanBytes = STORAGE == kInt4 ? 256 : 384;

// Begin of the words with the high bits of int6 in a span, for the n-th of those with the low ones.
constexpr int high_words(int n) { return 256 + n / 2 * 64; }

// What is added to weights so that they are bytes without a sign: int4 and int6 are stored so. AVX2's products of
// int8 (linear_avx2.h) want them as they are.
inline uint32_t added_to_weights(const Linear& a) {
    return a.storage == kInt4 ? 8 : a.storage == kInt6 ? 32 : W == 16 ? 128 : 0;
}

// A row: its integers as bytes, and for each group what their sum begins with, so that it is one of
// weights to which nothing was added. Where x is not finite they are any, and overflow.
inline int64_t bytes_of_few_row(const Linear& a) {
    return padded_inputs(a) + groups_of(a) * int64_t(sizeof(uint32_t));
}

inline int8_t* few_row(const Linear& a, int64_t row) {
    return static_cast<int8_t*>(a.packed_x) + row * bytes_of_few_row(a);
}

inline uint32_t* group_starts(const Linear& a, int64_t row) {
    return reinterpret_cast<uint32_t*>(few_row(a, row) + padded_inputs(a));
}

// The low nibbles of a word's bytes are inputs 0, 4, 1, 5, the high ones 2, 6, 3, 7.
template <int... LANE>
inline vi as_nibbles_are(vi whole, std::integer_sequence<int, LANE...>) {
    constexpr int input[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    return lanes_of(whole, std::integer_sequence<int, (LANE / 8 * 8 + input[LANE % 8])...>());
}

template <class T>
inline void pack_few_row(const Linear& a, int64_t row) {
    int8_t* to = few_row(a, row);
    uint32_t* starts = group_starts(a, row);
    const uint32_t added = added_to_weights(a);
    vu sums = {};
    const auto put = [&](int i, vi whole) {
        sums += (vu)whole;
        if (has_groups(a.storage)) whole = as_nibbles_are(whole, std::make_integer_sequence<int, W>());
        store_bytes(to + i, whole);
    };
    round_row<T>(a, row, put, [&](int group) {
        uint32_t total = 0;
        for (int lane = 0; lane < W; ++lane) total += sums[lane];
        starts[group] = 0 - added * total;
        sums = vu{};
    });
}

// Sixteen rows, as far as they are there.
template <class T>
inline void pack_few_rows(const Linear& a, int64_t block) {
    for (int64_t r = block * 16; r < std::min(a.rows, block * 16 + 16); ++r) pack_few_row<T>(a, r);
}

}  // namespace
