// Values as integers of 8 bits with a scale: the inputs of quantized linear layers, and rows of keys
// and values.
#pragma once

#include "vec.h"

namespace {

// What n values are multiples of: their largest magnitude over 127. Not finite where a value is not,
// so that this shows in the results.
template <class T>
inline float scale_of(const T* x, int n) {
    vf most = {}, poison = {};
    for (int i = 0; i < n; i += W) {
        const vf part = load_up_to(x + i, n - i);
        most = vmax(most, (vf)((vu)part & 0x7fffffffu));
        poison += part * 0.f;
    }
    return largest(most) / 127.f + sum(poison);
}

inline float inverse_of_scale(float scale) { return scale > 1e-30f ? 1.f / scale : 0.f; }

// To the nearest integer, for |x| < 2^22: the low bits of the sum with 1.5 * 2^23.
inline vi to_integers(vf x) { return (vi)(x + 12582912.f) - 0x4B400000; }

// --- rows of keys and values: head_dim integers, and behind them their scale, a float -------------

struct i8 {
    int8_t value;
};

// Elements from one row of a pool to the next; int8_kv.py says the same.
template <class T>
inline int64_t row_stride(int dim) { return dim; }
template <>
inline int64_t row_stride<i8>(int dim) { return dim + int64_t(sizeof(float)); }

inline vf load(const i8* p) {
    vb bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return __builtin_convertvector(widened(bytes), vf);
}

template <class T>
inline void round_to_row(const T* x, i8* row, int dim) {
    const float scale = scale_of(x, dim), inverse = inverse_of_scale(scale);
    for (int d = 0; d < dim; d += W) {
        i8 whole[W];
        store_bytes(whole, to_integers(load_up_to(x + d, dim - d) * inverse));
        std::memcpy(row + d, whole, size_t(dim - d < W ? dim - d : W));
    }
    std::memcpy(row + dim, &scale, sizeof scale);
}

// As float or bf16.
template <class To>
inline void unround_row(const i8* row, To* to, int dim) {
    float scale;
    std::memcpy(&scale, row + dim, sizeof scale);
    for (int d = 0; d < dim; d += W)
        store_up_to(to + d, load_up_to(row + d, dim - d) * scale, dim - d);
}

}  // namespace
