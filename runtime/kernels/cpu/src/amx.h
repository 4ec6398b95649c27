// Linear layers on Intel's tile instructions (AMX); for level.cpp, level amx.
//
// A tile of weights is 1 KiB of the packed weight: 16 outputs x 32 inputs in bfloat16, x 64 in int8.
// Inputs in float32 are split into three bfloat16 terms whose sum is exact, so that with weights
// that are bfloat16 values the product is as accurate as one in float32.
#pragma once

#include <immintrin.h>

#include "kernels.h"
#include "linear.h"
#include "vec.h"

namespace {

constexpr int kTileBytes = 1024;
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

// --- inputs as tiles of 16 rows ----------------------------------------------------------------

template <class T>
inline int terms_of(const Linear& a) {
    return sizeof(T) == 4 && a.storage != kInt8 ? 3 : 1;
}

inline int tiles_of_row(const Linear& a) { return padded_inputs(a) / (a.storage == kInt8 ? 64 : 32); }

inline int rows_of_block(const Linear& a, int64_t block) {
    const int64_t left = a.rows - block * 16;
    return left < 16 ? int(left) : 16;
}

template <class T>
inline int64_t linear_bytes_amx(const Linear& a) {
    return (a.rows + 15) / 16 * tiles_of_row(a) * terms_of<T>(a) * kTileBytes;
}

// 16 rows (those from `rows` on are zero) x 32 inputs of x, as one tile per term.
inline void pack_tile(const bf16* x, int64_t stride, int rows, int columns, bf16* tiles) {
    for (int r = 0; r < 16; ++r) {
        bf16* to = tiles + r * 32;
        if (r >= rows || columns < 32) std::memset(to, 0, 64);
        if (r < rows && columns > 0)
            std::memcpy(to, x + r * stride, size_t(columns < 32 ? columns : 32) * 2);
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

// The same in int8, x 64 inputs per tile; rows from a.rows on are left as they are: no tile has them.
template <class T>
inline void pack_int8_row(const Linear& a, int64_t row, char* tiles) {
    const T* x = static_cast<const T*>(a.x) + row * a.inputs;
    a.row_scales[row] = scale_of_row(x, a.inputs);
    const float inverse = inverse_of_scale(a.row_scales[row]);
    const int padded = padded_inputs(a);
    for (int i = 0; i < padded; i += W) {
        vf part = {};
        if (i < a.inputs) part = load_up_to(x + i, a.inputs - i);
        typedef int8_t vb __attribute__((vector_size(W)));
        const vb bytes = __builtin_convertvector(to_integers(part * inverse), vb);
        std::memcpy(tiles + i / 64 * kTileBytes + row % 16 * 64 + i % 64, &bytes, sizeof bytes);
    }
}

template <class T>
inline void pack_inputs_amx(const Linear& a, int64_t block) {
    const int steps = tiles_of_row(a), terms = terms_of<T>(a), rows = rows_of_block(a, block);
    char* to = static_cast<char*>(a.packed_x) + block * steps * terms * kTileBytes;
    if (a.storage == kInt8) {
        for (int r = 0; r < rows; ++r) pack_int8_row<T>(a, block * 16 + r, to);
        return;
    }
    const T* x = static_cast<const T*>(a.x) + block * 16 * a.inputs;
    for (int s = 0; s < steps; ++s)
        pack_tile(x + s * 32, a.inputs, rows, a.inputs - s * 32,
                  reinterpret_cast<bf16*>(to + s * terms * kTileBytes));
}

// --- products of tiles -------------------------------------------------------------------------

// The tiles' numbers have to be literals.
#define BL_DOT(sums, x, w)                                                  \
    do {                                                                    \
        if constexpr (IS_INT8) _tile_dpbssd(sums, x, w);                    \
        else _tile_dpbf16ps(sums, x, w);                                    \
    } while (false)

// sums[2 r + c]: 16 x 16 of row block r and output block c. x, w: the first tiles of the first
// blocks; x_next, w_next: bytes from one block's to the next one's.
template <bool IS_INT8, int TERMS, int R, int C>
inline void multiply(
    const char* x, int64_t x_next, const char* w, int64_t w_next, int steps, float (*sums)[256]
) {
    _tile_zero(0);
    if constexpr (C == 2) _tile_zero(1);
    if constexpr (R == 2) _tile_zero(2);
    if constexpr (R == 2 && C == 2) _tile_zero(3);
    for (int s = 0; s < steps; ++s) {
        _tile_loadd(4, w + s * kTileBytes, 64);
        if constexpr (C == 2) _tile_loadd(5, w + w_next + s * kTileBytes, 64);
        for (int term = 0; term < TERMS; ++term) {
            const char* tile = x + (s * TERMS + term) * kTileBytes;
            _tile_loadd(6, tile, 64);
            if constexpr (R == 2) _tile_loadd(7, tile + x_next, 64);
            BL_DOT(0, 6, 4);
            if constexpr (C == 2) BL_DOT(1, 6, 5);
            if constexpr (R == 2) BL_DOT(2, 7, 4);
            if constexpr (R == 2 && C == 2) BL_DOT(3, 7, 5);
        }
    }
    _tile_stored(0, sums[0], 64);
    if constexpr (C == 2) _tile_stored(1, sums[1], 64);
    if constexpr (R == 2) _tile_stored(2, sums[2], 64);
    if constexpr (R == 2 && C == 2) _tile_stored(3, sums[3], 64);
}
#undef BL_DOT

// 16 x 16 sums of integers as floats in their place, times the scales of rows and outputs.
inline void scale_int8(const Linear& a, float* sums, int rows, int64_t row, int output) {
    const vf scale = load(static_cast<const float*>(a.scales) + output);
    for (int r = 0; r < rows; ++r) {
        vi whole;
        std::memcpy(&whole, sums + r * 16, sizeof whole);
        store(sums + r * 16, __builtin_convertvector(whole, vf) * scale * a.row_scales[row + r]);
    }
}

// R x C blocks of 16 x 16 results, weights in bfloat16 or int8.
template <class T, bool IS_INT8, int R, int C>
inline void product(const Linear& a, int64_t block, int output_block) {
    constexpr int terms = sizeof(T) == 4 && !IS_INT8 ? 3 : 1;
    const int64_t strip = int64_t(tiles_of_row(a)) * kTileBytes;
    alignas(64) float sums[4][256];
    multiply<IS_INT8, terms, R, C>(
        static_cast<const char*>(a.packed_x) + block * strip * terms, strip * terms,
        static_cast<const char*>(a.weight) + output_block * strip, strip, tiles_of_row(a), sums);
    for (int r = 0; r < R; ++r) {
        const int rows = rows_of_block(a, block + r);
        for (int c = 0; c < C; ++c) {
            const int64_t row = (block + r) * 16;
            const int output = (output_block + c) * 16;
            if constexpr (IS_INT8) scale_int8(a, sums[2 * r + c], rows, row, output);
            put_sums<T>(a, sums[2 * r + c], rows, row, output);
        }
    }
}

template <class T, bool IS_INT8, int C>
inline void product_of_all_rows(const Linear& a, int output_block) {
    const int64_t blocks = (a.rows + 15) / 16;
    int64_t block = 0;
    for (; block + 2 <= blocks; block += 2) product<T, IS_INT8, 2, C>(a, block, output_block);
    if (block < blocks) product<T, IS_INT8, 1, C>(a, block, output_block);
}

// --- int4: tiles in bfloat16 are made a group of inputs at a time ------------------------------

constexpr int kMostSteps = 4;       // of a group: 128 inputs
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

template <int TERMS, int R, int C>
inline void add_group(const Linear& a, int64_t block, int group, int steps, const bf16* tiles,
                      const vf* scales, float (*totals)[256]) {
    const int64_t x_next = int64_t(tiles_of_row(a)) * TERMS * kTileBytes;
    const char* x = static_cast<const char*>(a.packed_x) + block * x_next +
                    int64_t(group) * steps * TERMS * kTileBytes;
    alignas(64) float sums[4][256];
    multiply<false, TERMS, R, C>(x, x_next, reinterpret_cast<const char*>(tiles),
                                 kMostSteps * kTileBytes, steps, sums);
    for (int r = 0; r < R; ++r) {
        const int rows = rows_of_block(a, block + r);
        for (int c = 0; c < C; ++c) {
            float* total = totals[2 * r + c];
            for (int i = 0; i < rows; ++i)
                store(total + i * 16, load(total + i * 16) + load(sums[2 * r + c] + i * 16) * scales[c]);
        }
    }
}

template <class T, int C>
inline void int4_outputs(const Linear& a, int output_block) {
    constexpr int terms = sizeof(T) == 4 ? 3 : 1;
    const int steps = a.group / 32, groups = tiles_of_row(a) / steps;
    const int64_t words = int64_t(tiles_of_row(a)) * 256;  // bytes of 16 outputs
    const char* weight = static_cast<const char*>(a.weight) + output_block * words;
    const bf16* scales = static_cast<const bf16*>(a.scales) + int64_t(output_block) * groups * 16;
    alignas(64) bf16 tiles[2 * kMostSteps * kTile];
    alignas(64) float totals[2 * kInt4RowBlocks][256];
    const int64_t blocks = (a.rows + 15) / 16;
    for (int64_t first = 0; first < blocks; first += kInt4RowBlocks) {
        const int64_t end = first + kInt4RowBlocks < blocks ? first + kInt4RowBlocks : blocks;
        std::memset(totals, 0, size_t(end - first) * 2 * sizeof totals[0]);
        for (int group = 0; group < groups; ++group) {
            vf scale[C];
            for (int c = 0; c < C; ++c) {
                scale[c] = load(scales + (int64_t(c) * groups + group) * 16);
                for (int s = 0; s < steps; ++s)
                    unpack_int4(weight + c * words + (int64_t(group) * steps + s) * 256,
                                tiles + (c * kMostSteps + s) * kTile);
            }
            int64_t block = first;
            for (; block + 2 <= end; block += 2)
                add_group<terms, 2, C>(a, block, group, steps, tiles, scale,
                                       totals + 2 * (block - first));
            if (block < end)
                add_group<terms, 1, C>(a, block, group, steps, tiles, scale,
                                       totals + 2 * (block - first));
        }
        for (int64_t block = first; block < end; ++block)
            for (int c = 0; c < C; ++c)
                put_sums<T>(a, totals[2 * (block - first) + c], rows_of_block(a, block), block * 16,
                            (output_block + c) * 16);
    }
}

// --- all rows ----------------------------------------------------------------------------------

template <class T, int C>
inline void outputs_amx(const Linear& a, int output_block) {
    if (a.storage == kInt4)
        int4_outputs<T, C>(a, output_block);
    else if (a.storage == kInt8)
        product_of_all_rows<T, true, C>(a, output_block);
    else
        product_of_all_rows<T, false, C>(a, output_block);
}

// All rows for the pairs [begin, end) of blocks of 16 outputs.
template <class T>
inline void linear_amx(const Linear& a, int begin, int end) {
    const Tiles tiles(a.rows < 16 ? int(a.rows) : 16);
    for (int pair = begin; pair < end; ++pair) {
        if (pair * 32 + 16 < a.outputs)
            outputs_amx<T, 2>(a, 2 * pair);
        else
            outputs_amx<T, 1>(a, 2 * pair);
    }
}

}  // namespace
