// Linear layers on vectors of any width; for level.cpp and amx.h. A few rows meet the weight as it streams
// by (linear.h). More meet parts of it, some inputs of one or two blocks of outputs, which stay in L1 while
// a chunk of rows comes from L2 (K. Goto, R. van de Geijn, Anatomy of high-performance matrix multiplication,
// 2008): as they are, or as panels, unpacked to float once for the chunk.
#pragma once

#include <algorithm>

#include "fused.h"
#include "linear.h"

namespace {

constexpr int kPanelBlocks = W == 16 ? 2 : 1;
constexpr int kPanelRows = W == 16 ? 8 : W == 8 ? 6 : 2;  // whose sums fit into registers
// Up to so many rows need no panel: unpacking the weight in registers again for every five of them costs
// less (measured with AVX2, on Zen 3, alone).
constexpr int kUnpanelledRows = W == 8 ? 64 : 0;
constexpr int kMostChunkRows = 240;
constexpr int64_t kChunkInputBytes = (W == 8 ? 320 : 768) * 1024;  // with AVX2 alone L2 is small

// C blocks of outputs of a chunk.
struct alignas(64) ChunkSums {
    float at[kPanelBlocks][kMostChunkRows][16];

    void clear(int64_t rows) {
        for (auto& block : at) std::memset(block, 0, size_t(rows) * sizeof block[0]);
    }
};

// panel[input][block][output], as floats: `count` inputs of C blocks, whose words are `next_block` apart.
template <int STORAGE, int C, int... K>
inline void unpack_panel(const uint32_t* w, int64_t next_block, int count, uint32_t* panel,
                         std::integer_sequence<int, K...>) {
    constexpr int per_word = kPerWord<STORAGE>;
    const auto put = [&](int input, int lane, vf weights) {
        std::memcpy(panel + input * C * 16 + lane, &weights, sizeof weights);
    };
    const uint32_t* next = w + count / per_word * 16;
    for (int n = 0; n < count; n += per_word, w += 16, next += 16, panel += per_word * C * 16) {
        for (int c = 0; c < C; ++c) __builtin_prefetch(next + c * next_block, 0, 2);
        for (int c = 0; c < C; ++c) {
            for (int lane = 0; lane < 16; lane += W) {
                vu words;
                std::memcpy(&words, w + c * next_block + lane, sizeof words);
                (put(K, c * 16 + lane, unpack<STORAGE, K>(words)), ...);
            }
        }
    }
}

// Adds the products of R rows of x, `stride` floats apart, with `count` inputs of C blocks to the sums from
// `row` on. words[inputs of a word][block][output]: a panel, or where C is 1 a part of the weight, of which
// it ASKS for the next one meanwhile. A function of its own for each R, so that sums stay in registers.
template <int STORAGE, int R, int C, bool ASKS, int... K>
__attribute__((noinline)) void add_products(const uint32_t* words, const float* x, int64_t stride, int count,
                                            ChunkSums& sums, int64_t row,
                                            std::integer_sequence<int, K...>) {
    constexpr int V = 16 / W, per_word = kPerWord<STORAGE>;
    const int64_t next = count / per_word * int64_t(16);
    vf parts[R][C][V] = {};
    for (int k = 0; k < count; k += per_word, words += C * 16) {
        if constexpr (ASKS) __builtin_prefetch(words + next, 0, 2);
        vu now[C][V];
        for (int c = 0; c < C; ++c)
            for (int v = 0; v < V; ++v) std::memcpy(&now[c][v], words + c * 16 + v * W, sizeof(vu));
        const auto add = [&](auto input) {
            vf weights[C][V];
            for (int c = 0; c < C; ++c)
                for (int v = 0; v < V; ++v) weights[c][v] = unpack<STORAGE, input()>(now[c][v]);
            for (int r = 0; r < R; ++r)
                for (int c = 0; c < C; ++c)
                    for (int v = 0; v < V; ++v)
                        parts[r][c][v] += weights[c][v] * x[r * stride + k + input()];
        };
        (add(std::integral_constant<int, K>()), ...);
    }
    for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) {
            for (int v = 0; v < V; ++v) {
                float* sum = sums.at[c][row + r] + v * W;
                store(sum, load(sum) + parts[r][c][v]);
            }
        }
    }
}

// R rows, which are as many as `rows` says.
template <int STORAGE, int R, int C, bool ASKS>
inline void add_rows(const uint32_t* words, const float* x, int64_t stride, int count, ChunkSums& sums,
                     int64_t row, int64_t rows) {
    if (rows == R)
        return add_products<STORAGE, R, C, ASKS>(words, x + row * stride, stride, count, sums, row,
                                                 std::make_integer_sequence<int, kPerWord<STORAGE>>());
    if constexpr (R > 1) add_rows<STORAGE, R - 1, C, ASKS>(words, x, stride, count, sums, row, rows);
}

// All rows, about as many each time and at most R: of a few only the processor waits for sums.
template <int STORAGE, int R, int C, bool ASKS>
inline void add_all_rows(const uint32_t* words, const float* x, int64_t stride, int count, ChunkSums& sums,
                         int64_t rows) {
    int64_t row = 0;
    for (int64_t times = (rows + R - 1) / R; times > 0; --times) {
        const int64_t now = (rows - row + times - 1) / times;
        add_rows<STORAGE, R, C, ASKS>(words, x, stride, count, sums, row, now);
        row += now;
    }
}

// Adds a group's sums of integers, times its scales, to the totals of a block, and clears them.
template <int STORAGE>
inline void scale_group(const Linear& a, int64_t first, int64_t rows, int block, int group,
                        float (*sums)[16], float (*totals)[16]) {
    const int64_t groups = groups_of(a);
    for (int lane = 0; lane < 16; lane += W) {
        const vf scale = scale_of_outputs<STORAGE>(a, block, group, lane);
        for (int64_t r = 0; r < rows; ++r) {
            const vf before = load(totals[r] + lane), sum = load(sums[r] + lane);
            store(totals[r] + lane, before + sum * (scale * a.x_scales[(first + r) * groups + group]));
            store(sums[r] + lane, vf{});
        }
    }
}

// The rows [first, first + rows) of C blocks of outputs.
template <int STORAGE, int C>
inline void sum_chunk(const Linear& a, int64_t first, int64_t rows, int block, ChunkSums& sums) {
    constexpr bool is_scaled = is_rounded(STORAGE);
    constexpr int per_word = kPerWord<STORAGE>;
    const int groups = groups_of(a), length = padded_inputs(a) / groups;
    const int64_t stride = stride_any(a), next_block = padded_inputs(a) / per_word * int64_t(16);
    const float* x = static_cast<const float*>(a.packed_x) + first * stride;
    const uint32_t* weight = static_cast<const uint32_t*>(a.weight) + block * next_block;
    alignas(64) uint32_t panel[kPartInputs * C * 16];
    ChunkSums of_group;
    ChunkSums& added = is_scaled ? of_group : sums;
    sums.clear(rows);
    if (is_scaled) of_group.clear(rows);
    for (int group = 0; group < groups; ++group) {
        const int end = (group + 1) * length;
        for (int k = group * length; k < end; k += kPartInputs) {
            const int count = std::min(kPartInputs, end - k);
            const uint32_t* words = weight + k / per_word * 16;
            if (C == 1 && rows <= kUnpanelledRows) {
                add_all_rows<STORAGE, 5, 1, true>(words, x + k, stride, count, added, rows);
                continue;
            }
            unpack_panel<STORAGE, C>(words, next_block, count, panel,
                                     std::make_integer_sequence<int, per_word>());
            add_all_rows<kFloat, kPanelRows, C, false>(panel, x + k, stride, count, added, rows);
        }
        if constexpr (is_scaled)
            for (int c = 0; c < C; ++c)
                scale_group<STORAGE>(a, first, rows, block + c, group, added.at[c], sums.at[c]);
    }
}

template <int STORAGE, int C>
inline void product_of_chunk(const Linear& a, int64_t first, int64_t rows, int block) {
    ChunkSums sums;
    sum_chunk<STORAGE, C>(a, first, rows, block, sums);
    for (int c = 0; c < C; ++c) put_sums_any(a, sums.at[c][0], int(rows), first, (block + c) * 16);
}

// Rows of a block of gates and of what they let through.
template <class T>
inline void put_gated(const Linear& a, const float* gates, const float* ups, int rows, int64_t row,
                      int output) {
    const int64_t half = a.outputs / 2;
    T* out = static_cast<T*>(a.out) + row * half + output;
    for (int r = 0; r < rows; ++r) silu_mul_row(gates + r * 16, ups + r * 16, out + r * half, 16);
}

// silu of blocks of the first half of the outputs times those of the second, where both are made.
template <int STORAGE, int C>
inline void gated_product_of_chunk(const Linear& a, int64_t first, int64_t rows, int block) {
    ChunkSums gates, ups;
    sum_chunk<STORAGE, C>(a, first, rows, block, gates);
    sum_chunk<STORAGE, C>(a, first, rows, block + a.outputs / 32, ups);
    const auto put = a.is_bf16 ? put_gated<bf16> : put_gated<float>;
    for (int c = 0; c < C; ++c)
        put(a, gates.at[c][0], ups.at[c][0], int(rows), first, (block + c) * 16);
}

// The blocks [block, end) of outputs, or of half of them.
template <int STORAGE>
inline void linear_in_panels(const Linear& a, int block, int end) {
    const auto run = a.gates ? gated_product_of_chunk<STORAGE, kPanelBlocks>
                             : product_of_chunk<STORAGE, kPanelBlocks>;
    const auto run_one =
        a.gates ? gated_product_of_chunk<STORAGE, 1> : product_of_chunk<STORAGE, 1>;
    const int64_t fit = kChunkInputBytes / (stride_any(a) * int64_t(sizeof(float)));
    const int64_t most = std::clamp<int64_t>(fit / kPanelRows * kPanelRows, 48, kMostChunkRows);
    for (int64_t first = 0; first < a.rows; first += most) {
        const int64_t rows = std::min(most, a.rows - first);
        int b = block;
        for (; b + kPanelBlocks <= end; b += kPanelBlocks) run(a, first, rows, b);
        for (; b < end; ++b) run_one(a, first, rows, b);
    }
}

inline bool can_gate_any(const Linear& a) {
    return a.rows > kStreamedRows && a.bias == nullptr && a.outputs % 32 == 0;
}

// For the pairs [begin, end) of blocks of 16 outputs, or where `gates` the blocks of both halves.
template <int STORAGE>
inline void linear_any(const Linear& a, int begin, int end) {
    if (a.gates) return linear_in_panels<STORAGE>(a, begin, end);
    const int block = 2 * begin, blocks_end = std::min(2 * end, (a.outputs + 15) / 16);
    a.rows <= kStreamedRows ? linear_as_it_streams<STORAGE>(a, block, blocks_end)
                            : linear_in_panels<STORAGE>(a, block, blocks_end);
}

}  // namespace
