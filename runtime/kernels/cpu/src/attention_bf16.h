// Attention of few rows (decode) in bfloat16 with AVX-512; for level.cpp, level amx.
//
// A sequence that decodes reads all its keys and values for a few rows, so what counts is to take them
// from memory as they lie: they are widened in registers, once for all rows, and what comes next is
// asked for a line at a time between products, as the slots of a sequence need not be neighbours.
// (Products of pairs, vdpbf16ps, take three times as long as those of floats.)
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <type_traits>

#include "attention.h"
#include "attention_amx.h"

namespace {

constexpr int kPairs = 32;    // values of one register
// More rows are faster on tiles; of keys and values in int8, which are not read here, four.
constexpr int kPairRows = 8, kRowsOfInt8 = 4;

inline int round_up_pairs(int dim) { return (dim + kPairs - 1) / kPairs * kPairs; }

// Rows of one block, read in place. The rows behind the last are the last one again.
struct PlainRows {
    const bf16* k[kBlock];
    const bf16* v[kBlock];
};

inline void point_to_rows(const bf16* k, const bf16* v, const int64_t* slots, int count, int dim,
                          PlainRows& rows) {
    for (int n = 0; n < kBlock; ++n) {
        const int64_t slot = slots[n < count ? n : count - 1] * dim;
        rows.k[n] = k + slot, rows.v[n] = v + slot;
    }
}

inline void ask_for(const bf16* line) {
    _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
}

// 32 values from d on: those at even places, and at odd ones.
struct Halves {
    vf even, odd;
};

template <bool WHOLE>
inline Halves halves(const bf16* row, int d, int dim) {
    const auto both = (vu)(WHOLE ? _mm512_loadu_si512(row + d) : load_row(row + d, dim - d));
    return {(vf)(both << 16), (vf)(both & 0xffff0000u)};
}

// scores[row][n] of R rows with the W keys from n on, some of them at a time: their sums stay in
// registers. queries: [rows, padded], of each 32 dims first the even ones. Asks for the keys' values.
template <bool WHOLE, int R>
inline void pair_scores(const PlainRows& rows, int n, int dim, const float* queries, float* scores) {
    constexpr int at_once = R > 3 ? W / 4 : W / 2;
    const int padded = round_up_pairs(dim);
    vf all[R][W];
    for (int first = 0; first < W; first += at_once) {
        vf sums[R][at_once] = {};
        for (int d = 0; d < padded; d += kPairs) {
            for (int j = 0; j < at_once; ++j) {
                const int key = n + first + j;
                ask_for(rows.v[key] + d);
                const Halves k = halves<WHOLE>(rows.k[key], d, dim);
                for (int r = 0; r < R; ++r) {
                    const float* q = queries + r * padded + d;
                    sums[r][j] += load(q) * k.even;
                    sums[r][j] += load(q + W) * k.odd;
                }
            }
        }
        for (int r = 0; r < R; ++r)
            for (int j = 0; j < at_once; ++j) all[r][first + j] = sums[r][j];
    }
    for (int r = 0; r < R; ++r)
        store(scores + r * kBlock + n, sum_rows(all[r]) * score_factor(dim));
}

// out[row]: of each 32 dims first the even ones, then the odd ones. C: runs of 32 dims at a time.
// next: the keys that are met next, which are asked for.
template <bool WHOLE, int R, int C>
inline void add_pairs(const PlainRows& rows, int keys, const bf16* const* next, int column, int dim,
                      const float* weights, const float* scale, float* out) {
    const int padded = round_up_pairs(dim);
    vf sums[R][2 * C];
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < 2 * C; ++c)
            sums[r][c] = load(out + r * padded + column + c * W) * scale[r];
    for (int n = 0; n < keys; ++n) {
        for (int c = 0; c < C; ++c) {
            const int d = column + c * kPairs;
            ask_for(next[n] + d);
            const Halves v = halves<WHOLE>(rows.v[n], d, dim);
            for (int r = 0; r < R; ++r) {
                sums[r][2 * c] += weights[r * kBlock + n] * v.even;
                sums[r][2 * c + 1] += weights[r * kBlock + n] * v.odd;
            }
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < 2 * C; ++c) store(out + r * padded + column + c * W, sums[r][c]);
}

// visit(R, r) for as many rows R at a time as registers have room for, from row r on.
template <class Visit>
inline void by_rows(int num_rows, const Visit& visit) {
    int r = 0;
    for (; r + 4 <= num_rows; r += 4) visit(std::integral_constant<int, 4>(), r);
    if (num_rows - r == 3) visit(std::integral_constant<int, 3>(), r);
    if (num_rows - r == 2) visit(std::integral_constant<int, 2>(), r);
    if (num_rows - r == 1) visit(std::integral_constant<int, 1>(), r);
}

template <bool WHOLE>
inline void block_of_pairs(const PlainRows& rows, int keys, const bf16* const* next, int num_rows,
                           int dim, const int* low, const int* high, float* most, float* total) {
    const int padded = round_up_pairs(dim);
    float scale[kPairRows];
    by_rows(num_rows, [&](auto count, int r) {
        for (int n = 0; n < keys; n += W)
            pair_scores<WHOLE, count()>(rows, n, dim, scratch.q + r * padded,
                                        scratch.scores + r * kBlock);
    });
    weigh_few(scratch.scores, keys, num_rows, low, high, most, total, scale);
    by_rows(num_rows, [&](auto count, int r) {
        const float* weights = scratch.scores + r * kBlock;
        float* out = scratch.out + r * padded;
        int column = 0;
        for (; column + 2 * kPairs <= padded; column += 2 * kPairs)
            add_pairs<WHOLE, count(), 2>(rows, keys, next, column, dim, weights, scale + r, out);
        if (column < padded)
            add_pairs<WHOLE, count(), 1>(rows, keys, next, column, dim, weights, scale + r, out);
    });
}

// From the order of `add_pairs`, rows of whole registers, to that of `put_rows`, in place.
inline void put_in_order(int num_rows, int dim) {
    const int padded = round_up_pairs(dim), stride = round_up(dim);
    for (int r = 0; r < num_rows; ++r) {
        const float* from = scratch.out + r * padded;
        float* to = scratch.out + r * stride;
        for (int d = 0; d < padded; d += kPairs) {
            const vi low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
            const auto even = (__m512)load(from + d), odd = (__m512)load(from + d + W);
            store(to + d, (vf)_mm512_permutex2var_ps(even, (__m512i)low, odd));
            if (d + W < stride)
                store(to + d + W, (vf)_mm512_permutex2var_ps(even, (__m512i)(low + 8), odd));
        }
    }
}

inline void attend_few_bf16(const Attend& a, const Item& item, int kv_head) {
    const int dim = a.head_dim, group = a.heads / a.kv_heads, padded = round_up_pairs(dim);
    const int num_rows = item.count * group;
    scratch.reserve(padded);
    for (int r = 0; r < num_rows; ++r) {
        const bf16* q = query_row<bf16>(a, item, kv_head, group, r);
        float* to = scratch.q + r * padded;
        for (int d = 0; d < padded; d += kPairs) {
            const Halves both = halves<false>(q, d, dim);
            store(to + d, both.even), store(to + d + W, both.odd);
        }
    }
    std::memset(scratch.out, 0, sizeof(float) * padded * num_rows);
    float most[kPairRows], total[kPairRows];
    for (int r = 0; r < kPairRows; ++r) most[r] = kNegInf, total[r] = 0.f;

    const int64_t head = kv_head * a.num_slots * dim;
    const bf16* k = static_cast<const bf16*>(a.k) + head;
    const bf16* v = static_cast<const bf16*>(a.v) + head;
    const Sight sight = sight_of(a, item, num_rows, group);
    const auto block = dim % kPairs == 0 ? block_of_pairs<true> : block_of_pairs<false>;
    PlainRows rows[2];
    const auto point_to = [&](int at, PlainRows& to) {
        point_to_rows(k, v, item.slots + at, std::min(kBlock, sight.end - at), dim, to);
    };
    if (sight.begin < sight.end) point_to(sight.begin, rows[0]);
    for (int at = sight.begin, i = 0; at < sight.end; at += kBlock, i ^= 1) {
        const int keys = std::min(kBlock, sight.end - at);
        const bool is_last = at + kBlock >= sight.end;
        if (!is_last) point_to(at + kBlock, rows[i ^ 1]);
        int first[kMaxRows], last[kMaxRows];
        look_at(sight, at, keys, num_rows, first, last);
        block(rows[i], keys, rows[is_last ? i : i ^ 1].k, num_rows, dim, first, last, most, total);
    }
    put_in_order(num_rows, dim);
    put_rows<bf16>(a, item, kv_head, num_rows, most, total);
}

}  // namespace
