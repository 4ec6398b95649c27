// Attention of many rows in bfloat16 on Intel's tile instructions (AMX); for level.cpp, level amx.
//
// Scores come as [keys, rows] = K Q^T and results as [dims, rows] = V^T P^T, so that softmax and what
// its running maximum does to earlier results have rows in lanes, and weights are right sides as they
// come. Keys and values are copied into tiles block by block, for up to kMostRows rows at once, which
// meet them 32 at a time: scores, weights and what is copied then stay in the nearest cache.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "amx.h"
#include "attention.h"

namespace {

constexpr int kRowTiles = kMostRows / 16;
constexpr int kTileBlock = 256;              // keys between two updates of the running maximum
constexpr int kKeyTiles = kTileBlock / 16;   // of scores
constexpr int kKeySteps = kTileBlock / 32;   // of the products with V

// Tiles of one thread, kept between calls.
struct TileScratch {
    char *q = nullptr, *keys = nullptr, *values = nullptr, *weights = nullptr;
    // Of two row tiles with all keys of a block: [pairs of key tiles][2][2][16][16].
    float* scores = nullptr;
    // Results: [pairs of row tiles][tiles of dims][2][16][16].
    float* out = nullptr;
    // Keys, then values of one block that are stored as int8.
    bf16* unrounded = nullptr;
    int dim = 0;

    void reserve(int head_dim) {
        if (head_dim <= dim) return;
        std::free(q);
        const int steps = (head_dim + 31) / 32, columns = (head_dim + 15) / 16;
        const int tiles = (kRowTiles + kKeyTiles) * steps + columns * kKeySteps + 2 * kKeySteps +
                          2 * kKeyTiles + kRowTiles * columns;
        const size_t rows = 2 * kTileBlock * sizeof(bf16) * size_t(head_dim);
        q = static_cast<char*>(std::aligned_alloc(64, size_t(tiles) * kTileBytes + rows));
        if (q == nullptr) throw std::bad_alloc();
        unrounded = reinterpret_cast<bf16*>(q + size_t(tiles) * kTileBytes);
        dim = head_dim;
        keys = q + kRowTiles * steps * kTileBytes;
        values = keys + kKeyTiles * steps * kTileBytes;
        weights = values + columns * kKeySteps * kTileBytes;
        scores = reinterpret_cast<float*>(weights + 2 * kKeySteps * kTileBytes);
        out = scores + 2 * kKeyTiles * 256;
    }
    ~TileScratch() { std::free(q); }
};

thread_local TileScratch tile_scratch;

constexpr __mmask8 kAllPairs = 0xff;  // as kAll

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
    return widened((vh)_mm256_maskz_loadu_epi16(there, p));
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

// Values as left sides, [tiles of 16 dims][steps of 32 keys]: a row is a dim.
inline void pack_values(const bf16* v, const int64_t* slots, int keys, int dim, int key_steps) {
    for (int d = 0; d < dim; d += 16) {
        char* to = tile_scratch.values + d / 16 * key_steps * kTileBytes;
        for (int s = 0; s < key_steps; ++s) {
            __m512i words[16];  // two keys of each dim
            for (int pair = 0; pair < 16; ++pair) {
                const int n = s * 32 + pair * 2;
                vu word = {};
                if (n < keys) word = load_words(v + slots[n] * dim + d, dim - d);
                if (n + 1 < keys) word |= load_words(v + slots[n + 1] * dim + d, dim - d) << 16;
                words[pair] = (__m512i)word;
            }
            turn(words);
            for (int i = 0; i < 16; ++i)
                _mm512_store_si512(to + s * kTileBytes + i * 64, words[i]);
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

constexpr int kResident = 64;  // dims of queries that fit into tiles beside keys and sums
constexpr int kBehind = 2;     // key tiles: one that was stored can be read only after some time

// Keys times C row tiles, into the scratch's scores. `meanwhile`, for each tile of keys in turn, is
// called some time after its scores were stored.
template <int C, class Meanwhile>
inline void score(const char* q, int key_tiles, int steps, const Meanwhile& meanwhile) {
    const int64_t next = int64_t(steps) * kTileBytes;
    auto* to = reinterpret_cast<float(*)[256]>(tile_scratch.scores);
    const bool is_resident = steps == kResident / 32;
    if (is_resident) {
        _tile_loadd(4, q, 64);
        _tile_loadd(5, q + kTileBytes, 64);
        if constexpr (C == 2) _tile_loadd(6, q + next, 64);
        if constexpr (C == 2) _tile_loadd(7, q + next + kTileBytes, 64);
    }
    for (int n = 0; n < key_tiles; ++n) {
        const char* keys = tile_scratch.keys + n * next;
        if (is_resident) {
            _tile_zero(0);
            if constexpr (C == 2) _tile_zero(1);
            _tile_loadd(2, keys, 64);
            _tile_loadd(3, keys + kTileBytes, 64);
            _tile_dpbf16ps(0, 2, 4);
            if constexpr (C == 2) _tile_dpbf16ps(1, 2, 6);
            _tile_dpbf16ps(0, 3, 5);
            if constexpr (C == 2) _tile_dpbf16ps(1, 3, 7);
            _tile_stored(0, to[2 * n], 64);
            if constexpr (C == 2) _tile_stored(1, to[2 * n + 1], 64);
        } else if (n % 2 == 0) {
            multiply<false, 1, 2, C>(keys, next, q, next, steps, to + 2 * n);
        }
        if (n >= kBehind) meanwhile(n - kBehind);
    }
    for (int n = key_tiles - kBehind; n < key_tiles; ++n) meanwhile(n);
}

// sums[2 r + c] of dim tile r and row tile c += values times weights.
template <int R, int C>
inline void add_values(const char* values, int key_steps, float (*sums)[256]) {
    const int64_t next = int64_t(key_steps) * kTileBytes;
    _tile_loadd(0, sums[0], 64);
    if constexpr (C == 2) _tile_loadd(1, sums[1], 64);
    if constexpr (R == 2) _tile_loadd(2, sums[2], 64);
    if constexpr (R == 2 && C == 2) _tile_loadd(3, sums[3], 64);
    for (int s = 0; s < key_steps; ++s) {
        const char* weights = tile_scratch.weights + s * kTileBytes;
        _tile_loadd(4, weights, 64);
        _tile_loadd(6, values + s * kTileBytes, 64);
        if constexpr (C == 2) _tile_loadd(5, weights + kKeySteps * kTileBytes, 64);
        if constexpr (R == 2) _tile_loadd(7, values + next + s * kTileBytes, 64);
        _tile_dpbf16ps(0, 6, 4);
        if constexpr (C == 2) _tile_dpbf16ps(1, 6, 5);
        if constexpr (R == 2) _tile_dpbf16ps(2, 7, 4);
        if constexpr (R == 2 && C == 2) _tile_dpbf16ps(3, 7, 5);
    }
    _tile_stored(0, sums[0], 64);
    if constexpr (C == 2) _tile_stored(1, sums[1], 64);
    if constexpr (R == 2) _tile_stored(2, sums[2], 64);
    if constexpr (R == 2 && C == 2) _tile_stored(3, sums[3], 64);
}

// 2^x for x < 127 to 4e-6 relative, which rounding to bfloat16 hides; 0 at -inf.
inline vf exp2_roughly(vf x) {
    const vf r = (vf)_mm512_maskz_reduce_ps(kAll, (__m512)x, _MM_FROUND_TO_NEG_INF);
    vf p = r * 1.353415e-2f + 5.201150e-2f;
    p = p * r + 0.24144273f;
    p = p * r + 0.69300384f;
    p = p * r + 1.00000259f;
    return (vf)_mm512_maskz_scalef_ps(kAll, (__m512)p, (__m512)x);
}

// The largest scores of 16 rows, in four parts.
struct Largest {
    vf parts[4];

    Largest() {
        for (vf& part : parts) part = splat(kNegInf);
    }
    vf all() const { return vmax(vmax(parts[0], parts[1]), vmax(parts[2], parts[3])); }

    // With those of 16 keys, `key` the first; where MASKED, scores that a row may not see become -inf.
    template <bool MASKED>
    void add(float* scores, int key, vi first, vi last) {
        for (int i = 0; i < 16; ++i) {
            vf score = load(scores + i * 16);
            if constexpr (MASKED) {
                const vi n = vi{} + (key + i);
                score = ((n < first) | (n > last)) ? splat(kNegInf) : score;
                store(scores + i * 16, score);
            }
            parts[i % 4] = (vf)_mm512_maskz_max_ps(kAll, (__m512)parts[i % 4], (__m512)score);
        }
    }
};

// A maximum may be exceeded by so much, in powers of two, before earlier results are scaled anew.
constexpr float kSlack = 8.f;

// From scores of 16 rows to weights, as right sides in bfloat16: [key steps]. Whether earlier results
// have to be multiplied with `shrink`.
inline bool weigh(const float* scores, int key_steps, float factor, vf best, float* most,
                  float* total, char* weights, vf& shrink) {
    const vf before = load(most), found = best * factor;
    const vi rises = found > before + kSlack;
    const vf now = rises ? found : before;
    const vf base = now == splat(kNegInf) ? vf{} : now;
    shrink = exp2(before - base);
    vf sums[2] = {load(total) * shrink, {}};
    for (int s = 0; s < key_steps; ++s) {
        for (int j = 0; j < 16; ++j) {
            const float* at = scores + s * 1024 + j / 8 * 512 + j % 8 * 32;
            const vf even = exp2_roughly(load(at) * factor - base);
            const vf odd = exp2_roughly(load(at + 16) * factor - base);
            // To the nearest, for numbers that are not negative. What is added is what is multiplied.
            const vu low = ((vu)even + 0x8000u) & 0xffff0000u;
            const vu high = ((vu)odd + 0x8000u) & 0xffff0000u;
            sums[0] += (vf)low, sums[1] += (vf)high;
            _mm512_store_si512(weights + s * kTileBytes + j * 64, (__m512i)(low >> 16 | high));
        }
    }
    store(total, sums[0] + sums[1]);
    store(most, now);
    return _mm512_movepi32_mask((__m512i)rises) != 0;
}

// What the 32 rows of two row tiles see, together.
struct Span {
    int first_low, last_low, first_high, last_high;

    Span(const Sight& sight, int begin, int end) {
        first_low = last_low = sight.low[begin], first_high = last_high = sight.high[begin];
        for (int r = begin + 1; r < end; ++r) {
            first_low = std::min(first_low, sight.low[r]);
            last_low = std::max(last_low, sight.low[r]);
            first_high = std::min(first_high, sight.high[r]);
            last_high = std::max(last_high, sight.high[r]);
        }
    }
};

// The keys that are packed, from `at` on, meet the rows of C row tiles from row r on.
template <int C, bool MASKED>
inline void attend_tiles(const Sight& sight, int r, int at, int keys, int dim, float* most,
                         float* total) {
    const int steps = (dim + 31) / 32, columns = (dim + 15) / 16, key_steps = (keys + 31) / 32;
    vi first[C], last[C];
    for (int c = 0; c < C; ++c) {
        std::memcpy(&first[c], sight.low + r + c * 16, sizeof first[c]);
        std::memcpy(&last[c], sight.high + r + c * 16, sizeof last[c]);
        first[c] -= at, last[c] -= at;
    }
    Largest largest[C];
    score<C>(tile_scratch.q + r / 16 * steps * kTileBytes, 2 * key_steps, steps, [&](int n) {
        for (int c = 0; c < C; ++c)
            largest[c].template add<MASKED>(tile_scratch.scores + (2 * n + c) * 256, n * 16, first[c],
                                            last[c]);
    });
    auto* out = reinterpret_cast<float(*)[256]>(tile_scratch.out) + r / 32 * columns * 2;
    for (int c = 0; c < C; ++c) {
        vf shrink;
        if (!weigh(tile_scratch.scores + c * 256, key_steps, score_factor(dim), largest[c].all(),
                   most + r + c * 16, total + r + c * 16,
                   tile_scratch.weights + c * kKeySteps * kTileBytes, shrink))
            continue;
        for (int d = 0; d < columns; ++d)
            for (int i = 0; i < 256; i += W)
                store(out[2 * d + c] + i, load(out[2 * d + c] + i) * shrink);
    }
    const int64_t next = int64_t(key_steps) * kTileBytes;
    int d = 0;
    for (; d + 2 <= columns; d += 2)
        add_values<2, C>(tile_scratch.values + d * next, key_steps, out + 2 * d);
    if (d < columns) add_values<1, C>(tile_scratch.values + d * next, key_steps, out + 2 * d);
}

// The scratch's results as rows of `padded`.
inline void turn_results(int num_rows, int padded) {
    const int columns = padded / 16;
    for (int r = 0; r < num_rows; r += 16) {
        for (int d = 0; d < columns; ++d) {
            const float* from = tile_scratch.out + ((r / 32 * columns + d) * 2 + r / 16 % 2) * 256;
            __m512i words[16];
            for (int i = 0; i < 16; ++i) words[i] = _mm512_load_si512(from + i * 16);
            turn(words);
            for (int i = 0; i < 16 && r + i < num_rows; ++i)
                _mm512_storeu_si512(scratch.out + (r + i) * padded + d * 16, words[i]);
        }
    }
}

inline void attend_rows_amx(const Attend& a, const Item& item, int kv_head) {
    const int dim = a.head_dim, padded = round_up(dim), group = a.heads / a.kv_heads;
    const int num_rows = item.count * group, row_tiles = (num_rows + 15) / 16;
    scratch.reserve(padded, kMostRows);
    tile_scratch.reserve(dim);
    const Tiles tiles(16, 16);
    pack_queries(a, item, kv_head, num_rows, group);
    float most[kMostRows], total[kMostRows];
    const int64_t head = kv_head * a.num_slots;
    const bf16* k = static_cast<const bf16*>(a.k) + head * dim;
    const bf16* v = static_cast<const bf16*>(a.v) + head * dim;
    const Sight sight = sight_of(a, item, num_rows, group);
    const auto attend_keys = [&](int begin, int end) {
        std::memset(tile_scratch.out, 0, sizeof(float) * padded * (row_tiles + 1) / 2 * 32);
        for (int r = 0; r < row_tiles * 16; ++r) most[r] = kNegInf, total[r] = 0.f;
        for (int at = begin; at < end; at += kTileBlock) {
            const int keys = std::min(kTileBlock, end - at), key_steps = (keys + 31) / 32;
            if (a.kv_is_int8) {
                const bf16* rows = unround_block(a, head, item.slots + at, keys);
                pack_keys(rows, kInOrder.slots, keys, dim, key_steps);
                pack_values(rows + kTileBlock * dim, kInOrder.slots, keys, dim, key_steps);
            } else {
                pack_keys(k, item.slots + at, keys, dim, key_steps);
                pack_values(v, item.slots + at, keys, dim, key_steps);
            }
            for (int r = 0; r < num_rows; r += 32) {
                const Span span(sight, r, std::min(r + 32, num_rows));
                if (span.last_high < at || span.first_low >= at + keys) continue;
                const bool masked =
                    span.last_low > at || span.first_high < at + key_steps * 32 - 1;
                const auto run = r + 16 < num_rows
                                     ? (masked ? attend_tiles<2, true> : attend_tiles<2, false>)
                                     : (masked ? attend_tiles<1, true> : attend_tiles<1, false>);
                run(sight, r, at, keys, dim, most, total);
            }
        }
        turn_results(num_rows, padded);
    };
    if (a.is_fixed)
        attend_by_runs(sight, num_rows, padded, most, total, attend_keys);
    else
        attend_keys(sight.begin, sight.end);
    put_rows<bf16>(a, item, kv_head, num_rows, most, total);
}

}  // namespace
