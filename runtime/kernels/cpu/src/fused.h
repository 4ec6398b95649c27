// The small operators between the matrix products, each one pass over its row; for level.cpp.
#pragma once

#include "kernels.h"
#include "rounding.h"

namespace {

template <class T>
inline float inverse_rms(const T* x, int n, float eps) {
    vf squares = {};
    int i = 0;
    for (; i + W <= n; i += W) {
        const vf part = load(x + i);
        squares += part * part;
    }
    if (i < n) {
        const vf part = load_part(x + i, n - i);
        squares += part * part;
    }
    return 1.f / __builtin_sqrtf(sum(squares) / float(n) + eps);
}

template <class T>
inline void rms_norm_row(const T* x, const T* weight, T* out, int n, float eps) {
    const float factor = inverse_rms(x, n, eps);
    int i = 0;
    for (; i + W <= n; i += W) store(out + i, load(x + i) * factor * load(weight + i));
    if (i < n)
        store_part(out + i, load_part(x + i, n - i) * factor * load_part(weight + i, n - i), n - i);
}

inline vf silu(vf x) {
    const vf power = x * -1.4426950408889634f;
    return x / (1.f + exp2(power > 126.f ? splat(126.f) : power));
}

template <class T>
inline void silu_mul_row(const T* gate, const T* up, T* out, int n) {
    int i = 0;
    for (; i + W <= n; i += W) store(out + i, silu(load(gate + i)) * load(up + i));
    if (i < n)
        store_part(out + i, silu(load_part(gate + i, n - i)) * load_part(up + i, n - i), n - i);
}

// to = x * cos + (second half, first half) * sin. `to` may be `x`.
template <class T>
inline void rotate_head(const T* x, const T* cos, const T* sin, T* to, int dim) {
    const int half = dim / 2;
    for (int d = 0; d < half; d += W) {
        const int n = half - d;
        const vf a = load_up_to(x + d, n), b = load_up_to(x + half + d, n);
        const vf first = a * load_up_to(cos + d, n) + b * load_up_to(sin + d, n);
        const vf second =
            b * load_up_to(cos + half + d, n) + a * load_up_to(sin + half + d, n);
        store_up_to(to + d, first, n);
        store_up_to(to + half + d, second, n);
    }
}

// The row of a slot's key or value in the pool.
template <class T>
inline T* row_of_slot(const RopeStore& a, void* pool, int kv_head, int64_t slot) {
    return static_cast<T*>(pool) + (kv_head * a.num_slots + slot) * row_stride<T>(a.head_dim);
}

template <class T>
inline void rope_store_token(const RopeStore& a, int64_t token) {
    const int dim = a.head_dim;
    T* row = static_cast<T*>(a.qkv) + token * (a.heads + 2 * a.kv_heads) * dim;
    const int64_t position = a.positions ? a.positions[token] : token;
    const T* cos = static_cast<const T*>(a.cos) + position * dim;
    const T* sin = static_cast<const T*>(a.sin) + position * dim;
    const T* norm = static_cast<const T*>(a.norm);
    const int64_t slot = a.new_slots[token];
    for (int head = 0; head < a.heads + a.kv_heads; ++head) {
        T* x = row + head * dim;
        if (norm != nullptr) rms_norm_row(x, norm + head * dim, x, dim, a.eps);
        const bool is_key = head >= a.heads;
        const bool in_place = !is_key || a.kv_is_int8;
        rotate_head(x, cos, sin, in_place ? x : row_of_slot<T>(a, a.k, head - a.heads, slot), dim);
        if (is_key && a.kv_is_int8) round_to_row(x, row_of_slot<i8>(a, a.k, head - a.heads, slot), dim);
    }
    for (int head = 0; head < a.kv_heads; ++head) {
        const T* value = row + (a.heads + a.kv_heads + head) * dim;
        if (a.kv_is_int8)
            round_to_row(value, row_of_slot<i8>(a, a.v, head, slot), dim);
        else
            std::memcpy(row_of_slot<T>(a, a.v, head, slot), value, sizeof(T) * dim);
    }
}

}  // namespace
