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

template <class X, class T, class Out>
inline void rms_norm_row(const X* x, const T* weight, Out* out, int n, float eps) {
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

template <class X, class T>
inline void silu_mul_row(const X* gate, const X* up, T* out, int n) {
    int i = 0;
    for (; i + W <= n; i += W) store(out + i, silu(load(gate + i)) * load(up + i));
    if (i < n)
        store_part(out + i, silu(load_part(gate + i, n - i)) * load_part(up + i, n - i), n - i);
}

// to = x * cos + (second half, first half) * sin. `to` may be `x`.
template <class X, class T>
inline void rotate_head(const X* x, const T* cos, const T* sin, X* to, int dim) {
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

// `to` may be where x begins.
template <class X, class T>
inline void put_head(const X* x, T* to, int dim) {
    for (int d = 0; d < dim; d += W) store_up_to(to + d, load_up_to(x + d, dim - d), dim - d);
}

// X: of qkv, T: of all else.
template <class X, class T>
inline void rope_store_token(const RopeStore& a, int64_t token) {
    const int dim = a.head_dim;
    X* row = static_cast<X*>(a.qkv) + token * (a.heads + 2 * a.kv_heads) * dim;
    const int64_t position = a.positions ? a.positions[token] : token;
    const T* cos = static_cast<const T*>(a.cos) + position * dim;
    const T* sin = static_cast<const T*>(a.sin) + position * dim;
    const T* norm = static_cast<const T*>(a.norm);
    const int64_t slot = a.new_slots[token];
    const auto store_row = [&](const X* x, void* pool, int kv_head) {
        if (a.kv_is_int8)
            round_to_row(x, row_of_slot<i8>(a, pool, kv_head, slot), dim);
        else
            put_head(x, row_of_slot<T>(a, pool, kv_head, slot), dim);
    };
    for (int head = 0; head < a.heads + a.kv_heads; ++head) {
        X* x = row + head * dim;
        if (norm != nullptr) rms_norm_row(x, norm + head * dim, x, dim, a.eps);
        rotate_head(x, cos, sin, x, dim);
        if (head >= a.heads)
            store_row(x, a.k, head - a.heads);
        else if constexpr (sizeof(X) != sizeof(T))
            put_head(x, reinterpret_cast<T*>(row) + head * dim, dim);
    }
    for (int head = 0; head < a.kv_heads; ++head)
        store_row(row + (a.heads + a.kv_heads + head) * dim, a.v, head);
}

}  // namespace
