// Kernels of kernels.h whose calls a team shares; for api.cpp and pass.h.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <exception>

#include "kernels.h"
#include "plan.h"
#include "team.h"

// Memory that grows; null where there was none.
class Buffer {
public:
    ~Buffer() { std::free(bytes_); }

    char* of(int64_t size) {
        if (size_ < size) {
            std::free(bytes_);
            size_ = (size + 4095) / 4096 * 4096;
            bytes_ = static_cast<char*>(std::aligned_alloc(64, size_t(size_)));
            if (bytes_ == nullptr) size_ = 0;
        }
        return bytes_;
    }

private:
    char* bytes_ = nullptr;
    int64_t size_ = 0;
};

// A whole number of cache lines.
inline int64_t part_bytes(int64_t bytes) { return (bytes + 63) / 64 * 64; }

inline int threads_for(int64_t work, int threads) { return work < Team::kMinWork ? 1 : threads; }

// `a` with the queries, partial results and mode of the plan.
inline Attend of_plan(Plan& plan, Attend a) {
    a.queries = plan.queries.data();
    a.partial_out = plan.partial_out.data();
    a.partial_max = plan.partial_max.data();
    a.partial_sum = plan.partial_sum.data();
    a.is_fixed = plan.is_fixed;
    return a;
}

// A key takes about four times as long to read as the products with it.
inline int64_t attend_work(const Plan& plan, int heads, int head_dim) {
    return plan.pairs * heads * head_dim * 8;
}

inline void attend(Team& team, const Level& level, const Plan& plan, const Attend& a, int which) {
    // Some at a time where there are many, as taking one costs some hundred keys.
    const int64_t calls = int64_t(plan.items.size()) * a.kv_heads;
    const int64_t some = std::clamp<int64_t>(calls / (team.threads() * 16), 1, 8);
    team.run((calls + some - 1) / some, attend_work(plan, a.heads, a.head_dim), [&](int64_t part) {
        const int64_t end = std::min((part + 1) * some, calls);
        for (int64_t i = part * some; i < end; ++i) {
            const Item& item = plan.items[size_t(i / a.kv_heads)];
            if (which & (item.is_decode ? 1 : 2)) level.attend(a, item, int(i % a.kv_heads));
        }
    });
    if (!(which & 1)) return;
    const int64_t merge_work = int64_t(plan.partials.size()) * a.heads * a.head_dim * 16;
    team.run(int64_t(plan.merge_tokens.size()), merge_work, [&](int64_t i) {
        const int32_t start = plan.merge_starts[size_t(i)];
        const int32_t count = plan.merge_starts[size_t(i) + 1] - start;
        for (int head = 0; head < a.heads; ++head)
            level.merge(a, plan.merge_tokens[size_t(i)], plan.partials.data() + start, count, head);
    });
}

inline int64_t rope_store_work(const RopeStore& a, int64_t tokens) {
    return tokens * (a.heads + 2 * a.kv_heads) * a.head_dim * 16;
}

inline void rope_store(Team& team, const Level& level, const RopeStore& a, int64_t tokens) {
    team.run_ranges(tokens, rope_store_work(a, tokens), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) level.rope_store(a, i);
    });
}

// The rows [begin, end).
inline void norm_rows(const Level& level, int64_t begin, int64_t end, int n, const void* x,
                      const void* weight, void* out, float eps, bool is_bf16, bool is_wide = false) {
    const int64_t bytes = int64_t(n) * (is_bf16 ? 2 : 4), x_bytes = is_wide ? n * 4 : bytes;
    for (int64_t i = begin; i < end; ++i)
        level.rms_norm(static_cast<const char*>(x) + i * x_bytes, weight,
                       static_cast<char*>(out) + i * bytes, n, eps, is_bf16, is_wide);
}

inline void rms_norm(Team& team, const Level& level, int64_t rows, int n, const void* x,
                     const void* weight, void* out, float eps, bool is_bf16) {
    team.run_ranges(rows, rows * n * 16, [&](int64_t begin, int64_t end) {
        norm_rows(level, begin, end, n, x, weight, out, eps, is_bf16);
    });
}

inline void silu_mul(Team& team, const Level& level, int64_t rows, int n, const void* gate_up, void* out,
              bool is_bf16, bool is_wide = false) {
    const int64_t bytes = int64_t(n) * (is_bf16 ? 2 : 4), x_bytes = is_wide ? n * 4 : bytes;
    team.run_ranges(rows, rows * n * 32, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
            level.silu_mul(static_cast<const char*>(gate_up) + i * 2 * x_bytes,
                           static_cast<char*>(out) + i * bytes, n, is_bf16, is_wide);
    });
}

// A few rows cost reading the weight, many the products.
inline int64_t linear_work(int64_t rows, int inputs, int outputs) {
    return int64_t(inputs) * outputs * (rows < 16 ? 2 : rows / 8);
}

// Whether there was memory. prepare(begin, end): is called before these rows of a.x are read.
template <class Prepare>
inline bool multiply(Team& team, const Level& level, Linear a, const Prepare& prepare) {
    const int64_t blocks = (a.rows + 15) / 16, pairs = (a.outputs + 31) / 32;
    const int64_t scale_bytes = part_bytes(a.rows * groups_of(a) * int64_t(sizeof(float)));
    thread_local Buffer inputs;  // of the thread that leads, read by its team
    char* buffer = inputs.of(level.linear_bytes(a) + scale_bytes);
    if (buffer == nullptr) return false;
    a.x_scales = reinterpret_cast<float*>(buffer);
    a.packed_x = buffer + scale_bytes;
    const int64_t work = linear_work(a.rows, a.inputs, a.outputs);
    team.run(blocks, work, [&](int64_t i) {
        prepare(i * 16, std::min(i * 16 + 16, a.rows));
        level.pack_inputs(a, i);
    });
    // Each part is a run of outputs, so that the weight is read as a few streams. (Where reading takes
    // all the time a part more costs more than threads wait for each other; many rows want long ones.)
    const auto call = [&](int64_t begin, int64_t end) { level.linear(a, int(begin), int(end)); };
    const bool is_even = a.rows <= 16 || a.rows > 64;
    is_even ? team.run_ranges(pairs, work, call) : team.run_shrinking(pairs, work, call);
    return true;
}

inline bool multiply(Team& team, const Level& level, const Linear& a) {
    return multiply(team, level, a, [](int64_t, int64_t) {});
}

inline int64_t draw_work(int64_t rows, int vocab) { return rows * vocab * 4; }

// tokens[i]: of draws[i], as Level's draw. Whether there was memory.
inline bool draw(Team& team, const Level& level, int64_t rows, const Draw* draws, int vocab,
                 int64_t* tokens) {
    std::atomic<bool> ok{true};
    team.run(rows, draw_work(rows, vocab), [&](int64_t i) {
        try {
            tokens[i] = level.draw(draws[i], vocab);
        } catch (const std::exception&) {
            ok = false;
        }
    });
    return ok;
}
