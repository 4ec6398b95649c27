// Matrix products with Intel's tile instructions (AMX, bfloat16); for level.cpp, level amx.
//
// The weight is packed once, in tiles of 16 outputs x 32 inputs: [outputs / 16][inputs / 2][16][2].
// Inputs in float32 are split into three bfloat16 terms whose sum is exact, so that with weights
// that are bfloat16 values the product is as accurate as one in float32.
#pragma once

#include <immintrin.h>

#include "kernels.h"
#include "vec.h"

namespace {

constexpr int kTile = 512;  // bfloat16 values of a tile

struct alignas(64) TileConfig {
    uint8_t palette = 0, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

// Tiles 0-3 are sums, 4-5 weights, 6-7 inputs. What was configured before comes back at the end:
// torch's own kernels use the same tiles.
class Tiles {
public:
    explicit Tiles(int rows) {
        _tile_storeconfig(&before_);
        TileConfig config;
        config.palette = 1;
        for (int i = 0; i < 8; ++i) {
            config.row_bytes[i] = 64;
            config.rows[i] = uint8_t(i == 4 || i == 5 ? 16 : rows);
        }
        _tile_loadconfig(&config);
    }
    ~Tiles() {
        if (before_.palette == 0)
            _tile_release();
        else
            _tile_loadconfig(&before_);
    }

private:
    TileConfig before_;
};

// 16 rows (those from `rows` on are zero) x 32 inputs of x, as one tile per term.
inline void pack_tile(const bf16* x, int64_t stride, int rows, int columns, bf16* tiles) {
    for (int r = 0; r < 16; ++r) {
        bf16* to = tiles + r * 32;
        if (r >= rows || columns < 32) std::memset(to, 0, 64);
        if (r < rows) std::memcpy(to, x + r * stride, size_t(columns < 32 ? columns : 32) * 2);
    }
}
inline void pack_tile(const float* x, int64_t stride, int rows, int columns, bf16* tiles) {
    for (int r = 0; r < 16; ++r) {
        for (int c = 0; c < 32; c += W) {
            vf rest = {};
            const int n = columns - c;
            if (r < rows && n > 0) rest = load_up_to(x + r * stride + c, n);
            for (int term = 0; term < 3; ++term) {
                bf16* to = tiles + term * kTile + r * 32 + c;
                store(to, rest);
                rest -= load(to);
            }
        }
    }
}

template <class T>
inline void pack_inputs(const Linear& a, int64_t block) {
    constexpr int terms = sizeof(T) == 4 ? 3 : 1;
    const int steps = (a.inputs + 31) / 32;
    const int64_t left = a.rows - block * 16;
    const T* x = static_cast<const T*>(a.x) + block * 16 * a.inputs;
    auto* to = static_cast<bf16*>(a.packed_x) + block * steps * terms * kTile;
    for (int s = 0; s < steps; ++s)
        pack_tile(x + s * 32, a.inputs, left < 16 ? int(left) : 16, a.inputs - s * 32,
                  to + s * terms * kTile);
}

// Up to 16 rows x 16 outputs of the result, from their sums.
template <class T>
inline void put_sums(const Linear& a, const float* sums, int64_t row, int output) {
    const int64_t left = a.rows - row;
    const int n = a.outputs - output < 16 ? a.outputs - output : 16;
    const T* bias = static_cast<const T*>(a.bias);
    for (int r = 0; r < 16 && r < left; ++r) {
        vf sum = load(sums + r * 16);
        if (bias != nullptr) sum += load_up_to(bias + output, n);
        const int64_t at = (row + r) * a.outputs + output;
        if (a.out_is_float) {
            store_up_to(static_cast<float*>(a.out) + at, sum, n);
            continue;
        }
        T* to = static_cast<T*>(a.out) + at;
        if (a.adds) sum += load_up_to(to, n);
        store_up_to(to, sum, n);
    }
}

// R x C blocks of 16 x 16 results.
template <class T, int R, int C>
inline void product(const Linear& a, int64_t block, int output_block) {
    constexpr int terms = sizeof(T) == 4 ? 3 : 1;
    const int steps = (a.inputs + 31) / 32;
    const bf16* w = static_cast<const bf16*>(a.weight) + int64_t(output_block) * steps * kTile;
    const bf16* w2 = w + int64_t(steps) * kTile;
    const bf16* x = static_cast<const bf16*>(a.packed_x) + block * steps * terms * kTile;
    const bf16* x2 = x + int64_t(steps) * terms * kTile;
    _tile_zero(0);
    if constexpr (C == 2) _tile_zero(1);
    if constexpr (R == 2) _tile_zero(2);
    if constexpr (R == 2 && C == 2) _tile_zero(3);
    for (int s = 0; s < steps; ++s) {
        _tile_loadd(4, w + s * kTile, 64);
        if constexpr (C == 2) _tile_loadd(5, w2 + s * kTile, 64);
        for (int term = 0; term < terms; ++term) {
            _tile_loadd(6, x + (s * terms + term) * kTile, 64);
            if constexpr (R == 2) _tile_loadd(7, x2 + (s * terms + term) * kTile, 64);
            _tile_dpbf16ps(0, 6, 4);
            if constexpr (C == 2) _tile_dpbf16ps(1, 6, 5);
            if constexpr (R == 2) _tile_dpbf16ps(2, 7, 4);
            if constexpr (R == 2 && C == 2) _tile_dpbf16ps(3, 7, 5);
        }
    }
    alignas(64) float sums[4][256];
    _tile_stored(0, sums[0], 64);
    if constexpr (C == 2) _tile_stored(1, sums[1], 64);
    if constexpr (R == 2) _tile_stored(2, sums[2], 64);
    if constexpr (R == 2 && C == 2) _tile_stored(3, sums[3], 64);
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c)
            put_sums<T>(a, sums[2 * r + c], (block + r) * 16, (output_block + c) * 16);
}

// All rows for the pairs [begin, end) of blocks of 16 outputs.
template <class T>
inline void linear_outputs(const Linear& a, int begin, int end) {
    const int64_t blocks = (a.rows + 15) / 16;
    const int output_blocks = (a.outputs + 15) / 16;
    const Tiles tiles(a.rows < 16 ? int(a.rows) : 16);
    for (int pair = begin; pair < end; ++pair) {
        const bool two = 2 * pair + 1 < output_blocks;
        int64_t block = 0;
        for (; block + 2 <= blocks; block += 2)
            two ? product<T, 2, 2>(a, block, 2 * pair) : product<T, 2, 1>(a, block, 2 * pair);
        if (block < blocks)
            two ? product<T, 1, 2>(a, block, 2 * pair) : product<T, 1, 1>(a, block, 2 * pair);
    }
}

}  // namespace
