// Linear layers on vectors of any width; for level.cpp and amx.h. A few rows meet the weight as it streams
// by (linear.h). More meet panels of it, some inputs of one or two blocks of outputs, which are unpacked to
// float once for a chunk of rows and stay in L1 while its inputs come from L2 (K. Goto, R. van de Geijn,
// Anatomy of high-performance matrix multiplication, 2008).
#pragma once

#include <algorithm>

#include "fused.h"
#include "linear.h"

namespace {

constexpr int kPanelBlocks = W == 16 ? 2 : 1;
constexpr int kPanelRows = W == 16 ? 8 : W == 8 ? 6 : 2;  // whose sums fit into registers
constexpr int kMostChunkRows = 240;
constexpr int64_t kChunkInputBytes = (W == 8 ? 320 : 768) * 1024;  // with AVX2 alone L2 is small

// C blocks of outputs of a chunk.
struct alignas(64) ChunkSums {
    float at[kPanelBlocks][kMostChunkRows][16];

    void clear(int64_t rows) {
        for (auto& block : at) std::memset(block, 0, size_t(rows) * sizeof block[0]);
    }
};

// panel[input][output]: `count` inputs from `first` on, C blocks from `block` on.
template <int STORAGE, int C, int... K>
inline void unpack_panel(const Linear& a, int block, int first, int count, float* panel,
                         std::integer_sequence<int, K...>) {
    constexpr int per_word = kPerWord<STORAGE>;
    const int64_t next_block = padded_inputs(a) / per_word * int64_t(16);
    const uint32_t* w =
        static_cast<const uint32_t*>(a.weight) + block * next_block + first / per_word * 16;
    const uint32_t* next = w + count / per_word * 16;
    for (int n = 0; n < count; n += per_word, w += 16, next += 16, panel += per_word * C * 16) {
        for (int c = 0; c < C; ++c) __builtin_prefetch(next + c * next_block, 0, 2);
        for (int c = 0; c < C; ++c) {
            for (int lane = 0; lane < 16; lane += W) {
                vu words;
                std::memcpy(&words, w + c * next_block + lane, sizeof words);
                (store(panel + (K * C + c) * 16 + lane, unpack<STORAGE, K>(words)), ...);
            }
        }
    }
}

// Adds the products of a panel with R rows of x, `stride` floats apart, to those from `row` on.
template <int R, int C>
inline void add_panel(const float* x, int64_t stride, const float* panel, int count, ChunkSums& sums,
                      int64_t row) {
    constexpr int V = 16 / W;
    vf parts[R][C][V] = {};
#pragma GCC unroll 8
    for (int k = 0; k < count; ++k) {
        vf weights[C][V];
        for (int c = 0; c < C; ++c)
            for (int v = 0; v < V; ++v) weights[c][v] = load(panel + (k * C + c) * 16 + v * W);
        for (int r = 0; r < R; ++r)
            for (int c = 0; c < C; ++c)
                for (int v = 0; v < V; ++v) parts[r][c][v] += weights[c][v] * x[r * stride + k];
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

// R rows from `row` on, which are as many as `rows` says.
template <int C, int R = kPanelRows>
inline void add_panel_to(const float* x, int64_t stride, const float* panel, int count, ChunkSums& sums,
                         int64_t row, int64_t rows) {
    if (rows == R) return add_panel<R, C>(x + row * stride, stride, panel, count, sums, row);
    if constexpr (R > 1) add_panel_to<C, R - 1>(x, stride, panel, count, sums, row, rows);
}

// All rows, about as many each time: of a few only the processor waits for sums.
template <int C>
void add_panel_to_rows(const float* x, int64_t stride, const float* panel, int count, ChunkSums& sums,
                       int64_t rows) {
    int64_t row = 0;
    for (int64_t times = (rows + kPanelRows - 1) / kPanelRows; times > 0; --times) {
        const int64_t now = (rows - row + times - 1) / times;
        add_panel_to<C>(x, stride, panel, count, sums, row, now);
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
    const int groups = groups_of(a), length = padded_inputs(a) / groups;
    const int64_t stride = stride_any(a);
    const float* x = static_cast<const float*>(a.packed_x) + first * stride;
    alignas(64) float panel[kPartInputs * C * 16];
    ChunkSums of_group;
    ChunkSums& added = is_scaled ? of_group : sums;
    sums.clear(rows);
    if (is_scaled) of_group.clear(rows);
    for (int group = 0; group < groups; ++group) {
        const int end = (group + 1) * length;
        for (int k = group * length; k < end; k += kPartInputs) {
            const int count = std::min(kPartInputs, end - k);
            unpack_panel<STORAGE, C>(a, block, k, count, panel,
                                     std::make_integer_sequence<int, kPerWord<STORAGE>>());
            add_panel_to_rows<C>(x + k, stride, panel, count, added, rows);
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
