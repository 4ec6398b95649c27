// Linear layers with int4 weights on tiles; for amx.h. Tiles in bfloat16 are made of 128 inputs at a
// time.
#pragma once

#include <algorithm>

#include "amx_tiles.h"

namespace {

constexpr int kSteps = 4;           // of 32 inputs: one, two or four groups
constexpr int kInt4RowBlocks = 8;   // that share what was unpacked; their sums take 16 KiB

// Four words of 16 outputs each are one tile: 8 inputs per word, in the tiles' order.
inline void unpack_int4(const char* words, bf16* tile) {
    alignas(64) static const uint16_t kValues[32] = {
        // -8 ... 7 in bfloat16, twice: an index has five bits, of which the highest is another's.
        0xC100, 0xC0E0, 0xC0C0, 0xC0A0, 0xC080, 0xC040, 0xC000, 0xBF80,
        0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0,
        0xC100, 0xC0E0, 0xC0C0, 0xC0A0, 0xC080, 0xC040, 0xC000, 0xBF80,
        0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0,
    };
    const __m512i values = _mm512_load_si512(kValues);
    for (int n = 0; n < 4; ++n) {
        const __m512i word = _mm512_loadu_si512(words + n * 64);
        char* to = reinterpret_cast<char*>(tile) + n * 256;
        _mm512_store_si512(to, _mm512_permutexvar_epi16(word, values));
        _mm512_store_si512(to + 64,
                           _mm512_permutexvar_epi16(_mm512_srli_epi16(word, 4), values));
        _mm512_store_si512(to + 128,
                           _mm512_permutexvar_epi16(_mm512_srli_epi16(word, 8), values));
        _mm512_store_si512(to + 192,
                           _mm512_permutexvar_epi16(_mm512_srli_epi16(word, 12), values));
    }
}

// Adds to the totals what the groups in `steps` tiles from tile `step` on give. All products come
// before all sums: what a tile was stored to can be read only after some time.
template <int R, int C>
inline void add_groups(const Linear& a, int64_t block, int step, int steps, const bf16* tiles,
                       const vf (*scales)[C], float (*totals)[256]) {
    const int64_t x_next = int64_t(tiles_of_row(a)) * kTileBytes;
    const char* x =
        static_cast<const char*>(a.packed_x) + block * x_next + int64_t(step) * kTileBytes;
    const int group_steps = a.group / 32, groups = steps / group_steps;
    const int first = step / group_steps, all_groups = groups_of(a);
    alignas(64) float sums[kSteps][4][256];
    for (int g = 0; g < groups; ++g)
        multiply<false, 1, R, C>(
            x + int64_t(g) * group_steps * kTileBytes, x_next,
            reinterpret_cast<const char*>(tiles + g * group_steps * kTile), kSteps * kTileBytes,
            group_steps, sums[g]);
    for (int r = 0; r < R; ++r) {
        const int rows = rows_of_block(a, block + r);
        for (int c = 0; c < C; ++c) {
            float* total = totals[2 * r + c];
            for (int i = 0; i < rows; ++i) {
                const float* of_x = a.x_scales + ((block + r) * 16 + i) * all_groups + first;
                vf sum = load(total + i * 16);
                for (int g = 0; g < groups; ++g)
                    sum += load(sums[g][2 * r + c] + i * 16) * (scales[g][c] * of_x[g]);
                store(total + i * 16, sum);
            }
        }
    }
}

// For the row blocks [first, end).
template <class T, int C>
inline void int4_outputs(const Linear& a, int64_t first, int64_t end, int output_block) {
    const int all_steps = tiles_of_row(a), group_steps = a.group / 32;
    const int64_t words = int64_t(all_steps) * 256;  // bytes of 16 outputs
    const int64_t groups = all_steps / group_steps;
    const char* weight = static_cast<const char*>(a.weight) + output_block * words;
    const bf16* scales = static_cast<const bf16*>(a.scales) + output_block * groups * 16;
    alignas(64) bf16 tiles[2 * kSteps * kTile];
    alignas(64) float totals[2 * kInt4RowBlocks][256];
    std::memset(totals, 0, size_t(end - first) * 2 * sizeof totals[0]);
    for (int step = 0; step < all_steps; step += kSteps) {
        const int steps = std::min(kSteps, all_steps - step);
        vf scale[kSteps][C];
        for (int c = 0; c < C; ++c) {
            for (int s = 0; s < steps; ++s)
                unpack_int4(weight + c * words + int64_t(step + s) * 256,
                            tiles + (c * kSteps + s) * kTile);
            for (int g = 0; g < steps / group_steps; ++g)
                scale[g][c] = load(scales + (c * groups + step / group_steps + g) * 16);
        }
        int64_t block = first;
        for (; block + 2 <= end; block += 2)
            add_groups<2, C>(a, block, step, steps, tiles, scale, totals + 2 * (block - first));
        if (block < end)
            add_groups<1, C>(a, block, step, steps, tiles, scale, totals + 2 * (block - first));
    }
    for (int64_t block = first; block < end; ++block)
        for (int c = 0; c < C; ++c)
            put_sums<T>(a, totals[2 * (block - first) + c], rows_of_block(a, block), block * 16,
                        (output_block + c) * 16);
}

template <class T>
inline void linear_int4(const Linear& a, int begin, int end) {
    const int64_t row_blocks = (a.rows + 15) / 16;
    for (int64_t first = 0; first < row_blocks; first += kInt4RowBlocks) {
        const int64_t last = std::min(first + kInt4RowBlocks, row_blocks);
        for (int pair = begin; pair < end; ++pair) {
            if (pair * 32 + 16 < a.outputs)
                int4_outputs<T, 2>(a, first, last, 2 * pair);
            else
                int4_outputs<T, 1>(a, first, last, 2 * pair);
        }
    }
}

}  // namespace
