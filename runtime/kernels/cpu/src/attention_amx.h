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
constexpr int kTileBlock = 128;              // keys between two updates of the running maximum
constexpr int kKeyTiles = kTileBlock / 16;   // of scores
constexpr int kKeySteps = kTileBlock / 32;   // of the products with V

// Tiles of one thread, kept between calls.
struct TileScratch {
    char *q = nullptr, *keys = nullptr, *values = nullptr, *weights = nullptr;
    // Products, [pairs of tiles][pairs of tiles][2][2][16][16]: scores of keys and rows, then sums of
    // rows and dims. Whole blocks are made first, as a stored tile can be read only after some time.
    float* products = nullptr;
    // Keys, then values of one block that are stored as int8.
    bf16* unrounded = nullptr;
    int dim = 0;

    void reserve(int head_dim) {
        if (head_dim <= dim) return;
        std::free(q);
        const int steps = (head_dim + 31) / 32, columns = (head_dim + 15) / 16;
        const int tiles = (kRowTiles + kKeyTiles) * steps + columns * kKeySteps +
                          kRowTiles * kKeySteps + kRowTiles * std::max(kKeyTiles, columns + 1);
        const size_t rows = 2 * kTileBlock * sizeof(bf16) * size_t(head_dim);
        q = static_cast<char*>(std::aligned_alloc(64, size_t(tiles) * kTileBytes + rows));
        if (q == nullptr) throw std::bad_alloc();
        unrounded = reinterpret_cast<bf16*>(q + size_t(tiles) * kTileBytes);
        dim = head_dim;
        keys = q + kRowTiles * steps * kTileBytes;
        values = keys + kKeyTiles * steps * kTileBytes;
        weights = values + columns * kKeySteps * kTileBytes;
        products = reinterpret_cast<float*>(weights + kRowTiles * kKeySteps * kTileBytes);
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
inline void pack_keys(const bf16* k, const int64_t* slots, int keys, int dim, int key_steps) {
    const int steps = (dim + 31) / 32;
    for (int n = 0; n < key_steps * 32; ++n) {
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

struct InOrder {
    int64_t slots[kTileBlock];
    constexpr InOrder() : slots() {
        for (int n = 0; n < kTileBlock; ++n) slots[n] = n;
    }
};
constexpr InOrder kInOrder;

// The keys and values of a block, kTileBlock rows of each; head: of its first slot, in rows.
inline const bf16* unround_block(const Attend& a, int64_t head, const int64_t* slots, int keys) {
    const int64_t stride = row_stride<i8>(a.head_dim);
    const i8* k = static_cast<const i8*>(a.k) + head * stride;
    const i8* v = static_cast<const i8*>(a.v) + head * stride;
    for (int n = 0; n < keys; ++n) {
        bf16* to = tile_scratch.unrounded + n * a.head_dim;
        unround_row(k + slots[n] * stride, to, a.head_dim);
        unround_row(v + slots[n] * stride, to + kTileBlock * a.head_dim, a.head_dim);
    }
    return tile_scratch.unrounded;
}

// x tiles times w tiles, `steps` of them in a row, into the scratch's products.
inline void multiply_all(const char* x, int x_tiles, const char* w, int w_tiles, int steps) {
    const int64_t next = int64_t(steps) * kTileBytes;
    auto* to = reinterpret_cast<float(*)[256]>(tile_scratch.products);
    for (int r = 0; r < x_tiles; r += 2) {
        const bool two_rows = r + 1 < x_tiles;
        for (int c = 0; c < w_tiles; c += 2, to += 4) {
            const bool two = c + 1 < w_tiles;
            const auto run = two_rows ? (two ? multiply<false, 1, 2, 2> : multiply<false, 1, 2, 1>)
                                      : (two ? multiply<false, 1, 1, 2> : multiply<false, 1, 1, 1>);
            run(x + r * next, next, w + c * next, next, steps, to, {});
        }
    }
}

// 2^x for x <= 0 to 4e-6 relative, which rounding to bfloat16 hides; 0 at -inf.
inline vf exp2_roughly(vf x) {
    const vf r = (vf)_mm512_maskz_reduce_ps(kAll, (__m512)x, _MM_FROUND_TO_NEG_INF);
    vf p = r * 1.353415e-2f + 5.201150e-2f;
    p = p * r + 0.24144273f;
    p = p * r + 0.69300384f;
    p = p * r + 1.00000259f;
    return (vf)_mm512_maskz_scalef_ps(kAll, (__m512)p, (__m512)x);
}

// The largest score of each of 16 rows; where MASKED, scores that a row may not see become -inf.
// scores: those of 32 keys are two tiles, `next` further on are those of the next 32.
template <bool MASKED>
inline vf largest_scores(float* scores, int64_t next, int key_steps, vi first, vi last) {
    vf best[4];
    for (vf& part : best) part = splat(kNegInf);
    for (int s = 0; s < key_steps; ++s) {
        for (int i = 0; i < 32; ++i) {
            float* at = scores + s * next + i / 16 * 512 + i % 16 * 16;
            vf score = load(at);
            if constexpr (MASKED) {
                const vi n = vi{} + (s * 32 + i);
                score = ((n < first) | (n > last)) ? splat(kNegInf) : score;
                store(at, score);
            }
            best[i % 4] = (vf)_mm512_maskz_max_ps(kAll, (__m512)best[i % 4], (__m512)score);
        }
    }
    return vmax(vmax(best[0], best[1]), vmax(best[2], best[3]));
}

// From scores to weights, in bfloat16, [row tiles][key steps]; `shrink` is what earlier sums are
// multiplied with.
inline void weigh(int key_steps, int row_tiles, const int* low, const int* high, bool masked,
                  float factor, float* most, float* total, float* shrink) {
    const int64_t next = (row_tiles + 1) / 2 * 1024;
    for (int tile = 0; tile < row_tiles; ++tile) {
        const int r = tile * 16;
        vi first, last;
        std::memcpy(&first, low + r, sizeof first);
        std::memcpy(&last, high + r, sizeof last);
        float* scores = tile_scratch.products + tile / 2 * 1024 + tile % 2 * 256;
        const vf best = masked ? largest_scores<true>(scores, next, key_steps, first, last)
                               : largest_scores<false>(scores, next, key_steps, first, last);
        const vf before = load(most + r), now = vmax(before, best * factor);
        const vf base = now == splat(kNegInf) ? vf{} : now;
        const vf less = exp2(before - base);
        vf sums = load(total + r) * less;
        for (int s = 0; s < key_steps; ++s) {
            __m512i words[16];
            for (int j = 0; j < 16; ++j) {
                const float* at = scores + s * next + j / 8 * 512 + j % 8 * 32;
                const vf even = exp2_roughly(load(at) * factor - base);
                const vf odd = exp2_roughly(load(at + 16) * factor - base);
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

// out = out * shrink + products, rows of `padded`.
inline void add_products(int row_tiles, int padded, const float* shrink) {
    const int column_tiles = padded / 16, column_pairs = (column_tiles + 1) / 2;
    for (int r = 0; r < row_tiles * 16; ++r) {
        float* out = scratch.out + r * padded;
        const float* from = tile_scratch.products + r / 32 * column_pairs * 1024 +
                            r / 16 % 2 * 512 + r % 16 * 16;
        for (int c = 0; c < column_tiles; ++c)
            store(out + c * 16, load(out + c * 16) * shrink[r] +
                                    load(from + c / 2 * 1024 + c % 2 * 256));
    }
}

inline void attend_rows_amx(const Attend& a, const Item& item, int kv_head) {
    const int dim = a.head_dim, padded = round_up(dim), group = a.heads / a.kv_heads;
    const int num_rows = item.count * group, row_tiles = (num_rows + 15) / 16;
    scratch.reserve(padded);
    tile_scratch.reserve(dim);
    const Tiles tiles(16);
    pack_queries(a, item, kv_head, num_rows, group);
    float most[kMaxRows], total[kMaxRows], shrink[kMaxRows];
    const int64_t head = kv_head * a.num_slots;
    const bf16* k = static_cast<const bf16*>(a.k) + head * dim;
    const bf16* v = static_cast<const bf16*>(a.v) + head * dim;
    const Sight sight = sight_of(a, item, num_rows, group);
    const auto attend_keys = [&](int begin, int end) {
        std::memset(scratch.out, 0, sizeof(float) * padded * row_tiles * 16);
        for (int r = 0; r < kMaxRows; ++r) most[r] = kNegInf, total[r] = 0.f;
        for (int at = begin; at < end; at += kTileBlock) {
            const int keys = std::min(kTileBlock, end - at), key_steps = (keys + 31) / 32;
            int first[kMaxRows], last[kMaxRows];
            const bool masked = look_at(sight, at, keys, num_rows, first, last) || keys % 32 != 0;
            if (a.kv_is_int8) {
                const bf16* rows = unround_block(a, head, item.slots + at, keys);
                pack_keys(rows, kInOrder.slots, keys, dim, key_steps);
                pack_values(rows + kTileBlock * dim, kInOrder.slots, keys, dim, key_steps);
            } else {
                pack_keys(k, item.slots + at, keys, dim, key_steps);
                pack_values(v, item.slots + at, keys, dim, key_steps);
            }
            multiply_all(tile_scratch.keys, key_steps * 2, tile_scratch.q, row_tiles,
                         (dim + 31) / 32);
            weigh(key_steps, row_tiles, first, last, masked, score_factor(dim), most, total,
                  shrink);
            multiply_all(tile_scratch.weights, row_tiles, tile_scratch.values, padded / 16,
                         key_steps);
            add_products(row_tiles, padded, shrink);
        }
    };
    if (a.is_fixed)
        attend_by_runs(sight, num_rows, padded, most, total, attend_keys);
    else
        attend_keys(sight.begin, sight.end);
    put_rows<bf16>(a, item, kv_head, num_rows, most, total);
}

}  // namespace
