// Attention of some rows to one block of keys and values; for attention.h, which says what a row is.
//
// Few rows: a key is multiplied with one row at a time, lanes over head_dim. Many rows: lanes over
// rows for the scores and over head_dim for the values; keys and values are read as they lie and
// packed nowhere.
#pragma once

#include <cstdlib>
#include <new>

#include "kernels.h"
#include "rounding.h"

namespace {

constexpr int kMaxRows = 64;   // of one call; on tiles kMostRows
constexpr int kFewRows = 8;
constexpr int kBlock = 64;     // keys between two updates of the running maximum
constexpr int kTall = BL_VECTOR_BYTES == 16 ? 4 : 6;  // sums: kTall x kWide registers
constexpr int kWide = BL_VECTOR_BYTES == 64 ? 4 : 2;
constexpr int kFixedTall = 2;  // fewer: sums of some lanes wait for those of others
constexpr int kFixedWide = kWide;

// What one thread needs for one call, kept between calls.
struct Scratch {
    float *q = nullptr, *out = nullptr, *sums = nullptr;
    float *keys = nullptr, *values = nullptr, *scores = nullptr;
    int dim = 0, rows = 0;

    void reserve(int padded, int most_rows = kMaxRows) {
        if (padded <= dim && most_rows <= rows) return;
        std::free(q);
        dim = padded > dim ? padded : dim, rows = most_rows > rows ? most_rows : rows;
        const size_t floats = size_t(3 * rows + 2 * kBlock) * dim + kBlock * kMaxRows;
        q = static_cast<float*>(std::aligned_alloc(64, (4 * floats + 63) / 64 * 64));
        if (q == nullptr) throw std::bad_alloc();
        out = q + rows * dim;
        sums = out + rows * dim;
        keys = sums + rows * dim;
        values = keys + kBlock * dim;
        scores = values + kBlock * dim;
    }
    ~Scratch() { std::free(q); }
};

thread_local Scratch scratch;

// One block of keys and values as rows of float.
struct Rows {
    const float* k[kBlock];
    const float* v[kBlock];
};

inline void convert(const bf16* from, float* to, int dim) {
    int d = 0;
    for (; d + W <= dim; d += W) store(to + d, load(from + d));
    if (d < dim) store(to + d, load_part(from + d, dim - d));
}
inline void convert(const float* from, float* to, int dim) {
    int d = 0;
    for (; d + W <= dim; d += W) store(to + d, load(from + d));
    if (d < dim) store(to + d, load_part(from + d, dim - d));
}
inline void convert(const i8* from, float* to, int dim) {
    unround_row(from, to, dim);
    for (int d = dim; d < round_up(dim); ++d) to[d] = 0.f;
}

template <class T>
inline void find_rows(
    const T* k, const T* v, const int64_t* slots, int count, int dim, int padded, Rows& rows
) {
    constexpr bool is_float = sizeof(T) == 4;
    const int64_t stride = row_stride<T>(dim);
    if (is_float && dim == padded) {
        for (int n = 0; n < count; ++n) {
            rows.k[n] = reinterpret_cast<const float*>(k + slots[n] * dim);
            rows.v[n] = reinterpret_cast<const float*>(v + slots[n] * dim);
        }
    } else {
        for (int n = 0; n < count; ++n) {
            convert(k + slots[n] * stride, scratch.keys + n * padded, dim);
            convert(v + slots[n] * stride, scratch.values + n * padded, dim);
            rows.k[n] = scratch.keys + n * padded;
            rows.v[n] = scratch.values + n * padded;
        }
    }
    for (int n = count; n < (count + W - 1) / W * W; ++n) rows.k[n] = rows.k[count - 1];
}

// --- few rows --------------------------------------------------------------------------------

// Of R rows with the W keys from n on, half of them at a time: their sums stay in registers.
template <int R>
inline void scores_of_rows(const Rows& rows, int n, const float* queries, int padded,
                           float* scores) {
    constexpr int half = W / 2;
    vf all[R][W];
    for (int first = 0; first < W; first += half) {
        vf sums[R][half] = {};
        for (int d = 0; d < padded; d += W) {
            for (int j = 0; j < half; ++j) {
                const vf key = load(rows.k[n + first + j] + d);
                for (int r = 0; r < R; ++r) sums[r][j] += load(queries + r * padded + d) * key;
            }
        }
        for (int r = 0; r < R; ++r)
            for (int j = 0; j < half; ++j) all[r][first + j] = sums[r][j];
    }
    for (int r = 0; r < R; ++r) store(scores + r * kBlock + n, sum_rows(all[r]));
}

// run(rows at once, as a constant, first row) for all rows, at most MOST (3 or 4) at once: as seldom as that
// allows, and about as many each time.
template <int MOST, class Run>
inline void in_parts(int num_rows, const Run& run) {
    for (int row = 0; row < num_rows;) {
        const int left = num_rows - row;
        const int now = left >= 2 * MOST ? MOST : left > MOST ? (left + 1) / 2 : left;
        if (now == 1)
            run(std::integral_constant<int, 1>(), row);
        else if (now == 2)
            run(std::integral_constant<int, 2>(), row);
        else if (now == 3)
            run(std::integral_constant<int, 3>(), row);
        else
            run(std::integral_constant<int, MOST>(), row);
        row += now;
    }
}

// Whose sums, or results, fit into registers.
constexpr int kScoredRows = 3, kSummedRows = 4;

// scores[row][n]: [kFewRows, kBlock]. queries: [rows, padded].
inline void scores_of_few(const Rows& rows, int keys, const float* queries, int num_rows, int padded,
                          float* scores) {
    for (int n = 0; n < keys; n += W)
        in_parts<kScoredRows>(num_rows, [&](auto count, int r) {
            scores_of_rows<count()>(rows, n, queries + r * padded, padded, scores + r * kBlock);
        });
}

template <int R, int C>
inline void add_values_of_few(
    const Rows& rows, int keys, int column, int padded, const float* weights, const float* scale,
    float* out
) {
    vf sums[R][C];
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) sums[r][c] = load(out + r * padded + column + c * W) * scale[r];
    for (int n = 0; n < keys; ++n) {
        const float* v = rows.v[n] + column;
        for (int c = 0; c < C; ++c) {
            const vf part = load(v + c * W);
            for (int r = 0; r < R; ++r) sums[r][c] += weights[r * kBlock + n] * part;
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) store(out + r * padded + column + c * W, sums[r][c]);
}

// A function of its own, so that sums stay in registers.
template <int R>
__attribute__((noinline)) void add_rows_of_few(
    const Rows& rows, int keys, int padded, const float* weights, const float* scale, float* out
) {
    int column = 0;
    for (; column + 4 * W <= padded; column += 4 * W)
        add_values_of_few<R, 4>(rows, keys, column, padded, weights, scale, out);
    for (; column < padded; column += W)
        add_values_of_few<R, 1>(rows, keys, column, padded, weights, scale, out);
}

// From scores to weights in their place; `scale` is what earlier sums are multiplied with.
inline void weigh_few(
    float* scores, int keys, int num_rows, const int* low, const int* high, float* most,
    float* total, float* scale
) {
    const int end = (keys + W - 1) / W * W;
    for (int r = 0; r < num_rows; ++r) {
        float* row = scores + r * kBlock;
        for (int n = 0; n < low[r] && n < keys; ++n) row[n] = kNegInf;
        for (int n = high[r] + 1 < 0 ? 0 : high[r] + 1; n < end; ++n) row[n] = kNegInf;
        for (int n = keys; n < end; ++n) row[n] = kNegInf;
        vf best = load(row);
        for (int n = W; n < end; n += W) best = vmax(best, load(row + n));
        const float block_most = largest(best);
        const float new_most = block_most > most[r] ? block_most : most[r];
        const float base = new_most == kNegInf ? 0.f : new_most;
        vf added = {};
        for (int n = 0; n < end; n += W) {
            const vf weight = exp2(load(row + n) - base);
            store(row + n, weight);
            added += weight;
        }
        scale[r] = exp2(splat(most[r] - base))[0];
        total[r] = total[r] * scale[r] + sum(added);
        most[r] = new_most;
    }
}

// The rows [row, row + num_rows), at most kFewRows.
inline void block_of_few(
    const Rows& rows, int keys, int row, int num_rows, int padded, const int* low, const int* high,
    float* most, float* total
) {
    float* scores = scratch.scores;
    float* out = scratch.out + row * padded;
    float scale[kFewRows];
    scores_of_few(rows, keys, scratch.q + row * padded, num_rows, padded, scores);
    weigh_few(scores, keys, num_rows, low + row, high + row, most + row, total + row, scale);
    in_parts<kSummedRows>(num_rows, [&](auto count, int r) {
        add_rows_of_few<count()>(rows, keys, padded, scores + r * kBlock, scale + r, out + r * padded);
    });
}

// --- many rows -------------------------------------------------------------------------------

// scores[n][row]: [kBlock, stride] = keys x queries, queries transposed: [head_dim, stride].
template <int K, int C>
inline void score_tile(const float* const* k, const float* queries, int dim, int stride,
                       float* scores) {
    vf sums[K][C] = {};
#pragma GCC unroll 4
    for (int d = 0; d < dim; ++d) {
        vf part[C];
        for (int c = 0; c < C; ++c) part[c] = load(queries + d * stride + c * W);
        for (int n = 0; n < K; ++n)
            for (int c = 0; c < C; ++c) sums[n][c] += k[n][d] * part[c];
    }
    for (int n = 0; n < K; ++n)
        for (int c = 0; c < C; ++c) store(scores + n * stride + c * W, sums[n][c]);
}

template <int C, int K = kTall>
inline void score_columns(const Rows& rows, int keys, int dim, int stride, int column, int n = 0) {
    for (; n + K <= keys; n += K)
        score_tile<K, C>(rows.k + n, scratch.q + column, dim, stride,
                         scratch.scores + n * stride + column);
    if constexpr (K > 1) score_columns<C, K - 1>(rows, keys, dim, stride, column, n);
}

// out[row][head_dim] = out * scale + weights[n][row] x values.
template <int R, int C>
inline void value_tile(const Rows& rows, int keys, int stride, int padded, int row, int column,
                       const float* scale) {
    float* out = scratch.out + row * padded + column;
    const float* weights = scratch.scores + row;
    vf sums[R][C];
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) sums[r][c] = load(out + r * padded + c * W) * scale[row + r];
#pragma GCC unroll 4
    for (int n = 0; n < keys; ++n) {
        vf part[C];
        for (int c = 0; c < C; ++c) part[c] = load(rows.v[n] + column + c * W);
        for (int r = 0; r < R; ++r)
            for (int c = 0; c < C; ++c) sums[r][c] += weights[n * stride + r] * part[c];
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) store(out + r * padded + c * W, sums[r][c]);
}

template <int C, int R = kTall>
inline void value_columns(const Rows& rows, int keys, int num_rows, int stride, int padded,
                          int column, const float* scale, int r = 0) {
    for (; r + R <= num_rows; r += R)
        value_tile<R, C>(rows, keys, stride, padded, r, column, scale);
    if constexpr (R > 1)
        value_columns<C, R - 1>(rows, keys, num_rows, stride, padded, column, scale, r);
}

// --- many rows in the deterministic mode -----------------------------------------------------
//
// The same bits as of few rows: what there is added over the lanes of a register, by sum_rows and
// sum, is here added in the same order over registers, whose lanes are rows.

// sums[K][C]: of the places FIRST, FIRST + STEP, ... < W; part(place, sums) is what is at one.
template <int FIRST, int STEP, int K, int C, class Part>
__attribute__((always_inline)) inline void sum_as_lanes(const Part& part, vf (&sums)[K][C]) {
    if constexpr (STEP == W) {
        part(FIRST, sums);
    } else {
        vf others[K][C];
        sum_as_lanes<FIRST, 2 * STEP>(part, sums);
        sum_as_lanes<FIRST + STEP, 2 * STEP>(part, others);
        for (int n = 0; n < K; ++n)
            for (int c = 0; c < C; ++c) sums[n][c] += others[n][c];
    }
}

template <int K, int C>
inline void fixed_score_tile(const float* const* k, const float* queries, int padded, int stride,
                             float* scores) {
    const auto part = [&](int first, vf (&sums)[K][C]) __attribute__((always_inline)) {
        for (int n = 0; n < K; ++n)
            for (int c = 0; c < C; ++c) sums[n][c] = vf{};
        for (int d = first; d < padded; d += W) {
            vf query[C];
            for (int c = 0; c < C; ++c) query[c] = load(queries + d * stride + c * W);
            for (int n = 0; n < K; ++n)
                for (int c = 0; c < C; ++c) sums[n][c] += k[n][d] * query[c];
        }
    };
    vf sums[K][C];
    sum_as_lanes<0, 1>(part, sums);
    for (int n = 0; n < K; ++n)
        for (int c = 0; c < C; ++c) store(scores + n * stride + c * W, sums[n][c]);
}

template <int C>
inline void fixed_score_columns(const Rows& rows, int keys, int padded, int stride, int column) {
    int n = 0;
    for (; n + kFixedTall <= keys; n += kFixedTall)
        fixed_score_tile<kFixedTall, C>(rows.k + n, scratch.q + column, padded, stride,
                                        scratch.scores + n * stride + column);
    for (; n < keys; ++n)
        fixed_score_tile<1, C>(rows.k + n, scratch.q + column, padded, stride,
                               scratch.scores + n * stride + column);
}

// The sum of `keys` weights of each row, as weigh_few adds them.
inline vf fixed_total(const float* weights, int keys, int stride) {
    const auto part = [&](int first, vf (&sums)[1][1]) __attribute__((always_inline)) {
        sums[0][0] = vf{};
        for (int n = first; n < keys; n += W) sums[0][0] += load(weights + n * stride);
    };
    vf sums[1][1];
    sum_as_lanes<0, 1>(part, sums);
    return sums[0][0];
}

inline void block_of_many(
    const Rows& rows, int keys, int num_rows, int dim, int padded, const int* low, const int* high,
    bool masked, bool fixed, float* most, float* total
) {
    const int stride = round_up(num_rows);
    int column = 0;
    if (fixed) {
        for (; column + kFixedWide * W <= stride; column += kFixedWide * W)
            fixed_score_columns<kFixedWide>(rows, keys, padded, stride, column);
        for (; column < stride; column += W)
            fixed_score_columns<1>(rows, keys, padded, stride, column);
    } else {
        for (; column + kWide * W <= stride; column += kWide * W)
            score_columns<kWide>(rows, keys, dim, stride, column);
        for (; column < stride; column += W) score_columns<1>(rows, keys, dim, stride, column);
    }

    float scale[kMaxRows];
    for (int r = 0; r < stride; r += W) {
        float* scores = scratch.scores + r;
        vi first, last;
        std::memcpy(&first, low + r, sizeof first);
        std::memcpy(&last, high + r, sizeof last);
        vf best = load(most + r);
        for (int n = 0; n < keys; ++n) {
            vf score = load(scores + n * stride);
            if (masked) {
                const vi at = vi{} + n;
                score = ((at < first) | (at > last)) ? splat(kNegInf) : score;
                store(scores + n * stride, score);
            }
            best = vmax(best, score);
        }
        const vf base = best == splat(kNegInf) ? vf{} : best;
        const vf shrink = exp2(load(most + r) - base);
        vf added = {};
        for (int n = 0; n < keys; ++n) {
            const vf weight = exp2(load(scores + n * stride) - base);
            store(scores + n * stride, weight);
            if (!fixed) added += weight;
        }
        if (fixed) added = fixed_total(scores, keys, stride);
        store(total + r, load(total + r) * shrink + added);
        store(most + r, best);
        store(scale + r, shrink);
    }
    for (column = 0; column + kWide * W <= padded; column += kWide * W)
        value_columns<kWide>(rows, keys, num_rows, stride, padded, column, scale);
    for (; column < padded; column += W)
        value_columns<1>(rows, keys, num_rows, stride, padded, column, scale);
}

}  // namespace
