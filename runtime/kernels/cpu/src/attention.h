// Attention of some queries of one KV head over a run of slots, read in place; for level.cpp.
//
// A row is one query head of one query. Few rows (decode): a key is multiplied with one row at a
// time, lanes over head_dim. Many rows (extend, shared prefixes): lanes over rows for the scores
// and over head_dim for the values; keys and values are read as they lie and packed nowhere.
// Softmax is online (arXiv:2205.14135), in base 2.
#pragma once

#include <cstdlib>
#include <new>

#include "kernels.h"
#include "vec.h"

namespace {

constexpr int kMaxRows = 64;   // of one call
constexpr int kFewRows = 8;
constexpr int kBlock = 64;     // keys between two updates of the running maximum
constexpr int kTall = BL_VECTOR_BYTES == 64 ? 6 : 4;  // accumulators: kTall x kWide registers
constexpr int kWide = BL_VECTOR_BYTES == 64 ? 4 : 2;

// What one thread needs for one call, kept between calls.
struct Scratch {
    float *q = nullptr, *out = nullptr, *sums = nullptr;
    float *keys = nullptr, *values = nullptr, *scores = nullptr;
    int dim = 0;

    void reserve(int padded) {
        if (padded <= dim) return;
        std::free(q);
        const size_t rows = 3 * size_t(kMaxRows) + 2 * kBlock;
        const size_t bytes = 4 * (rows * padded + kBlock * kMaxRows);
        q = static_cast<float*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
        if (q == nullptr) throw std::bad_alloc();
        dim = padded;
        out = q + kMaxRows * padded;
        sums = out + kMaxRows * padded;
        keys = sums + kMaxRows * padded;
        values = keys + kBlock * padded;
        scores = values + kBlock * padded;
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

template <class T>
inline void find_rows(
    const T* k, const T* v, const int64_t* slots, int count, int dim, int padded, Rows& rows
) {
    constexpr bool is_float = sizeof(T) == 4;
    if (is_float && dim == padded) {
        for (int n = 0; n < count; ++n) {
            rows.k[n] = reinterpret_cast<const float*>(k + slots[n] * dim);
            rows.v[n] = reinterpret_cast<const float*>(v + slots[n] * dim);
        }
    } else {
        for (int n = 0; n < count; ++n) {
            convert(k + slots[n] * dim, scratch.keys + n * padded, dim);
            convert(v + slots[n] * dim, scratch.values + n * padded, dim);
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

// scores[row][n]: [kFewRows, kBlock]. queries: [rows, padded].
inline void scores_of_few(const Rows& rows, int keys, const float* queries, int num_rows, int padded,
                          float* scores) {
    for (int n = 0; n < keys; n += W) {
        int r = 0;
        for (; r + 2 <= num_rows; r += 2)
            scores_of_rows<2>(rows, n, queries + r * padded, padded, scores + r * kBlock);
        if (r < num_rows)
            scores_of_rows<1>(rows, n, queries + r * padded, padded, scores + r * kBlock);
    }
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

template <int R>
inline void add_rows_of_few(
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
    int r = 0;
    for (; r + 4 <= num_rows; r += 4)
        add_rows_of_few<4>(rows, keys, padded, scores + r * kBlock, scale + r, out + r * padded);
    for (; r + 2 <= num_rows; r += 2)
        add_rows_of_few<2>(rows, keys, padded, scores + r * kBlock, scale + r, out + r * padded);
    for (; r < num_rows; ++r)
        add_rows_of_few<1>(rows, keys, padded, scores + r * kBlock, scale + r, out + r * padded);
}

// --- many rows -------------------------------------------------------------------------------

// scores[n][row]: [kBlock, stride] = keys x queries, queries transposed: [head_dim, stride].
template <int K, int C>
inline void score_tile(const float* const* k, const float* queries, int dim, int stride,
                       float* scores) {
    vf sums[K][C] = {};
    for (int d = 0; d < dim; ++d) {
        vf part[C];
        for (int c = 0; c < C; ++c) part[c] = load(queries + d * stride + c * W);
        for (int n = 0; n < K; ++n)
            for (int c = 0; c < C; ++c) sums[n][c] += k[n][d] * part[c];
    }
    for (int n = 0; n < K; ++n)
        for (int c = 0; c < C; ++c) store(scores + n * stride + c * W, sums[n][c]);
}

template <int C>
inline void score_columns(const Rows& rows, int keys, int dim, int stride, int column) {
    int n = 0;
    for (; n + kTall <= keys; n += kTall)
        score_tile<kTall, C>(rows.k + n, scratch.q + column, dim, stride,
                             scratch.scores + n * stride + column);
    for (; n < keys; ++n)
        score_tile<1, C>(rows.k + n, scratch.q + column, dim, stride,
                         scratch.scores + n * stride + column);
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
    for (int n = 0; n < keys; ++n) {
        vf part[C];
        for (int c = 0; c < C; ++c) part[c] = load(rows.v[n] + column + c * W);
        for (int r = 0; r < R; ++r)
            for (int c = 0; c < C; ++c) sums[r][c] += weights[n * stride + r] * part[c];
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) store(out + r * padded + c * W, sums[r][c]);
}

template <int C>
inline void value_columns(const Rows& rows, int keys, int num_rows, int stride, int padded,
                          int column, const float* scale) {
    int r = 0;
    for (; r + kTall <= num_rows; r += kTall)
        value_tile<kTall, C>(rows, keys, stride, padded, r, column, scale);
    for (; r < num_rows; ++r) value_tile<1, C>(rows, keys, stride, padded, r, column, scale);
}

inline void block_of_many(
    const Rows& rows, int keys, int num_rows, int dim, int padded, const int* low, const int* high,
    bool masked, float* most, float* total
) {
    const int stride = round_up(num_rows);
    int column = 0;
    for (; column + kWide * W <= stride; column += kWide * W)
        score_columns<kWide>(rows, keys, dim, stride, column);
    for (; column < stride; column += W) score_columns<1>(rows, keys, dim, stride, column);

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
        vf sums = load(total + r) * shrink;
        for (int n = 0; n < keys; ++n) {
            const vf weight = exp2(load(scores + n * stride) - base);
            store(scores + n * stride, weight);
            sums += weight;
        }
        store(total + r, sums);
        store(most + r, best);
        store(scale + r, shrink);
    }
    for (column = 0; column + kWide * W <= padded; column += kWide * W)
        value_columns<kWide>(rows, keys, num_rows, stride, padded, column, scale);
    for (; column < padded; column += W)
        value_columns<1>(rows, keys, num_rows, stride, padded, column, scale);
}

// --- one item --------------------------------------------------------------------------------

// The positions that each row of an item sees, and the span of all of them.
struct Sight {
    int low[kMaxRows], high[kMaxRows];
    int begin, end;
};

inline Sight sight_of(const Attend& a, const Item& item, int num_rows, int group) {
    Sight sight;
    sight.begin = item.end, sight.end = item.begin;
    for (int r = 0; r < round_up(num_rows); ++r) {
        const Query& query = a.queries[item.first + (r < num_rows ? r / group : 0)];
        const int64_t first = query.position - a.window + 1;
        sight.low[r] = first > item.begin ? int(first) : item.begin;
        sight.high[r] = query.position < item.end ? query.position : item.end - 1;
        if (r >= num_rows) continue;
        sight.begin = sight.low[r] < sight.begin ? sight.low[r] : sight.begin;
        sight.end = sight.high[r] + 1 > sight.end ? sight.high[r] + 1 : sight.end;
    }
    return sight;
}

// What the rows see of the keys at..at + keys; whether one of them sees less than all.
inline bool look_at(const Sight& sight, int at, int keys, int num_rows, int* first, int* last) {
    bool masked = false;
    for (int r = 0; r < round_up(num_rows); ++r) {
        first[r] = sight.low[r] - at, last[r] = sight.high[r] - at;
        masked |= first[r] > 0 || last[r] < keys - 1;
    }
    return masked;
}

template <class T>
inline const T* query_row(const Attend& a, const Item& item, int kv_head, int group, int r) {
    const Query& query = a.queries[item.first + r / group];
    return static_cast<const T*>(a.q) + query.token * a.q_stride +
           int64_t(kv_head * group + r % group) * a.head_dim;
}

// The result over one more part of the keys joins that over those before: not normalised, with its
// maximum and sum. Not inlined: a copy that is compiled otherwise could round otherwise.
__attribute__((noinline)) inline void add_part(
    float part_most, float part_total, const float* part, float& most, float& total, float* out,
    int padded
) {
    if (part_most == kNegInf) return;  // it saw none of them
    if (most == kNegInf) {
        most = part_most, total = part_total;
        std::memcpy(out, part, sizeof(float) * padded);
        return;
    }
    const float now = part_most > most ? part_most : most;
    const vf kept = exp2(splat(most - now)), added = exp2(splat(part_most - now));
    most = now;
    total = total * kept[0] + part_total * added[0];
    for (int d = 0; d < padded; d += W)
        store(out + d, load(out + d) * kept + load(part + d) * added);
}

// scratch.out, most and total of all rows, run by run; attend_keys does that for keys begin..end.
template <class Keys>
inline void attend_by_runs(const Sight& sight, int num_rows, int padded, float* most, float* total,
                           const Keys& attend_keys) {
    float most_before[kMaxRows], total_before[kMaxRows];
    for (int r = 0; r < num_rows; ++r) most_before[r] = kNegInf, total_before[r] = 0.f;
    for (int run = sight.begin / kRun * kRun; run < sight.end; run += kRun) {
        attend_keys(run, run + kRun < sight.end ? run + kRun : sight.end);
        for (int r = 0; r < num_rows; ++r)
            add_part(most[r], total[r], scratch.out + r * padded, most_before[r], total_before[r],
                     scratch.sums + r * padded, padded);
    }
    std::memcpy(most, most_before, sizeof(float) * num_rows);
    std::memcpy(total, total_before, sizeof(float) * num_rows);
    std::memcpy(scratch.out, scratch.sums, sizeof(float) * num_rows * padded);
}

template <class T>
inline void put_row(const float* from, float total, T* to, int dim) {
    const float inverse = 1.f / total;
    for (int d = 0; d < dim; d += W) store_up_to(to + d, load(from + d) * inverse, dim - d);
}

// The item's results from scratch.out: final ones divided by their sum, others as partial rows.
template <class T>
inline void put_rows(const Attend& a, const Item& item, int kv_head, int num_rows,
                     const float* most, const float* total) {
    const int dim = a.head_dim, padded = round_up(dim), group = a.heads / a.kv_heads;
    for (int r = 0; r < num_rows; ++r) {
        const int query = r / group, row_head = kv_head * group + r % group;
        const float* from = scratch.out + r * padded;
        if (item.partial < 0) {
            const int64_t token = a.queries[item.first + query].token;
            put_row(from, total[r], static_cast<T*>(a.out) + (token * a.heads + row_head) * dim, dim);
        } else {
            const int64_t row = int64_t(item.partial + query) * a.heads + row_head;
            std::memcpy(a.partial_out + row * padded_dim(dim), from, sizeof(float) * dim);
            a.partial_max[row] = most[r];
            a.partial_sum[row] = total[r];
        }
    }
}

// What scores are multiplied with: softmax is in base 2.
inline float score_factor(int dim) { return 1.4426950408889634f / __builtin_sqrtf(float(dim)); }

template <class T>
inline void attend_rows(const Attend& a, const Item& item, int kv_head) {
    const int dim = a.head_dim, padded = round_up(dim), group = a.heads / a.kv_heads;
    const int num_rows = item.count * group, stride = round_up(num_rows);
    const bool few = a.is_fixed || num_rows <= kFewRows;
    scratch.reserve(padded);

    const float factor = score_factor(dim);
    if (!few) std::memset(scratch.q, 0, sizeof(float) * padded * stride);
    for (int r = 0; r < num_rows; ++r) {
        const T* q = query_row<T>(a, item, kv_head, group, r);
        if (few) {
            float* row = scratch.q + r * padded;
            convert(q, row, dim);
            for (int d = 0; d < padded; d += W) store(row + d, load(row + d) * factor);
        } else {
            for (int d = 0; d < dim; ++d) scratch.q[d * stride + r] = scalar(q + d) * factor;
        }
    }
    float most[kMaxRows], total[kMaxRows];
    const int64_t head = kv_head * a.num_slots * dim;
    const T* k = static_cast<const T*>(a.k) + head;
    const T* v = static_cast<const T*>(a.v) + head;
    const Sight sight = sight_of(a, item, num_rows, group);
    Rows rows;
    const auto attend_keys = [&](int begin, int end) {
        std::memset(scratch.out, 0, sizeof(float) * padded * num_rows);
        for (int r = 0; r < kMaxRows; ++r) most[r] = kNegInf, total[r] = 0.f;
        for (int at = begin; at < end; at += kBlock) {
            const int keys = end - at < kBlock ? end - at : kBlock;
            find_rows(k, v, item.slots + at, keys, dim, padded, rows);
            int first[kMaxRows], last[kMaxRows];
            const bool masked = look_at(sight, at, keys, num_rows, first, last);
            if (!few) {
                block_of_many(rows, keys, num_rows, dim, padded, first, last, masked, most, total);
                continue;
            }
            for (int r = 0; r < num_rows; r += kFewRows)
                block_of_few(rows, keys, r, num_rows - r < kFewRows ? num_rows - r : kFewRows,
                             padded, first, last, most, total);
        }
    };
    if (a.is_fixed)
        attend_by_runs(sight, num_rows, padded, most, total, attend_keys);
    else
        attend_keys(sight.begin, sight.end);
    put_rows<T>(a, item, kv_head, num_rows, most, total);
}

template <class T>
inline void merge_rows(const Attend& a, int token, const int32_t* partials, int count, int head) {
    const int dim = a.head_dim, padded = round_up(dim);
    scratch.reserve(padded);
    float most = kNegInf, total = 0.f;
    for (int i = 0; i < count; ++i) {
        const int64_t row = int64_t(partials[i]) * a.heads + head;
        add_part(a.partial_max[row], a.partial_sum[row], a.partial_out + row * padded_dim(dim), most,
                 total, scratch.sums, padded);
    }
    T* to = static_cast<T*>(a.out) + (int64_t(token) * a.heads + head) * dim;
    put_row(scratch.sums, total, to, dim);
}

}  // namespace
