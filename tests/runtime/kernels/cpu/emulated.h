// The AVX-512 and AMX instructions that the kernels name, in plain C++, so that these levels can be
// tested on processors without them (test_emulated.py). What would be an invalid opcode or a fault of
// the processor ends the process. Source: Intel's Software Developer's Manual, volume 2.
#pragma once

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace emulated {

inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "an emulated instruction faults: %s\n", what);
    std::abort();
}

inline int cpuid(unsigned* a, unsigned* b, unsigned* c, unsigned* d) {
    *a = *b = *c = *d = ~0u;
    return 1;
}

// --- AVX-512 -----------------------------------------------------------------------------------

template <class V, class T>
struct Lanes {
    static constexpr int count = sizeof(V) / sizeof(T);
    T at[count];

    Lanes() : at{} {}
    Lanes(V v) { std::memcpy(at, &v, sizeof v); }
    operator V() const {
        V v;
        std::memcpy(&v, at, sizeof v);
        return v;
    }
};

// Lane i is make(i), or 0 where the mask has no bit i; make is not called there.
template <class V, class T, class Make>
inline V lanes(const Make& make, uint64_t mask = ~uint64_t(0)) {
    Lanes<V, T> made;
    for (int i = 0; i < made.count; ++i)
        if (mask >> i & 1) made.at[i] = make(i);
    return made;
}

template <class V>
inline V load(const void* p) {
    V v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
inline void store(void* p, __m512i v) { std::memcpy(p, &v, sizeof v); }

inline void require_aligned(const void* p) {
    require(reinterpret_cast<uintptr_t>(p) % 64 == 0, "64 bytes that are not aligned");
}
inline __m512i load_aligned(const void* p) { return require_aligned(p), load<__m512i>(p); }
inline void store_aligned(void* p, __m512i v) { require_aligned(p), store(p, v); }

template <class V>
inline V load_words(uint64_t mask, const void* p) {
    return lanes<V, uint16_t>([&](int i) { return load<uint16_t>(static_cast<const char*>(p) + 2 * i); },
                              mask);
}

template <class T>
inline __m512i set1(T x) {
    return lanes<__m512i, T>([&](int) { return x; });
}

inline __m512i and_(__m512i a, __m512i b) { return a & b; }
inline __m512i or_(__m512i a, __m512i b) { return a | b; }
inline __m512i xor_(__m512i a, __m512i b) { return a ^ b; }
inline __m512i sub_epi8(__m512i a, __m512i b) {
    const Lanes<__m512i, uint8_t> x(a), y(b);
    return lanes<__m512i, uint8_t>([&](int i) { return uint8_t(x.at[i] - y.at[i]); });
}
inline __m512i mask_sub_epi8(__m512i other, uint64_t mask, __m512i a, __m512i b) {
    const Lanes<__m512i, uint8_t> w(other), x(a), y(b);
    return lanes<__m512i, uint8_t>(
        [&](int i) { return mask >> i & 1 ? uint8_t(x.at[i] - y.at[i]) : w.at[i]; });
}
inline __m512i abs_epi8(__m512i a) {
    const Lanes<__m512i, int8_t> x(a);
    return lanes<__m512i, uint8_t>([&](int i) { return uint8_t(std::abs(int(x.at[i]))); });
}
inline __m512i maddubs_epi16(__m512i a, __m512i b) {
    const Lanes<__m512i, uint8_t> x(a);
    const Lanes<__m512i, int8_t> y(b);
    return lanes<__m512i, int16_t>([&](int i) {
        const int sum = x.at[2 * i] * y.at[2 * i] + x.at[2 * i + 1] * y.at[2 * i + 1];
        return int16_t(std::min(std::max(sum, -32768), 32767));
    });
}
inline __m512i madd_epi16(__m512i a, __m512i b) {
    const Lanes<__m512i, int16_t> x(a), y(b);
    return lanes<__m512i, uint32_t>([&](int i) {
        return uint32_t(x.at[2 * i] * y.at[2 * i]) + uint32_t(x.at[2 * i + 1] * y.at[2 * i + 1]);
    });
}
inline __m512i srli_epi16(__m512i a, unsigned count) {
    const Lanes<__m512i, uint16_t> x(a);
    return lanes<__m512i, uint16_t>([&](int i) { return uint16_t(count > 15 ? 0 : x.at[i] >> count); });
}
inline __m512i slli_epi16(__m512i a, unsigned count) {
    const Lanes<__m512i, uint16_t> x(a);
    return lanes<__m512i, uint16_t>([&](int i) { return uint16_t(count > 15 ? 0 : x.at[i] << count); });
}

// In turn one of each, of the low or the high half of each 16 bytes.
template <class T>
inline __m512i unpack(uint64_t mask, __m512i a, __m512i b, bool high) {
    constexpr int each = 16 / sizeof(T);
    const Lanes<__m512i, T> x(a), y(b);
    const auto from = [&](int i) { return i / each * each + i % each / 2 + (high ? each / 2 : 0); };
    return lanes<__m512i, T>([&](int i) { return i % 2 ? y.at[from(i)] : x.at[from(i)]; }, mask);
}

inline __m512i shuffle_i32x4(uint64_t mask, __m512i a, __m512i b, int control) {
    const Lanes<__m512i, uint32_t> x(a), y(b);
    return lanes<__m512i, uint32_t>(
        [&](int i) {
            const int from = (control >> i / 4 * 2 & 3) * 4 + i % 4;
            return i < 8 ? x.at[from] : y.at[from];
        },
        mask);
}

inline __m512 permutex2var_ps(__m512 a, __m512i index, __m512 b) {
    const Lanes<__m512, float> x(a), y(b);
    const Lanes<__m512i, uint32_t> from(index);
    return lanes<__m512, float>([&](int i) {
        const uint32_t at = from.at[i] & 15;
        return from.at[i] & 16 ? y.at[at] : x.at[at];
    });
}

inline __m512 max_ps(uint64_t mask, __m512 a, __m512 b) {
    const Lanes<__m512, float> x(a), y(b);
    return lanes<__m512, float>([&](int i) { return x.at[i] > y.at[i] ? x.at[i] : y.at[i]; }, mask);
}

// Downwards only, which is what the kernels ask for.
inline __m512 reduce_ps(uint64_t mask, __m512 a, int control) {
    require(control == _MM_FROUND_TO_NEG_INF, "reduce with another rounding");
    const Lanes<__m512, float> x(a);
    return lanes<__m512, float>(
        [&](int i) { return std::isinf(x.at[i]) ? 0.f : x.at[i] - std::floor(x.at[i]); }, mask);
}

inline __m512 scalef_ps(uint64_t mask, __m512 a, __m512 b) {
    const Lanes<__m512, float> x(a), y(b);
    return lanes<__m512, float>(
        [&](int i) {
            if (std::isnan(y.at[i])) return y.at[i];
            return std::ldexp(x.at[i], int(std::fmin(std::fmax(std::floor(y.at[i]), -1000.f), 1000.f)));
        },
        mask);
}

inline __m512i dpbusd_epi32(__m512i sums, __m512i a, __m512i b) {
    const Lanes<__m512i, uint32_t> before(sums);
    const Lanes<__m512i, uint8_t> x(a);
    const Lanes<__m512i, int8_t> y(b);
    return lanes<__m512i, uint32_t>([&](int i) {
        int32_t sum = 0;
        for (int j = 4 * i; j < 4 * i + 4; ++j) sum += x.at[j] * y.at[j];
        return before.at[i] + uint32_t(sum);
    });
}

inline __m512i cvtepu16_epi32(uint64_t mask, __m256i a) {
    const Lanes<__m256i, uint16_t> x(a);
    return lanes<__m512i, uint32_t>([&](int i) { return uint32_t(x.at[i]); }, mask);
}
inline __m512i cvtepi8_epi32(uint64_t mask, __m128i a) {
    const Lanes<__m128i, int8_t> x(a);
    return lanes<__m512i, int32_t>([&](int i) { return int32_t(x.at[i]); }, mask);
}
inline __m128i cvtepi32_epi8(uint64_t mask, __m512i a) {
    const Lanes<__m512i, uint32_t> x(a);
    return lanes<__m128i, uint8_t>([&](int i) { return uint8_t(x.at[i]); }, mask);
}

inline __mmask64 movepi8_mask(__m512i a) {
    const Lanes<__m512i, int8_t> x(a);
    uint64_t mask = 0;
    for (int i = 0; i < 64; ++i) mask |= uint64_t(x.at[i] < 0) << i;
    return mask;
}
inline __mmask16 movepi32_mask(__m512i a) {
    const Lanes<__m512i, int32_t> x(a);
    unsigned mask = 0;
    for (int i = 0; i < 16; ++i) mask |= unsigned(x.at[i] < 0) << i;
    return __mmask16(mask);
}

// --- AMX ---------------------------------------------------------------------------------------

struct Config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
static_assert(sizeof(Config) == 64, "as the processor reads it");

struct Tile {
    alignas(64) uint8_t rows[16][64];
};

// Of a thread, as registers are.
struct Registers {
    Config config;
    Tile tiles[8];
};
inline thread_local Registers registers = {};

inline Tile& tile(int i) {
    require(registers.config.palette == 1, "a tile without a configuration");
    require(i >= 0 && i < 8 && registers.config.rows[i] && registers.config.row_bytes[i],
            "a tile that is not configured");
    return registers.tiles[i];
}

inline void tile_storeconfig(void* to) { std::memcpy(to, &registers.config, sizeof(Config)); }
inline void tile_release() { registers = {}; }
inline void tile_loadconfig(const void* from) {
    Config config;
    std::memcpy(&config, from, sizeof config);
    if (config.palette == 0) return tile_release();
    require(config.palette == 1, "an unknown palette");
    for (int i = 0; i < 14; ++i) require(config.reserved[i] == 0, "reserved bytes");
    for (int i = 0; i < 16; ++i) {
        require(config.rows[i] <= 16 && config.row_bytes[i] <= 64, "a tile that is too large");
        require((config.rows[i] == 0) == (config.row_bytes[i] == 0), "a tile of no rows or no bytes");
        require(i < 8 || config.rows[i] == 0, "more than eight tiles");
    }
    registers = {};
    registers.config = config;
}

inline void tile_zero(int to) { tile(to) = {}; }
inline void tile_loadd(int to, const void* from, int64_t stride) {
    Tile& loaded = tile(to);
    loaded = {};
    for (int r = 0; r < registers.config.rows[to]; ++r)
        std::memcpy(loaded.rows[r], static_cast<const char*>(from) + r * stride,
                    registers.config.row_bytes[to]);
}
inline void tile_stored(int from, void* to, int64_t stride) {
    const Tile& stored = tile(from);
    for (int r = 0; r < registers.config.rows[from]; ++r)
        std::memcpy(static_cast<char*>(to) + r * stride, stored.rows[r],
                    registers.config.row_bytes[from]);
}

// visit(a's and b's row of words, the sums' row, the words of b) for each pair that is multiplied.
template <class Visit>
inline void tile_dot(int to, int a, int b, const Visit& visit) {
    const Config& config = registers.config;
    Tile &sums = tile(to), &x = tile(a), &y = tile(b);
    require(to != a && to != b && a != b, "a tile is named twice");
    require(config.row_bytes[a] % 4 == 0 && config.row_bytes[b] % 4 == 0, "words that are cut off");
    require(config.rows[to] == config.rows[a] && config.row_bytes[to] == config.row_bytes[b] &&
                config.row_bytes[a] / 4 == config.rows[b],
            "tiles that do not fit each other");
    for (int r = 0; r < config.rows[to]; ++r)
        visit(x.rows[r], y.rows, sums.rows[r], config.rows[b], config.row_bytes[b] / 4);
}

inline void tile_dpbssd(int to, int a, int b) {
    tile_dot(to, a, b, [](const uint8_t* x, const uint8_t (*y)[64], uint8_t* to, int steps, int words) {
        int32_t sums[16];
        std::memcpy(sums, to, 64);
        for (int k = 0; k < steps; ++k)
            for (int n = 0; n < words; ++n)
                for (int i = 0; i < 4; ++i) sums[n] += int8_t(x[4 * k + i]) * int8_t(y[k][4 * n + i]);
        std::memcpy(to, sums, 64);
    });
}

// Numbers too small to be normal count, and become, 0.
inline float flushed(uint32_t bits) {
    if ((bits & 0x7f800000u) == 0) bits &= 0x80000000u;
    return load<float>(&bits);
}
inline float flushed(float x) { return flushed(load<uint32_t>(&x)); }

// What lies at even places is summed up on its own, what lies at odd ones, too.
inline void tile_dpbf16ps(int to, int a, int b) {
    tile_dot(to, a, b, [](const uint8_t* x, const uint8_t (*y)[64], uint8_t* to, int steps, int words) {
        float parts[2][16] = {}, sums[16];
        for (int k = 0; k < steps; ++k) {
            const uint32_t pair = load<uint32_t>(x + 4 * k);
            const float even = flushed(pair << 16), odd = flushed(pair & 0xffff0000u);
            for (int n = 0; n < words; ++n) {
                const uint32_t other = load<uint32_t>(y[k] + 4 * n);
                parts[0][n] = flushed(__builtin_fmaf(even, flushed(other << 16), parts[0][n]));
                parts[1][n] = flushed(__builtin_fmaf(odd, flushed(other & 0xffff0000u), parts[1][n]));
            }
        }
        std::memcpy(sums, to, 64);
        for (int n = 0; n < words; ++n)
            sums[n] = flushed(flushed(sums[n]) + flushed(parts[0][n] + parts[1][n]));
        std::memcpy(to, sums, 64);
    });
}

}  // namespace emulated

#define __builtin_cpu_supports(name) true
#define __get_cpuid_count(leaf, subleaf, ...) emulated::cpuid(__VA_ARGS__)
#define syscall(number, ...) ((number) == SYS_arch_prctl ? 0 : (syscall)(number, __VA_ARGS__))

#define _mm512_setzero_si512() __m512i{}
#define _mm512_set1_epi8 emulated::set1<int8_t>
#define _mm512_set1_epi16 emulated::set1<int16_t>
#define _mm512_set1_epi32 emulated::set1<int32_t>
#define _mm512_loadu_si512 emulated::load<__m512i>
#define _mm512_load_si512 emulated::load_aligned
#define _mm512_storeu_si512 emulated::store
#define _mm512_store_si512 emulated::store_aligned
#define _mm512_maskz_loadu_epi16 emulated::load_words<__m512i>
#define _mm256_maskz_loadu_epi16 emulated::load_words<__m256i>
#define _mm512_and_si512 emulated::and_
#define _mm512_or_si512 emulated::or_
#define _mm512_xor_si512 emulated::xor_
#define _mm512_sub_epi8 emulated::sub_epi8
#define _mm512_mask_sub_epi8 emulated::mask_sub_epi8
#define _mm512_abs_epi8 emulated::abs_epi8
#define _mm512_maddubs_epi16 emulated::maddubs_epi16
#define _mm512_madd_epi16 emulated::madd_epi16
#define _mm512_srli_epi16 emulated::srli_epi16
#define _mm512_slli_epi16 emulated::slli_epi16
#define _mm512_maskz_unpacklo_epi32(mask, a, b) emulated::unpack<uint32_t>(mask, a, b, false)
#define _mm512_maskz_unpackhi_epi32(mask, a, b) emulated::unpack<uint32_t>(mask, a, b, true)
#define _mm512_maskz_unpacklo_epi64(mask, a, b) emulated::unpack<uint64_t>(mask, a, b, false)
#define _mm512_maskz_unpackhi_epi64(mask, a, b) emulated::unpack<uint64_t>(mask, a, b, true)
#undef _mm512_maskz_shuffle_i32x4
#define _mm512_maskz_shuffle_i32x4 emulated::shuffle_i32x4
#define _mm512_permutex2var_ps emulated::permutex2var_ps
#define _mm512_maskz_max_ps emulated::max_ps
#undef _mm512_maskz_reduce_ps
#define _mm512_maskz_reduce_ps emulated::reduce_ps
#define _mm512_maskz_scalef_ps emulated::scalef_ps
#define _mm512_dpbusd_epi32 emulated::dpbusd_epi32
#define _mm512_maskz_cvtepu16_epi32 emulated::cvtepu16_epi32
#define _mm512_maskz_cvtepi8_epi32 emulated::cvtepi8_epi32
#define _mm512_maskz_cvtepi32_epi8 emulated::cvtepi32_epi8
#define _mm512_movepi8_mask emulated::movepi8_mask
#define _mm512_movepi32_mask emulated::movepi32_mask

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbssd
#undef _tile_dpbf16ps
#define _tile_storeconfig emulated::tile_storeconfig
#define _tile_loadconfig emulated::tile_loadconfig
#define _tile_release emulated::tile_release
#define _tile_zero emulated::tile_zero
#define _tile_loadd emulated::tile_loadd
#define _tile_stored emulated::tile_stored
#define _tile_dpbssd emulated::tile_dpbssd
#define _tile_dpbf16ps emulated::tile_dpbf16ps
