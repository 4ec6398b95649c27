// Linear layers with int4 or int6 weights on tiles; for amx.h. Tiles in int8 are made of 128 inputs at a time,
// and multiplied with rows as linear_few.h packs them.
#pragma once

#include <algorithm>

#include "amx_tiles.h"

namespace {

constexpr int kStepInputs = 32, kStepBytes = kStepInputs * 16;  // a tile of weights
constexpr int kSteps = 4;           // one, two or four groups
constexpr int kUnpackedRowBlocks = 8;  // that share what was unpacked; their sums take 16 KiB

// A span is one tile.
template <int STORAGE>
inline void unpack_span(const char* span, char* tile) {
    const __m512i added = _mm512_set1_epi8(STORAGE == kInt4 ? 8 : 32);
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
        const Eight weights = eight_inputs<STORAGE>(span, n);
        _mm512_store_si512(tile + n * 128, _mm512_sub_epi8((__m512i)weights.first, added));
        _mm512_store_si512(tile + n * 128 + 64, _mm512_sub_epi8((__m512i)weights.second, added));
    }
}

// The sums of a group, 2 r + c being of row block r and output block c. x: of the first row; w: of the
// first output block, the next kSteps tiles on.
template <int R, int C>
inline void multiply_group(const int8_t* x, int64_t x_stride, const char* w, int steps,
                           int32_t (*sums)[256]) {
    const int8_t* x_next = x + 16 * x_stride;
    const char* w_next = w + kSteps * kStepBytes;
    _tile_zero(0);
    if constexpr (C == 2) _tile_zero(1);
    if constexpr (R == 2) _tile_zero(2);
    if constexpr (R == 2 && C == 2) _tile_zero(3);
    for (int s = 0; s < steps; ++s) {
        _tile_loadd(4, w + s * kStepBytes, 64);
        if constexpr (C == 2) _tile_loadd(5, w_next + s * kStepBytes, 64);
        _tile_loadd(6, x + s * kStepInputs, x_stride);
        if constexpr (R == 2) _tile_loadd(7, x_next + s * kStepInputs, x_stride);
        _tile_dpbssd(0, 6, 4);
        if constexpr (C == 2) _tile_dpbssd(1, 6, 5);
        if constexpr (R == 2) _tile_dpbssd(2, 7, 4);
        if constexpr (R == 2 && C == 2) _tile_dpbssd(3, 7, 5);
    }
    _tile_stored(0, sums[0], 64);
    if constexpr (C == 2) _tile_stored(1, sums[1], 64);
    if constexpr (R == 2) _tile_stored(2, sums[2], 64);
    if constexpr (R == 2 && C == 2) _tile_stored(3, sums[3], 64);
}

// Adds to the totals what the groups in `steps` tiles from tile `step` on give. All products come
// before all sums: what a tile was stored to can be read only after some time.
template <int R, int C>
inline void add_groups(const Linear& a, int64_t block, int step, int steps, const char* tiles,
                       const vf (*scales)[C], float (*totals)[256]) {
    const int64_t x_stride = bytes_of_few_row(a);
    const int8_t* x = few_row(a, block * 16) + step * kStepInputs;
    const int group_steps = a.group / kStepInputs, groups = steps / group_steps;
    const int first = step / group_steps, all_groups = groups_of(a);
    alignas(64) int32_t sums[kSteps][4][256];
    for (int g = 0; g < groups; ++g)
        multiply_group<R, C>(x + g * a.group, x_stride, tiles + g * group_steps * kStepBytes,
                             group_steps, sums[g]);
    for (int r = 0; r < R; ++r) {
        const int rows = rows_of_block(a, block + r);
        for (int c = 0; c < C; ++c) {
            float* total = totals[2 * r + c];
            for (int i = 0; i < rows; ++i) {
                const float* of_x = a.x_scales + ((block + r) * 16 + i) * all_groups + first;
                vf sum = load(total + i * 16);
                for (int g = 0; g < groups; ++g) {
                    vi whole;
                    std::memcpy(&whole, sums[g][2 * r + c] + i * 16, sizeof whole);
                    sum += __builtin_convertvector(whole, vf) * (scales[g][c] * of_x[g]);
                }
                store(total + i * 16, sum);
            }
        }
    }
}

// For the row blocks [first, last); `end`: of the output blocks that come after these.
template <class T, int STORAGE, int C>
inline void outputs_of_groups(const Linear& a, int64_t first, int64_t last, int output_block, int end) {
    const int all_steps = padded_inputs(a) / kStepInputs, group_steps = a.group / kStepInputs;
    const int64_t scale_bytes = 16 * sizeof(bf16);
    const Strips<C> strips(a.weight, int64_t(all_steps) * kSpanBytes<STORAGE>, output_block, end);
    const Strips<C> all_scales(a.scales, groups_of(a) * scale_bytes, output_block, end);
    alignas(64) char tiles[2 * kSteps * kStepBytes];
    alignas(64) float totals[2 * kUnpackedRowBlocks][256];
    std::memset(totals, 0, size_t(last - first) * 2 * sizeof totals[0]);
    for (int step = 0; step < all_steps; step += kSteps) {
        const int steps = std::min(kSteps, all_steps - step), group = step / group_steps;
        vf scale[kSteps][C];
        for (int s = 0; s < steps; ++s) {
            const int64_t at = int64_t(step + s) * kSpanBytes<STORAGE>;
            for (int line = 0; line < kSpanBytes<STORAGE>; line += 64) strips.ask(at + line);
            for (int c = 0; c < C; ++c)
                unpack_span<STORAGE>(strips.at(c, at), tiles + (c * kSteps + s) * kStepBytes);
        }
        for (int g = 0; g < steps / group_steps; ++g) {
            const int64_t at = (group + g) * scale_bytes;
            if (at % 64 == 0) all_scales.ask(at);
            for (int c = 0; c < C; ++c)
                scale[g][c] = load(reinterpret_cast<const bf16*>(all_scales.at(c, at)));
        }
        const int64_t pairs = first + (last - first) % 2;  // as in_stream has them
        if (pairs > first) add_groups<1, C>(a, first, step, steps, tiles, scale, totals);
        for (int64_t block = pairs; block < last; block += 2)
            add_groups<2, C>(a, block, step, steps, tiles, scale, totals + 2 * (block - first));
    }
    for (int64_t block = first; block < last; ++block)
        for (int c = 0; c < C; ++c)
            put_sums<T>(a, totals[2 * (block - first) + c], rows_of_block(a, block), block * 16,
                        (output_block + c) * 16);
}

template <class T, int STORAGE>
inline void linear_of_groups(const Linear& a, int begin, int end) {
    const int64_t row_blocks = (a.rows + 15) / 16;
    const int blocks = std::min(2 * end, (a.outputs + 15) / 16);
    for (int64_t first = 0; first < row_blocks; first += kUnpackedRowBlocks) {
        const int64_t last = std::min(first + kUnpackedRowBlocks, row_blocks);
        int block = 2 * begin;
        for (; block + 2 <= blocks; block += 2)
            outputs_of_groups<T, STORAGE, 2>(a, first, last, block, blocks);
        if (block < blocks) outputs_of_groups<T, STORAGE, 1>(a, first, last, block, blocks);
    }
}

}  // namespace
