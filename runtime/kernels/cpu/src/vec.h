// Vectors of float, as wide as the level that is compiled; the arithmetic of all kernels.
//
// BL_VECTOR_BYTES is 64 (AVX-512), 32 (AVX2) or 16. The compiler's own vector types are used, so
// that one source serves every level and processor.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if BL_VECTOR_BYTES > 16
#include <immintrin.h>
#endif

namespace {

constexpr int W = BL_VECTOR_BYTES / 4;

typedef float vf __attribute__((vector_size(BL_VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(BL_VECTOR_BYTES)));
typedef uint32_t vu __attribute__((vector_size(BL_VECTOR_BYTES)));
typedef uint16_t vh __attribute__((vector_size(BL_VECTOR_BYTES / 2)));
typedef int8_t vb __attribute__((vector_size(BL_VECTOR_BYTES / 4)));

struct bf16 {
    uint16_t bits;
};

constexpr float kNegInf = -__builtin_inff();

inline int round_up(int n) { return (n + W - 1) / W * W; }

inline vf splat(float x) {
    vf v;
    for (int i = 0; i < W; ++i) v[i] = x;
    return v;
}

inline float scalar(const float* p) { return *p; }
inline float scalar(const bf16* p) {
    const uint32_t bits = uint32_t(p->bits) << 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

// Integers of 8 and 16 bits as those of 32, and the low bytes of these: one to four instructions, where
// GCC 12 makes up to sixty.
#if BL_VECTOR_BYTES == 64
constexpr __mmask16 kAll = 0xffff;  // without a mask GCC warns of lanes that are not initialized

inline vu widened(vh words) { return (vu)_mm512_maskz_cvtepu16_epi32(kAll, (__m256i)words); }
inline vi widened(vb bytes) { return (vi)_mm512_maskz_cvtepi8_epi32(kAll, (__m128i)bytes); }
inline vb low_bytes(vi whole) { return (vb)_mm512_maskz_cvtepi32_epi8(kAll, (__m512i)whole); }
#elif BL_VECTOR_BYTES == 32
inline vu widened(vh words) { return (vu)_mm256_cvtepu16_epi32((__m128i)words); }
inline vi widened(vb bytes) { return (vi)_mm256_cvtepi8_epi32(_mm_cvtsi64_si128((int64_t)bytes)); }
inline vb low_bytes(vi whole) {
    const __m256i low = _mm256_set1_epi32(0x0c080400);  // to the first four bytes of each half
    const __m256i bytes = _mm256_shuffle_epi8((__m256i)whole, low);
    const __m128i begin = _mm256_castsi256_si128(bytes), end = _mm256_extracti128_si256(bytes, 1);
    return (vb)_mm_cvtsi128_si64(_mm_unpacklo_epi32(begin, end));
}
#else
inline vu widened(vh words) { return __builtin_convertvector(words, vu); }
inline vi widened(vb bytes) { return __builtin_convertvector(bytes, vi); }
inline vb low_bytes(vi whole) { return __builtin_convertvector(whole, vb); }
#endif

inline vf load(const float* p) {
    vf v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
inline vf load(const bf16* p) {
    vh words;
    std::memcpy(&words, p, sizeof words);
    return (vf)(widened(words) << 16);
}

inline void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }
inline void store(bf16* p, vf v) {
    const vu bits = (vu)v;
    const vu rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;  // to nearest, ties to even
    const vu quiet = (bits >> 16) | 0x40u;
    const vh h = __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded, vh);
    std::memcpy(p, &h, sizeof h);
}
inline void store_bytes(void* p, vi whole) {
    const vb bytes = low_bytes(whole);
    std::memcpy(p, &bytes, sizeof bytes);
}

// The first n < W elements; the others read as 0 and are not written.
template <class T>
inline vf load_part(const T* p, int n) {
    T buffer[W] = {};
    std::memcpy(buffer, p, n * sizeof(T));
    return load(buffer);
}
template <class T>
inline void store_part(T* p, vf v, int n) {
    T buffer[W];
    store(buffer, v);
    std::memcpy(p, buffer, n * sizeof(T));
}
template <class T>
inline vf load_up_to(const T* p, int n) {
    return n >= W ? load(p) : load_part(p, n);
}
template <class T>
inline void store_up_to(T* p, vf v, int n) {
    if (n >= W)
        store(p, v);
    else
        store_part(p, v, n);
}

inline vf vmax(vf a, vf b) { return a > b ? a : b; }

// Lane i of the result is lane FROM[i] of v.
template <class V, int... FROM>
inline V lanes_of(V v, std::integer_sequence<int, FROM...>) {
#ifdef __clang__
    return __builtin_shufflevector(v, v, FROM...);
#else
    return __builtin_shuffle(v, vi{FROM...});
#endif
}

// Each lane takes the place of the one at the distance STEP.
template <int STEP, int... LANE>
inline vf exchanged(vf v, std::integer_sequence<int, LANE...>) {
    return lanes_of(v, std::integer_sequence<int, (LANE ^ STEP)...>());
}

template <int STEP = W / 2>
inline float sum(vf v) {
    v += exchanged<STEP>(v, std::make_integer_sequence<int, W>());
    if constexpr (STEP > 1)
        return sum<STEP / 2>(v);
    else
        return v[0];
}
template <int STEP = W / 2>
inline float largest(vf v) {
    v = vmax(v, exchanged<STEP>(v, std::make_integer_sequence<int, W>()));
    if constexpr (STEP > 1)
        return largest<STEP / 2>(v);
    else
        return v[0];
}

// 2^x for x <= 127, to 2e-7 relative; exactly 0 below -126.5, at -inf too.
inline vf exp2(vf x) {
    x = vmax(x, splat(-127.f));
    const vf shifted = x + 12582912.f;  // 1.5 * 2^23: the sum's low bits are x rounded
    const vf r = x - (shifted - 12582912.f);
    vf p = r * 1.5252734e-5f + 1.5403530e-4f;
    p = p * r + 1.3333558e-3f;
    p = p * r + 9.6181291e-3f;
    p = p * r + 5.5504109e-2f;
    p = p * r + 2.4022651e-1f;
    p = p * r + 6.9314718e-1f;
    p = p * r + 1.f;
    const vi exponent = (vi)shifted - 0x4B400000 + 127;
    return p * (vf)(exponent << 23);
}

template <int STEP, int... LANE>
inline vf fold(vf x, vf y, std::integer_sequence<int, LANE...>) {
    // Lanes whose bit STEP is clear belong to x, the others to y.
#ifdef __clang__
    return __builtin_shufflevector(x, y, ((LANE & STEP) ? LANE + W : LANE)...) +
           __builtin_shufflevector(x, y, ((LANE & STEP) ? (LANE ^ STEP) + W : LANE ^ STEP)...);
#else
    const vi straight = {((LANE & STEP) ? LANE + W : LANE)...};
    const vi crossed = {((LANE & STEP) ? (LANE ^ STEP) + W : LANE ^ STEP)...};
    return __builtin_shuffle(x, y, straight) + __builtin_shuffle(x, y, crossed);
#endif
}

// Lane j of the result is the sum over the lanes of rows[j]; rows[0..W) are overwritten.
template <int STEP = W / 2>
inline vf sum_rows(vf* rows) {
    for (int i = 0; i < STEP; ++i)
        rows[i] = fold<STEP>(rows[i], rows[i + STEP], std::make_integer_sequence<int, W>());
    if constexpr (STEP > 1)
        return sum_rows<STEP / 2>(rows);
    else
        return rows[0];
}

}  // namespace
