// Both sides of linear layers with quantized weights as bytes, for products of bytes; for linear_few.h,
// amx_groups.h and linear_pairs.h.
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

// So that the compiler takes it from there: it would load twice what is used twice, or add many numbers as a
// tree, and not have the registers for it.
template <class V>
inline void keep_in_register([[maybe_unused]] V& v) {
#if BL_VECTOR_BYTES == 32 || defined(__AVX512F__)  // else no register is as wide
    __asm__("" : "+v"(v));
#endif
}

inline vu load_bytes(const char* p) {
    vu bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return bytes;
}

// Of eight inputs of W outputs, the first four and the others, without a sign.
struct Eight {
    vu first, second;
};

// The n-th of the four times eight inputs of a span, of the v-th W outputs.
template <int STORAGE>
inline Eight eight_inputs(const char* span, int n, int v = 0) {
    constexpr uint32_t low_bits = 0x0f0f0f0f, high_bits = 0x30303030;  // of each byte
    vu both = load_bytes(span + n * 64 + v * BL_VECTOR_BYTES);
    keep_in_register(both);
    const vu first = both & low_bits, second = both >> 4 & low_bits;
    if constexpr (STORAGE == kInt4) return {first, second};
    const vu high = load_bytes(span + high_words(n) + v * BL_VECTOR_BYTES);
    const vu of_first = n % 2 == 0 ? high << 4 : high, of_second = n % 2 == 0 ? high << 2 : high >> 2;
    return {first | (of_first & high_bits), second | (of_second & high_bits)};
}

// --- inputs --------------------------------------------------------------------------------------

// What is added to weights so that they are bytes without a sign: int4 and int6 are stored so, linear_few.h wants
// int8 so, and linear_pairs.h as it is.
inline uint32_t added_to_weights(const Linear& a) {
#ifdef BL_AMX
    constexpr uint32_t to_int8 = 128;
#else
    constexpr uint32_t to_int8 = 0;
#endif
    return a.storage == kInt4 ? 8 : a.storage == kInt6 ? 32 : to_int8;
}

// Four inputs of a row, for each output.
inline vu four_inputs(const void* x) {
    uint32_t four;
    std::memcpy(&four, x, sizeof four);
    return vu{} | four;
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
