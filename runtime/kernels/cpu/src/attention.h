// Attention of some queries of one KV head over a run of slots, read in place; for level.cpp.
//
// A row is one query head of one query. Keys come in blocks (attention_blocks.h), by few rows
// (decode) or many (extend, shared prefixes). Softmax is online (arXiv:2205.14135), in base 2.
#pragma once

#include "attention_blocks.h"

namespace {

// The positions that each row of an item sees, and the span of all of them.
struct Sight {
    int low[kMostRows], high[kMostRows];
    int begin, end;
};

inline Sight sight_of(const Attend& a, const Item& item, int num_rows, int group) {
    Sight sight;
    sight.begin = item.end, sight.end = item.begin;
    int r = 0;
    for (int i = 0; i < item.count; ++i) {
        const Query& query = a.queries[item.first + i];
        const int64_t first = query.position - a.window + 1;
        const int low = first > item.begin ? int(first) : item.begin;
        const int high = query.position < item.end ? query.position : item.end - 1;
        sight.begin = low < sight.begin ? low : sight.begin;
        sight.end = high + 1 > sight.end ? high + 1 : sight.end;
        for (const int end = r + group; r < end; ++r) sight.low[r] = low, sight.high[r] = high;
    }
    for (; r < round_up(num_rows); ++r) sight.low[r] = sight.low[0], sight.high[r] = sight.high[0];
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
    float most_before[kMostRows], total_before[kMostRows];
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

// At most kMaxRows rows. T: of queries and results, KV: of keys and values.
template <class T, class KV>
inline void attend_part(const Attend& a, const Item& item, int kv_head) {
    const int dim = a.head_dim, padded = round_up(dim), group = a.heads / a.kv_heads;
    const int num_rows = item.count * group, stride = round_up(num_rows);
    const bool few = num_rows <= kFewRows;
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
    const int64_t head = kv_head * a.num_slots * row_stride<KV>(dim);
    const KV* k = static_cast<const KV*>(a.k) + head;
    const KV* v = static_cast<const KV*>(a.v) + head;
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
                block_of_many(rows, keys, num_rows, dim, padded, first, last, masked, a.is_fixed, most,
                              total);
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

template <class T, class KV>
inline void attend_rows(const Attend& a, const Item& item, int kv_head) {
    const int group = a.heads / a.kv_heads, at_once = kMaxRows < group ? 1 : kMaxRows / group;
    for (int i = 0; i < item.count; i += at_once) {
        Item part = item;
        part.first += i;
        part.count = item.count - i < at_once ? item.count - i : at_once;
        if (item.partial >= 0) part.partial += i;
        attend_part<T, KV>(a, part, kv_head);
    }
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
