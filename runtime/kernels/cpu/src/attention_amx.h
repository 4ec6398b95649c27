// Attention of many rows in bfloat16 on Intel's tile instructions (AMX); for level.cpp, level amx.
//
// Scores come as [keys, rows] = K Q^T, so that the softmax of attention.h has its rows in lanes.
// The weights, rounded to bfloat16, are turned over in registers to be the left side of the
// product with V. Keys and values are copied into tiles block by block; what 64 rows do with them
// costs more than the copy.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "amx.h"
#include "attention.h"

namespace {

constexpr int kRowTiles = kMaxRows / 16;
constexpr int kKeyTiles = kBlock / 16;   // of scores
constexpr int kKeySteps = kBlock / 32;   // of the products with V

// Tiles of one thread, kept between calls.
struct TileScratch {
    char *q = nullptr, *keys = nullptr, *values = nullptr, *weights = nullptr;
    float* scores = nullptr;  // [key tile pairs][row tile pairs][2][2][16 keys][16 rows]
    int dim = 0;

    void reserve(int head_dim) {
        if (head_dim <= dim) return;
        std::free(q);
        const int steps = (head_dim + 31) / 32, columns = (head_dim + 15) / 16;
        const int tiles = (kRowTiles + kKeyTiles) * steps + columns * kKeySteps +
                          kRowTiles * kKeySteps + kRowTiles * kKeyTiles;
        q = static_cast<char*>(std::aligned_alloc(64, size_t(tiles) * kTileBytes));
        if (q == nullptr) throw std::bad_alloc();
        dim = head_dim;
        keys = q + kRowTiles * steps * kTileBytes;
        values = keys + kKeyTiles * steps * kTileBytes;
        weights = values + columns * kKeySteps * kTileBytes;
        scores = reinterpret_cast<float*>(weights + kRowTiles * kKeySteps * kTileBytes);
    }
    ~TileScratch() { std::free(q); }
};

thread_local TileScratch tile_scratch;

// All lanes: the forms with a mask, as compilers warn of an undefined register in those without.
constexpr __mmask16 kAll = 0xffff;
constexpr __mmask8 kAllPairs = 0xff;

// 16 x 16 words of 32 bits, transposed.
inline void turn(__m512i* x) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_maskz_unpacklo_epi32(kAll, x[i], x[i + 1]);
        t[i + 1] = _mm512_maskz_unpackhi_epi32(kAll, x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        x[i] = _mm512_maskz_unpacklo_epi64(kAllPairs, t[i], t[i + 2]);
        x[i + 1] = _mm512_maskz_unpackhi_epi64(kAllPairs, t[i], t[i + 2]);
        x[i + 2] = _mm512_maskz_unpacklo_epi64(kAllPairs, t[i + 1], t[i + 3]);
        x[i + 3] = _mm512_maskz_unpackhi_epi64(kAllPairs, t[i + 1], t[i + 3]);
    }
    // Quarter b of x[4 g + c] is column 4 b + c of the rows 4 g to 4 g + 3.
    for (int c = 0; c < 4; ++c) {
        const __m512i even = _mm512_maskz_shuffle_i32x4(kAll, x[c], x[4 + c], 0x88);
        const __m512i odd = _mm512_maskz_shuffle_i32x4(kAll, x[c], x[4 + c], 0xdd);
        const __m512i even_below = _mm512_maskz_shuffle_i32x4(kAll, x[8 + c], x[12 + c], 0x88);
        const __m512i odd_below = _mm512_maskz_shuffle_i32x4(kAll, x[8 + c], x[12 + c], 0xdd);
        t[c] = _mm512_maskz_shuffle_i32x4(kAll, even, even_below, 0x88);
        t[8 + c] = _mm512_maskz_shuffle_i32x4(kAll, even, even_below, 0xdd);
        t[4 + c] = _mm512_maskz_shuffle_i32x4(kAll, odd, odd_below, 0x88);
        t[12 + c] = _mm512_maskz_shuffle_i32x4(kAll, odd, odd_below, 0xdd);
    }
    for (int i = 0; i < 16; ++i) x[i] = t[i];
}

// 32 values from p on, of which `count` are there; the others are 0.
inline __m512i load_row(const bf16* p, int count) {
    if (count >= 32) return _mm512_loadu_si512(p);
    return count <= 0 ? _mm512_setzero_si512()
                      : _mm512_maskz_loadu_epi16((1u << count) - 1u, p);
}

// 16 values as words of 32 bits.
inline vu load_words(const bf16* p, int count) {
    const __mmask16 there = count >= 16 ? kAll : __mmask16((1u << count) - 1u);
    return __builtin_convertvector((vh)_mm256_maskz_loadu_epi16(there, p), vu);
}

// Queries as right sides, [row tiles][steps of 32 dims]: a word is two dims of one row.
inline void pack_queries(const Attend& a, const Item& item, int kv_head, int num_rows, int group) {
    const int steps = (a.head_dim + 31) / 32;
    for (int tile = 0; tile * 16 < num_rows; ++tile) {
        for (int s = 0; s < steps; ++s) {
            __m512i words[16];
            for (int i = 0; i < 16; ++i) {
                const int r = tile * 16 + i;
                words[i] = r < num_rows
                    ? load_row(query_row<bf16>(a, item, kv_head, group, r) + s * 32,
                               a.head_dim - s * 32)
                    : _mm512_setzero_si512();
            }
            turn(words);
            char* to = tile_scratch.q + (tile * steps + s) * kTileBytes;
            for (int i = 0; i < 16; ++i) _mm512_store_si512(to + i * 64, words[i]);
        }
    }
}

// Keys as left sides, [key tiles][steps of 32 dims].
inline void pack_keys(const bf16* k, const int64_t* slots, int keys, int dim) {
    const int steps = (dim + 31) / 32, rows = (keys + 15) / 16 * 16;
    for (int n = 0; n < rows; ++n) {
        const bf16* row = n < keys ? k + slots[n] * dim : nullptr;
        char* to = tile_scratch.keys + n / 16 * steps * kTileBytes + n % 16 * 64;
        for (int s = 0; s < steps; ++s)
            _mm512_store_si512(to + s * kTileBytes,
                               row ? load_row(row + s * 32, dim - s * 32) : _mm512_setzero_si512());
    }
}

// Values as right sides, [tiles of 16 dims][steps of 32 keys]: a word is two keys of one dim.
inline void pack_values(const bf16* v, const int64_t* slots, int keys, int dim, int key_steps) {
    for (int pair = 0; pair < key_steps * 16; ++pair) {
        const int n = pair * 2;
        const bf16* low = n < keys ? v + slots[n] * dim : nullptr;
        const bf16* high = n + 1 < keys ? v + slots[n + 1] * dim : nullptr;
        char* to = tile_scratch.values + pair / 16 * kTileBytes + pair % 16 * 64;
        for (int d = 0; d < dim; d += 16) {
            vu words = {};
            if (low) words = load_words(low + d, dim - d);
            if (high) words |= load_words(high + d, dim - d) << 16;
            std::memcpy(to + d / 16 * key_steps * kTileBytes, &words, sizeof words);
        }
    }
}

// R x C tiles of products into sums, as many as there are.
inline void multiply_up_to(bool two_rows, bool two_columns, const char* x, const char* w,
                           int64_t next, int steps, float (*sums)[256]) {
    const auto run = two_rows ? (two_columns ? multiply<false, 1, 2, 2> : multiply<false, 1, 2, 1>)
                              : (two_columns ? multiply<false, 1, 1, 2> : multiply<false, 1, 1, 1>);
    run(x, next, w, next, steps, sums);
}

inline float* score_row(int n, int row_tile, int row_pairs) {
    const int tile = n / 16;
    return tile_scratch.scores + ((tile / 2 * row_pairs + row_tile / 2) * 4 + tile % 2 * 2 +
                                  row_tile % 2) * 256 + n % 16 * 16;
}

inline void scores_of_tiles(int key_tiles, int row_tiles, int steps) {
    const int64_t next = int64_t(steps) * kTileBytes;
    const int row_pairs = (row_tiles + 1) / 2;
    for (int n = 0; n < key_tiles; n += 2)
        for (int r = 0; r < row_tiles; r += 2)
            multiply_up_to(n + 1 < key_tiles, r + 1 < row_tiles, tile_scratch.keys + n * next,
                           tile_scratch.q + r * next, next, steps,
                           reinterpret_cast<float(*)[256]>(score_row(n * 16, r, row_pairs)));
}

// From scores to weights, in bfloat16, [row tiles][key steps]; `shrink` is what earlier sums are
// multiplied with.
inline void weigh(int keys, int key_steps, int row_tiles, const int* low, const int* high,
                  bool masked, float factor, float* most, float* total, float* shrink) {
    const int row_pairs = (row_tiles + 1) / 2;
    const vf zero = {};
    for (int tile = 0; tile < row_tiles; ++tile) {
        const int r = tile * 16;
        vi first, last;
        std::memcpy(&first, low + r, sizeof first);
        std::memcpy(&last, high + r, sizeof last);
        vf best = splat(kNegInf);
        for (int n = 0; n < keys; ++n) {
            float* scores = score_row(n, tile, row_pairs);
            vf score = load(scores);
            if (masked) {
                const vi at = vi{} + n;
                score = ((at < first) | (at > last)) ? splat(kNegInf) : score;
                store(scores, score);
            }
            best = vmax(best, score);
        }
        const vf before = load(most + r), now = vmax(before, best * factor);
        const vf base = now == splat(kNegInf) ? zero : now;
        const vf less = exp2(before - base);
        vf sums = load(total + r) * less;
        for (int s = 0; s < key_steps; ++s) {
            __m512i words[16];
            for (int j = 0; j < 16; ++j) {
                const int n = s * 32 + j * 2;
                const vf even = n < keys
                    ? exp2(load(score_row(n, tile, row_pairs)) * factor - base) : zero;
                const vf odd = n + 1 < keys
                    ? exp2(load(score_row(n + 1, tile, row_pairs)) * factor - base) : zero;
                sums += even + odd;
                // To the nearest, for numbers that are not negative.
                const vu low_half = ((vu)even + 0x8000u) >> 16;
                const vu high_half = ((vu)odd + 0x8000u) & 0xffff0000u;
                words[j] = (__m512i)(low_half | high_half);
            }
            turn(words);
            char* to = tile_scratch.weights + (tile * key_steps + s) * kTileBytes;
            for (int i = 0; i < 16; ++i) _mm512_store_si512(to + i * 64, words[i]);
        }
        store(total + r, sums);
        store(most + r, now);
        store(shrink + r, less);
    }
}

// out = out * shrink + weights x values, rows of `padded`.
inline void add_values(int row_tiles, int padded, int key_steps, const float* shrink) {
    const int64_t next = int64_t(key_steps) * kTileBytes;
    const int column_tiles = padded / 16;
    alignas(64) float sums[4][256];
    for (int r = 0; r < row_tiles; r += 2) {
        const int rows = std::min(2, row_tiles - r);
        for (int c = 0; c < column_tiles; c += 2) {
            const int columns = std::min(2, column_tiles - c);
            multiply_up_to(rows == 2, columns == 2, tile_scratch.weights + r * next,
                           tile_scratch.values + c * next, next, key_steps, sums);
            for (int i = 0; i < rows * 16; ++i) {
                float* out = scratch.out + (r * 16 + i) * padded + c * 16;
                for (int j = 0; j < columns; ++j)
                    store(out + j * 16, load(out + j * 16) * shrink[r * 16 + i] +
                                            load(sums[i / 16 * 2 + j] + i % 16 * 16));
            }
        }
    }
}

inline void attend_rows_amx(const Attend& a, const Item& item, int kv_head) {
    const int dim = a.head_dim, padded = round_up(dim), group = a.heads / a.kv_heads;
    const int num_rows = item.count * group, row_tiles = (num_rows + 15) / 16;
    scratch.reserve(padded);
    tile_scratch.reserve(dim);
    const Tiles tiles(16);
    pack_queries(a, item, kv_head, num_rows, group);
    std::memset(scratch.out, 0, sizeof(float) * padded * row_tiles * 16);
    float most[kMaxRows], total[kMaxRows], shrink[kMaxRows];
    for (int r = 0; r < kMaxRows; ++r) most[r] = kNegInf, total[r] = 0.f;

    const int64_t head = kv_head * a.num_slots * dim;
    const bf16* k = static_cast<const bf16*>(a.k) + head;
    const bf16* v = static_cast<const bf16*>(a.v) + head;
    const Sight sight = sight_of(a, item, num_rows, group);
    for (int at = sight.begin; at < sight.end; at += kBlock) {
        const int keys = std::min(kBlock, sight.end - at), key_steps = (keys + 31) / 32;
        int first[kMaxRows], last[kMaxRows];
        const bool masked = look_at(sight, at, keys, num_rows, first, last);
        pack_keys(k, item.slots + at, keys, dim);
        pack_values(v, item.slots + at, keys, dim, key_steps);
        scores_of_tiles((keys + 15) / 16, row_tiles, (dim + 31) / 32);
        weigh(keys, key_steps, row_tiles, first, last, masked, score_factor(dim), most, total,
              shrink);
        add_values(row_tiles, padded, key_steps, shrink);
    }
    put_rows<bf16>(a, item, kv_head, num_rows, most, total);
}

}  // namespace
