// Intel's tile instructions (AMX): their configuration, inputs as tiles, products of tiles; for amx.h,
// amx_groups.h and attention_amx.h.
//
// A tile of weights is 1 KiB of the packed weight: 16 outputs x 32 inputs in bfloat16, x 64 in int8.
// (With int4 and int6 it is 16 x 32 in int8: amx_groups.h.)
// Inputs in float32 are split into three bfloat16 terms whose sum is exact, so that with weights
// that are bfloat16 values the product is as accurate as one in float32.
#pragma once

#include <immintrin.h>

#include "kernels.h"
#include "linear_few.h"
#include "linear_panels.h"
#include "vec.h"

namespace {

constexpr int kTileBytes = 1024;
constexpr int kTile = 512;  // bfloat16 values of a tile

struct alignas(64) TileConfig {
    uint8_t palette = 0, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
};

// Tiles 0-3 are sums, 4-5 weights, 6-7 inputs; 2, 3 and 7 are the second row block's. A product takes
// as long as its inputs have rows. What was configured before comes back at the end: torch's own
// kernels use the same tiles.
class Tiles {
public:
    Tiles(int rows, int second_rows, bool is_int4 = false) {
        _tile_storeconfig(&before_);
        TileConfig config;
        config.palette = 1;
        for (int i = 0; i < 8; ++i) {
            const bool is_second = i == 2 || i == 3 || i == 7, is_weight = i == 4 || i == 5;
            config.row_bytes[i] = is_int4 && i >= 6 ? 32 : 64;
            config.rows[i] = uint8_t(is_weight ? (is_int4 ? 8 : 16) : is_second ? second_rows : rows);
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

// Up to so many rows the last row block, if it is not the only one, is always a second one: of an odd
// number the first stands alone.
constexpr int kMostExactRows = 48;

inline Tiles tiles_of(const Linear& a) {
    const bool is_exact = a.rows > 16 && a.rows <= kMostExactRows;
    return {rows_of_block(a, 0), is_exact ? rows_of_block(a, (a.rows - 1) / 16) : 16, has_groups(a.storage)};
}

template <class T>
inline int64_t linear_bytes_amx(const Linear& a) {
    if (is_packed_in_rows(a)) return (a.rows + 15) / 16 * 16 * bytes_of_few_row(a);
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

// A row in int8, x 64 inputs per tile. Rows from a.rows on are left as they are: no tile has them.
template <class T>
inline void pack_rounded_row(const Linear& a, int64_t row, char* tiles) {
    tiles += row % 16 * 64;
    round_row<T>(a, row, [&](int i, vi whole) {
        store_bytes(tiles + i / 64 * kTileBytes + i % 64, whole);
    });
}

template <class T>
inline void pack_inputs_amx(const Linear& a, int64_t block) {
    if (a.storage == kFloat) return pack_inputs_any<T>(a, block);
    if (is_packed_in_rows(a)) return pack_few_rows<T>(a, block);
    const int rows = rows_of_block(a, block);
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

// What is multiplied next is asked for meanwhile, a little before each tile is loaded, which disturbs
// the loads less than all of a step at once. By `lines` cache lines:
struct Ahead {
    const char *at = nullptr, *end = nullptr;
    int lines = 0;

    void ask(int) {
        for (int i = 0; i < lines && at < end; ++i, at += 64) _mm_prefetch(at, _MM_HINT_T1);
    }
};
constexpr int kAsksOfStep = 4;

// Where weights are read once and multiplied with a few rows, reading takes as long as multiplying.
// While two strips are multiplied, the next two are asked for at four places of each in turn: what the
// processor reads ahead by itself ends with a page, so that eight pages at once keep more lines on
// their way (one thread reads 17 GB/s so, of 18 that it reads at all, and 11 from one place).
class Stream {
public:
    // first, first + between: the strips that begin, whose next ones are `onward` bytes on, `count`
    // times in all. passes: over each two, 1 or 2. The first two are asked for at once.
    Stream(const char* first, int64_t between, int64_t onward, int64_t strip, int count, int passes)
        : next_(first), between_(between), onward_(onward), quarter_(strip / 4), left_(count),
          runs_(2 / passes) {
        while (at_ < quarter_)
            for (int part = 0; part < kAsksOfStep; ++part) ask(part);
        advance();
    }

    __attribute__((always_inline)) void ask(int part) {
        if (at_ >= quarter_) return;
        const char* lines = next_ + part / 2 * between_ + part % 2 * 2 * quarter_ + at_;
        for (int i = 0; i < runs_; ++i, lines += kRunBytes) {
            for (const char* line : {lines, lines + quarter_}) {
                _mm_prefetch(line, _MM_HINT_T1);
                _mm_prefetch(line + 64, _MM_HINT_T1);
            }
        }
        if (part == kAsksOfStep - 1) at_ += runs_ * kRunBytes;
    }

    // The strips that were asked for are multiplied from here on.
    void advance() {
        next_ += onward_, at_ = 0;
        if (--left_ <= 0) quarter_ = 0;
    }

private:
    static constexpr int64_t kRunBytes = 2 * 64;

    const char* next_;
    int64_t between_, onward_, quarter_, at_ = 0;
    int left_, runs_;
};

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
template <bool IS_INT8, int TERMS, int R, int C, class Asked = Ahead>
inline void multiply(const char* x, int64_t x_next, const char* w, int64_t w_next, int steps,
                     const Places& to, Asked&& ahead = {}) {
    _tile_zero(0);
    if constexpr (C == 2) _tile_zero(1);
    if constexpr (R == 2) _tile_zero(2);
    if constexpr (R == 2 && C == 2) _tile_zero(3);
    // Products stand between the loads: where another thread has its share of the core, one tile is
    // loaded or multiplied at a time, and what is loaded early only waits.
    for (int s = 0; s < steps; ++s) {
        _tile_loadd(4, w + s * kTileBytes, 64);
        ahead.ask(0);
        for (int term = 0; term < TERMS; ++term) {
            const char* tile = x + (s * TERMS + term) * kTileBytes;
            _tile_loadd(6, tile, 64);
            if (term == 0) ahead.ask(1);
            BL_DOT(0, 6, 4);
            if constexpr (C == 2) {
                if (term == 0) _tile_loadd(5, w + w_next + s * kTileBytes, 64);
                BL_DOT(1, 6, 5);
            }
            if (term == 0) ahead.ask(2);
            if constexpr (R == 2) _tile_loadd(7, tile + x_next, 64);
            if (term == 0) ahead.ask(3);
            if constexpr (R == 2) BL_DOT(2, 7, 4);
            if constexpr (R == 2 && C == 2) BL_DOT(3, 7, 5);
        }
    }
    _tile_stored(0, to.at[0], to.stride[0]);
    if constexpr (C == 2) _tile_stored(1, to.at[1], to.stride[1]);
    if constexpr (R == 2) _tile_stored(2, to.at[2], to.stride[2]);
    if constexpr (R == 2 && C == 2) _tile_stored(3, to.at[3], to.stride[3]);
}
#undef BL_DOT

}  // namespace
