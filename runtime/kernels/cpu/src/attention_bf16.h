// Attention of few rows (decode) in bfloat16 with AVX512-BF16; for level.cpp, level amx.
//
// A sequence that decodes reads all its keys and values for one row, so what counts is to take them
// from memory as they lie: keys go into products of pairs, values are widened in registers, and
// rows further on are asked for early, as the slots of a sequence need not be neighbours.
#pragma once

#include <immintrin.h>

#include "attention.h"
#include "attention_amx.h"

namespace {

constexpr int kPairs = 32;    // values of one register
constexpr int kPairRows = 4;  // more rows are faster on tiles

inline int round_up_pairs(int dim) { return (dim + kPairs - 1) / kPairs * kPairs; }

// Rows of one block, read in place. The rows behind the last are the last one again.
struct PlainRows {
    const bf16* k[kBlock];
    const bf16* v[kBlock];
};

inline void point_to_rows(const bf16* k, const bf16* v, const int64_t* slots, int count, int dim,
                          PlainRows& rows) {
    for (int n = 0; n < count; ++n) {
        rows.k[n] = k + slots[n] * dim;
        rows.v[n] = v + slots[n] * dim;
    }
    for (int n = count; n < round_up(count); ++n) rows.k[n] = rows.k[count - 1];
}

inline void ask_for(const bf16* row, int dim) {
    for (int d = 0; d < dim; d += 32)
        _mm_prefetch(reinterpret_cast<const char*>(row + d), _MM_HINT_T0);
}

// scores[row][n]: [kPairRows, kBlock]. queries: [rows, padded], zero behind dim.
template <bool WHOLE>
inline void pair_scores(const PlainRows& rows, int keys, int num_rows, int dim, const bf16* queries,
                        float factor, float* scores) {
    const int padded = round_up_pairs(dim);
    for (int n = 0; n < keys; n += W) {
        for (int j = 0; j < W && n + j < keys; ++j) ask_for(rows.v[n + j], dim);
        for (int r = 0; r < num_rows; ++r) {
            vf sums[W] = {};
            for (int d = 0; d < padded; d += kPairs) {
                const auto q = (__m512bh)_mm512_load_si512(queries + r * padded + d);
                for (int j = 0; j < W; ++j) {
                    const bf16* row = rows.k[n + j] + d;
                    const __m512i key = WHOLE ? _mm512_loadu_si512(row) : load_row(row, dim - d);
                    sums[j] = (vf)_mm512_dpbf16_ps((__m512)sums[j], (__m512bh)key, q);
                }
            }
            store(scores + r * kBlock + n, sum_rows(sums) * factor);
        }
    }
}

// out[row]: of each 32 dims first the even ones, then the odd ones. C: runs of 32 dims at a time.
template <bool WHOLE, int R, int C>
inline void add_pairs(const PlainRows& rows, int keys, int column, int dim, const float* weights,
                      const float* scale, float* out) {
    const int padded = round_up_pairs(dim);
    vf sums[R][2 * C];
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < 2 * C; ++c)
            sums[r][c] = load(out + r * padded + column + c * W) * scale[r];
    for (int n = 0; n < keys; ++n) {
        for (int c = 0; c < C; ++c) {
            const int d = column + c * kPairs;
            const bf16* row = rows.v[n] + d;
            const auto both = (vu)(WHOLE ? _mm512_loadu_si512(row) : load_row(row, dim - d));
            const auto even = (vf)(both << 16), odd = (vf)(both & 0xffff0000u);
            for (int r = 0; r < R; ++r) {
                sums[r][2 * c] += weights[r * kBlock + n] * even;
                sums[r][2 * c + 1] += weights[r * kBlock + n] * odd;
            }
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < 2 * C; ++c) store(out + r * padded + column + c * W, sums[r][c]);
}

template <bool WHOLE, int R>
inline void add_rows_of_pairs(const PlainRows& rows, int keys, int dim, int row,
                              const float* scale) {
    const int padded = round_up_pairs(dim);
    const float* weights = scratch.scores + row * kBlock;
    float* out = scratch.out + row * padded;
    int column = 0;
    for (; column + 2 * kPairs <= padded; column += 2 * kPairs)
        add_pairs<WHOLE, R, 2>(rows, keys, column, dim, weights, scale + row, out);
    if (column < padded) add_pairs<WHOLE, R, 1>(rows, keys, column, dim, weights, scale + row, out);
}

template <bool WHOLE>
inline void block_of_pairs(const PlainRows& rows, int keys, int num_rows, int dim,
                           const bf16* queries, const int* low, const int* high, float* most,
                           float* total) {
    float scale[kPairRows];
    pair_scores<WHOLE>(rows, keys, num_rows, dim, queries, score_factor(dim), scratch.scores);
    weigh_few(scratch.scores, keys, num_rows, low, high, most, total, scale);
    if (num_rows == kPairRows)
        return add_rows_of_pairs<WHOLE, kPairRows>(rows, keys, dim, 0, scale);
    int r = 0;
    for (; r + 2 <= num_rows; r += 2) add_rows_of_pairs<WHOLE, 2>(rows, keys, dim, r, scale);
    for (; r < num_rows; ++r) add_rows_of_pairs<WHOLE, 1>(rows, keys, dim, r, scale);
}

// From the order of `add_pairs`, rows of whole registers, to that of `put_rows`, in place.
inline void put_in_order(int num_rows, int dim) {
    const int padded = round_up_pairs(dim), stride = round_up(dim);
    for (int r = 0; r < num_rows; ++r) {
        const float* from = scratch.out + r * padded;
        float* to = scratch.out + r * stride;
        for (int d = 0; d < padded; d += kPairs) {
            float ordered[kPairs];
            for (int i = 0; i < kPairs; ++i) ordered[i] = from[d + i % 2 * W + i / 2];
            const int count = stride - d < kPairs ? stride - d : kPairs;
            std::memcpy(to + d, ordered, size_t(count) * sizeof(float));
        }
    }
}

inline void attend_few_bf16(const Attend& a, const Item& item, int kv_head) {
    const int dim = a.head_dim, group = a.heads / a.kv_heads, padded = round_up_pairs(dim);
    const int num_rows = item.count * group;
    scratch.reserve(padded);
    auto* queries = reinterpret_cast<bf16*>(scratch.q);
    for (int r = 0; r < num_rows; ++r) {
        const bf16* q = query_row<bf16>(a, item, kv_head, group, r);
        for (int d = 0; d < padded; d += kPairs)
            _mm512_store_si512(queries + r * padded + d, load_row(q + d, dim - d));
    }
    std::memset(scratch.out, 0, sizeof(float) * padded * num_rows);
    float most[kPairRows], total[kPairRows];
    for (int r = 0; r < kPairRows; ++r) most[r] = kNegInf, total[r] = 0.f;

    const int64_t head = kv_head * a.num_slots * dim;
    const bf16* k = static_cast<const bf16*>(a.k) + head;
    const bf16* v = static_cast<const bf16*>(a.v) + head;
    const Sight sight = sight_of(a, item, num_rows, group);
    PlainRows rows;
    for (int at = sight.begin; at < sight.end; at += kBlock) {
        const int keys = sight.end - at < kBlock ? sight.end - at : kBlock;
        for (int n = at + keys; n < sight.end && n < at + 2 * kBlock; ++n)
            ask_for(k + item.slots[n] * dim, dim);
        point_to_rows(k, v, item.slots + at, keys, dim, rows);
        int first[kMaxRows], last[kMaxRows];
        look_at(sight, at, keys, num_rows, first, last);
        const auto block = dim % kPairs == 0 ? block_of_pairs<true> : block_of_pairs<false>;
        block(rows, keys, num_rows, dim, queries, first, last, most, total);
    }
    put_in_order(num_rows, dim);
    put_rows<bf16>(a, item, kv_head, num_rows, most, total);
}

}  // namespace
