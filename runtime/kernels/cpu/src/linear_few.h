// Linear layers with quantized weights and so few rows that reading the weight, or unpacking it for
// tiles, would cost more than the products: products of bytes (AVX512-VNNI), of some blocks of sixteen
// outputs side by side; for amx.h.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "kernels.h"
#include "linear_bytes.h"

namespace {

inline bool has_few_rows(const Linear& a) {
    return (a.storage == kInt8 && a.rows <= 4) || (has_groups(a.storage) && a.rows <= 8);
}

// int4 and int6 on tiles take their rows as they are here.
inline bool is_packed_in_rows(const Linear& a) { return has_few_rows(a) || has_groups(a.storage); }

// --- inputs ------------------------------------------------------------------------------------

// R rows from `row` on.
template <int R>
struct FewRows {
    int64_t row;
    const int8_t* x[R];
    const uint32_t* starts[R];

    FewRows(const Linear& a, int64_t row) : row(row) {
        for (int r = 0; r < R; ++r) x[r] = few_row(a, row + r), starts[r] = group_starts(a, row + r);
    }
};

// --- weights -----------------------------------------------------------------------------------

// C strips of bytes, one behind the other, that are read side by side: memory answers sooner where it
// is asked at several places (Stream in amx_tiles.h). What is read a little later is asked for, at the
// end of these strips that of the next C, where there are so many.
template <int C>
class Strips {
public:
    Strips(const void* strips, int64_t bytes, int first, int end)
        : first_(static_cast<const char*>(strips) + first * bytes), bytes_(bytes),
          ahead_(std::min(kAheadBytes / C, bytes)), turn_(bytes - ahead_),
          over_(first + 2 * C <= end ? ahead_ + (C - 1) * bytes : 0) {}

    // Before what lies `i` bytes behind the strips' begins is loaded.
    __attribute__((always_inline)) void ask(int64_t i) const {
        const char* line = first_ + i + (i < turn_ ? ahead_ : over_);
        for (int c = 0; c < C; ++c) _mm_prefetch(line + c * bytes_, _MM_HINT_T1);
    }

    const char* at(int c, int64_t i) const { return first_ + c * bytes_ + i; }

private:
    static constexpr int64_t kAheadBytes = 8192;

    const char* first_;
    int64_t bytes_, ahead_, turn_, over_;
};

// --- products ----------------------------------------------------------------------------------

// R rows x C blocks of 16 sums.
template <int R, int C>
struct FewSums {
    __m512i at[R][C];

    FewSums(const FewRows<R>& rows, int group) {
        for (int r = 0; r < R; ++r)
            for (int c = 0; c < C; ++c) at[r][c] = _mm512_set1_epi32(int32_t(rows.starts[r][group]));
    }

    // Of block c, with the four inputs of each row from `i` on.
    __attribute__((always_inline)) void add(int c, __m512i weights, const FewRows<R>& rows, int64_t i) {
        for (int r = 0; r < R; ++r)
            at[r][c] = _mm512_dpbusd_epi32(at[r][c], weights, (__m512i)four_inputs(rows.x[r] + i));
    }
};

// The results of the blocks from `block` on; `end`: of the blocks that are read after these.
template <int R, int C>
inline void few_int8(const Linear& a, const FewRows<R>& rows, int block, int end, vf (*results)[C]) {
    const int64_t bytes = int64_t(padded_inputs(a)) * 16;
    const Strips<C> strips(a.weight, bytes, block, end);
    const __m512i added = _mm512_set1_epi8(-128);
    FewSums<R, C> sums(rows, 0);
    for (int64_t i = 0; i < bytes; i += 64) {
        strips.ask(i);
        for (int c = 0; c < C; ++c)
            sums.add(c, _mm512_xor_si512(_mm512_loadu_si512(strips.at(c, i)), added), rows, i / 16);
    }
    for (int c = 0; c < C; ++c) {
        const vf scale = load(static_cast<const float*>(a.scales) + (block + c) * 16);
        for (int r = 0; r < R; ++r)
            results[r][c] =
                __builtin_convertvector((vi)sums.at[r][c], vf) * (scale * a.x_scales[rows.row + r]);
    }
}

template <int STORAGE, int R, int C>
inline void few_of_groups(const Linear& a, const FewRows<R>& rows, int block, int end, vf (*results)[C]) {
    const int groups = groups_of(a), group_spans = a.group / 32;
    const Strips<C> strips(a.weight, groups * int64_t(group_spans) * kSpanBytes<STORAGE>, block, end);
    const Strips<C> scales(a.scales, groups * int64_t(16 * sizeof(bf16)), block, end);
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) results[r][c] = vf{};
    for (int g = 0; g < groups; ++g) {
        const int64_t of_group = g * int64_t(16 * sizeof(bf16));
        if (of_group % 64 == 0) scales.ask(of_group);
        FewSums<R, C> sums(rows, g);
        for (int64_t span = int64_t(g) * group_spans; span < int64_t(g + 1) * group_spans; ++span) {
            const int64_t at = span * kSpanBytes<STORAGE>;
#pragma GCC unroll 4
            for (int n = 0; n < 4; ++n) {
                strips.ask(at + n * 64);
                if (STORAGE == kInt6 && n % 2 == 0) strips.ask(at + high_words(n));
                for (int c = 0; c < C; ++c) {
                    const Eight weights = eight_inputs<STORAGE>(strips.at(c, at), n);
                    sums.add(c, (__m512i)weights.first, rows, span * 32 + n * 8);
                    sums.add(c, (__m512i)weights.second, rows, span * 32 + n * 8 + 4);
                }
            }
        }
        for (int c = 0; c < C; ++c) {
            const vf scale = load(reinterpret_cast<const bf16*>(scales.at(c, of_group)));
            for (int r = 0; r < R; ++r)
                results[r][c] += __builtin_convertvector((vi)sums.at[r][c], vf) *
                                 (scale * a.x_scales[(rows.row + r) * groups + g]);
        }
    }
}

template <class T, int R, int C>
inline void few_outputs(const Linear& a, int64_t row, int block, int end) {
    const FewRows<R> rows(a, row);
    vf results[R][C];
    const auto run = a.storage == kInt8   ? few_int8<R, C>
                     : a.storage == kInt4 ? few_of_groups<kInt4, R, C>
                                          : few_of_groups<kInt6, R, C>;
    run(a, rows, block, end, results);
    for (int c = 0; c < C; ++c) {
        float sums[R * 16];
        for (int r = 0; r < R; ++r) store(sums + r * 16, results[r][c]);
        put_sums<T>(a, sums, R, row, (block + c) * 16);
    }
}

// For the blocks [block, end): C of them with R rows at a time, as their sums have to fit into registers.
template <class T, int R, int C>
inline void few_rows(const Linear& a, int block, int end) {
    for (; block + C <= end; block += C) {
        int64_t row = 0;
        for (; row + R <= a.rows; row += R) few_outputs<T, R, C>(a, row, block, end);
        if constexpr (R > 1)
            for (; row < a.rows; ++row) few_outputs<T, 1, C>(a, row, block, end);
    }
    if constexpr (C > 1) few_rows<T, R, C / 2>(a, block, end);
}

// For the pairs [begin, end) of blocks of 16 outputs.
template <class T>
inline void linear_few_rows(const Linear& a, int begin, int end) {
    const auto run = a.rows == 1   ? few_rows<T, 1, 8>
                     : a.rows == 2 ? few_rows<T, 2, 4>
                     : a.rows == 3 ? few_rows<T, 3, 4>
                                   : few_rows<T, 4, 4>;
    run(a, 2 * begin, std::min(2 * end, (a.outputs + 15) / 16));
}

}  // namespace
