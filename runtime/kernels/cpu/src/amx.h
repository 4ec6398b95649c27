// Linear layers on Intel's tile instructions (AMX); for level.cpp, level amx.
//
// A tile of weights is 1 KiB of the packed weight: 16 outputs x 32 inputs in bfloat16, x 64 in int8.
// Inputs in float32 are split into three bfloat16 terms whose sum is exact, so that with weights
// that are bfloat16 values the product is as accurate as one in float32.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "kernels.h"
#include "linear.h"
#include "linear_few.h"
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
    return sizeof(T) == 4 && a.storage == kBf16 ? 3 : 1;
}

inline int tiles_of_row(const Linear& a) { return padded_inputs(a) / (a.storage == kInt8 ? 64 : 32); }

inline int rows_of_block(const Linear& a, int64_t block) {
    const int64_t left = a.rows - block * 16;
    return left < 16 ? int(left) : 16;
}

template <class T>
inline int64_t linear_bytes_amx(const Linear& a) {
    if (has_few_rows(a)) return few_rows_bytes(a);
    if (a.storage == kFloat) return linear_bytes_any(a);
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

// A row in integers: with int8 weights as int8, x 64 inputs per tile, with int4 weights as bfloat16,
// which holds them. Rows from a.rows on are left as they are: no tile has them.
template <class T>
inline void pack_rounded_row(const Linear& a, int64_t row, char* tiles) {
    tiles += row % 16 * 64;
    if (a.storage == kInt8)
        round_row<T>(a, row, [&](int i, vi whole) {
            store_bytes(tiles + i / 64 * kTileBytes + i % 64, whole);
        });
    else
        round_row<T>(a, row, [&](int i, vi whole) {
            store(reinterpret_cast<bf16*>(tiles + i / 32 * kTileBytes) + i % 32,
                  __builtin_convertvector(whole, vf));
        });
}

template <class T>
inline void pack_inputs_amx(const Linear& a, int64_t block) {
    if (a.storage == kFloat) return pack_inputs_any<T>(a, block);
    const int rows = rows_of_block(a, block);
    if (has_few_rows(a)) {
        for (int r = 0; r < rows; ++r) pack_few_row<T>(a, r);
        return;
    }
    const int steps = tiles_of_row(a), terms = terms_of<T>(a);
    char* to = static_cast<char*>(a.packed_x) + block * steps * terms * kTileBytes;
    if (a.storage != kBf16) {
        for (int r = 0; r < rows; ++r) pack_rounded_row<T>(a, block * 16 + r, to);
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

// What is multiplied next, asked for meanwhile: `lines` cache lines before each tile is loaded, which
// disturbs the loads less than all lines of a step at once. is_stream: few rows are done before memory
// is, and the weight is asked for a little ahead of itself.
struct Ahead {
    const char *at = nullptr, *end = nullptr;
    int lines = 0;
    bool is_stream = false;

    void ask() {
        for (int i = 0; i < lines && at < end; ++i, at += 64) _mm_prefetch(at, _MM_HINT_T1);
    }
    // Always inlined: GCC leaves out calls of a function that does nothing but this.
    __attribute__((always_inline)) void ask_behind(const char* tile) const {
        if (!is_stream) return;
        for (int i = 0; i < kTileBytes; i += 64) _mm_prefetch(tile + 2 * kTileBytes + i, _MM_HINT_T0);
    }
};
constexpr int kAsksOfStep = 4;

// sums[2 r + c]: 16 x 16 of row block r and output block c. x, w: the first tiles of the first
// blocks; x_next, w_next: bytes from one block's to the next one's.
template <bool IS_INT8, int TERMS, int R, int C>
inline void multiply(const char* x, int64_t x_next, const char* w, int64_t w_next, int steps,
                     float (*sums)[256], Ahead ahead = {}) {
    _tile_zero(0);
    if constexpr (C == 2) _tile_zero(1);
    if constexpr (R == 2) _tile_zero(2);
    if constexpr (R == 2 && C == 2) _tile_zero(3);
    for (int s = 0; s < steps; ++s) {
        ahead.ask();
        if constexpr (R == 1) ahead.ask_behind(w + s * kTileBytes);
        _tile_loadd(4, w + s * kTileBytes, 64);
        ahead.ask();
        if constexpr (R == 1 && C == 2) ahead.ask_behind(w + w_next + s * kTileBytes);
        if constexpr (C == 2) _tile_loadd(5, w + w_next + s * kTileBytes, 64);
        ahead.ask();
        for (int term = 0; term < TERMS; ++term) {
            const char* tile = x + (s * TERMS + term) * kTileBytes;
            _tile_loadd(6, tile, 64);
            if (term == 0) ahead.ask();
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
        store(sums + r * 16, __builtin_convertvector(whole, vf) * (scale * a.x_scales[row + r]));
    }
}

// R x C blocks of 16 x 16 results, weights in bfloat16 or int8.
template <class T, bool IS_INT8, int R, int C>
inline void product(const Linear& a, int64_t block, int output_block, const Ahead& ahead) {
    constexpr int terms = sizeof(T) == 4 && !IS_INT8 ? 3 : 1;
    const int64_t strip = int64_t(tiles_of_row(a)) * kTileBytes;
    alignas(64) float sums[4][256];
    multiply<IS_INT8, terms, R, C>(
        static_cast<const char*>(a.packed_x) + block * strip * terms, strip * terms,
        static_cast<const char*>(a.weight) + output_block * strip, strip, tiles_of_row(a), sums,
        ahead);
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

// Inputs, and weights, that are used together: both stay in 2 MiB of L2.
constexpr int64_t kChunkBytes = 768 * 1024;

// Weights in bfloat16 or int8. A chunk of rows meets a chunk of outputs, so that both come from L2
// again and again, and results are written in runs along their rows. (Cutting the inputs, too, so
// that one side stays in L1, was measured: storing and loading the sums costs more than it saves.)
// Where all rows are one chunk, one of outputs is a pair of blocks. The next chunk of outputs is asked
// for while this one is multiplied, a share by each pair of row blocks.
template <class T, bool IS_INT8>
inline void linear_in_chunks(const Linear& a, int begin, int end) {
    const int steps = tiles_of_row(a);
    const int64_t strip = int64_t(steps) * kTileBytes, row_blocks = (a.rows + 15) / 16;
    const int64_t many_rows = std::max<int64_t>(1, kChunkBytes / (2 * strip * terms_of<T>(a))) * 2;
    const int many_pairs =
        row_blocks <= many_rows ? 1 : int(std::max<int64_t>(1, kChunkBytes / (2 * strip)));
    const char* weight = static_cast<const char*>(a.weight);
    const char* weight_end = weight + std::min(2 * end, (a.outputs + 15) / 16) * strip;
    for (int64_t first = 0; first < row_blocks; first += many_rows) {
        const int64_t last = std::min(first + many_rows, row_blocks);
        const int asks = kAsksOfStep * int((last - first + 1) / 2);
        const bool is_stream = row_blocks == 1;
        const int lines = is_stream ? 0 : (2 * kTileBytes / 64 + asks - 1) / asks;
        for (int pairs = begin; pairs < end; pairs += many_pairs) {
            const int pairs_end = std::min(pairs + many_pairs, end);
            for (int64_t block = first; block < last; block += 2) {
                const bool two_rows = block + 1 < row_blocks;
                const int64_t share = (block - first) / 2 * steps * kAsksOfStep * lines * 64;
                for (int pair = pairs; pair < pairs_end; ++pair) {
                    const bool two = pair * 32 + 16 < a.outputs;
                    const auto run =
                        two_rows ? (two ? product<T, IS_INT8, 2, 2> : product<T, IS_INT8, 2, 1>)
                                 : (two ? product<T, IS_INT8, 1, 2> : product<T, IS_INT8, 1, 1>);
                    const char* next = weight + (pair + many_pairs) * 2 * strip;
                    run(a, block, 2 * pair,
                        {next + share, std::min(next + 2 * strip, weight_end), lines, is_stream});
                }
            }
        }
    }
}

// --- int4: tiles in bfloat16 are made of 128 inputs at a time ----------------------------------

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

// --- all rows ----------------------------------------------------------------------------------

// For the pairs [begin, end) of blocks of 16 outputs.
template <class T>
inline void linear_amx(const Linear& a, int begin, int end) {
    if (has_few_rows(a)) return linear_few_rows<T>(a, begin, end);
    if (a.storage == kFloat) return linear_any<T, kFloat>(a, begin, end);
    const Tiles tiles(a.rows < 16 ? int(a.rows) : 16);
    if (a.storage == kInt4)
        linear_int4<T>(a, begin, end);
    else if (a.storage == kInt8)
        linear_in_chunks<T, true>(a, begin, end);
    else
        linear_in_chunks<T, false>(a, begin, end);
}

}  // namespace
