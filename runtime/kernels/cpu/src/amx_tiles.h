// Intel's tile instructions (AMX): their configuration, inputs as tiles, products of tiles; for amx.h,
// amx_int4.h and attention_amx.h.
//
// A tile of weights is 1 KiB of the packed weight: 16 outputs x 32 inputs in bfloat16, x 64 in int8.
// Inputs in float32 are split into three bfloat16 terms whose sum is exact, so that with weights
// that are bfloat16 values the product is as accurate as one in float32.
#pragma once

#include <immintrin.h>

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
        // To the compiler it reads a pointer's bytes, and what is stored in the others is never used.
        __asm__ volatile("" : : "r"(&config) : "memory");
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
// disturbs the loads less than all lines of a step at once. is_stream: all rows meet a weight at once,
// are done before memory is, and the weight is asked for a little ahead of itself.
struct Ahead {
    const char *at = nullptr, *end = nullptr;
    int lines = 0;
    bool is_stream = false;

    void ask() {
        for (int i = 0; i < lines && at < end; ++i, at += 64) _mm_prefetch(at, _MM_HINT_T1);
    }
};
constexpr int kAsksOfStep = 4;
constexpr int kStreamTiles = 4;  // from a tile of a stream to what is asked for with it

// A PART-th of what a stream asks for with the tile `step` of a strip. skip: bytes between this strip
// and the one that comes next.
template <int PART>
__attribute__((always_inline)) inline void ask_of_stream(const char* strip, int64_t skip, int step,
                                                         int steps, int part) {
    const int64_t over = step + kStreamTiles < steps ? 0 : skip;
    const char* tile = strip + over + int64_t(step + kStreamTiles) * kTileBytes;
    for (int i = part * kTileBytes / PART; i < (part + 1) * kTileBytes / PART; i += 64)
        _mm_prefetch(tile + i, _MM_HINT_T0);
}

// Where up to four blocks of 16 x 16 sums go, and the bytes from one row of a block to the next.
struct Places {
    float* at[4];
    int64_t stride[4];

    // One behind the other.
    Places(float (*sums)[256]) {
        for (int i = 0; i < 4; ++i) at[i] = sums[i], stride[i] = 64;
    }
};

// to: of row block r and output block c that numbered 2 r + c. x, w: the first tiles of the first
// blocks; x_next, w_next: bytes from one block's to the next one's.
template <bool IS_INT8, int TERMS, int R, int C>
inline void multiply(const char* x, int64_t x_next, const char* w, int64_t w_next, int steps,
                     const Places& to, Ahead ahead = {}) {
    _tile_zero(0);
    if constexpr (C == 2) _tile_zero(1);
    if constexpr (R == 2) _tile_zero(2);
    if constexpr (R == 2 && C == 2) _tile_zero(3);
    for (int s = 0; s < steps; ++s) {
        ahead.ask();
        if (ahead.is_stream) ask_of_stream<1>(w, (C - 1) * w_next, s, steps, 0);
        _tile_loadd(4, w + s * kTileBytes, 64);
        ahead.ask();
        if (C == 2 && ahead.is_stream) ask_of_stream<1>(w + w_next, w_next, s, steps, 0);
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
    _tile_stored(0, to.at[0], to.stride[0]);
    if constexpr (C == 2) _tile_stored(1, to.at[1], to.stride[1]);
    if constexpr (R == 2) _tile_stored(2, to.at[2], to.stride[2]);
    if constexpr (R == 2 && C == 2) _tile_stored(3, to.at[3], to.stride[3]);
}

// to: of row block r of R (3 or 4) and one output block, whose strip is a stream, number r. skip: as in
// ask_of_stream.
template <bool IS_INT8, int TERMS, int R>
inline void multiply_tall(const char* x, int64_t x_next, const char* w, int64_t skip, int steps,
                          const Places& to) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    if constexpr (R == 4) _tile_zero(3);
    for (int s = 0; s < steps; ++s) {
        _tile_loadd(4, w + s * kTileBytes, 64);
        for (int term = 0; term < TERMS; ++term) {
            const char* tile = x + (s * TERMS + term) * kTileBytes;
            const auto ask = [&](int part) __attribute__((always_inline)) {
                if (term == 0) ask_of_stream<4>(w, skip, s, steps, part);
            };
            _tile_loadd(5, tile, 64);
            ask(0);
            BL_DOT(0, 5, 4);
            _tile_loadd(6, tile + x_next, 64);
            ask(1);
            BL_DOT(1, 6, 4);
            _tile_loadd(7, tile + 2 * x_next, 64);
            ask(2);
            BL_DOT(2, 7, 4);
            ask(3);
            if constexpr (R == 4) {
                _tile_loadd(5, tile + 3 * x_next, 64);
                BL_DOT(3, 5, 4);
            }
        }
    }
    _tile_stored(0, to.at[0], to.stride[0]);
    _tile_stored(1, to.at[1], to.stride[1]);
    _tile_stored(2, to.at[2], to.stride[2]);
    if constexpr (R == 4) _tile_stored(3, to.at[3], to.stride[3]);
}
#undef BL_DOT

}  // namespace
