// A step through a model, shared by a team: its layers, or all from token ids to logits; for api.cpp and
// queue.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "by_team.h"

constexpr int kDone = 0, kNoMemory = 1, kOutside = 2;  // 2: a position or a token that there is not

// The layers of a step, x: [tokens, hidden] in place. cos, sin: of all positions below num_positions.
struct Step {
    const Layer* layers;
    void* x;
    const void *cos, *sin;
    const int64_t *positions, *new_slots;
    int64_t tokens, num_positions, num_slots;
    int32_t count, heads, kv_heads, head_dim;
    float eps, head_eps;
    int32_t is_bf16, kv_is_int8;
};

// From token ids to logits; whole.py has the same. embedding: as a linear layer stores it (kernels.h,
// Storage; not kInt4), or with storage < 0 [vocab, hidden] in the element type. words: of its rows.
struct Pass {
    Step step;
    const void *embedding, *scales;
    int64_t vocab, words;
    int32_t storage, group;
    float norm_eps;
    const void* norm;
    Projection head;
    const int64_t* token_ids;  // negative ones count as 0
    float* logits;             // [tokens, head.outputs]
};

// To the nearest, ties to even.
inline uint16_t to_bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (value != value) return uint16_t(bits >> 16 | 0x40u);
    return uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline float from_bf16(uint16_t bits) {
    const uint32_t whole = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &whole, sizeof value);
    return value;
}

// Input n of a row in int6, whose words are 16 apart.
inline int whole_of_int6(const uint32_t* words, int n) {
    const int of_span = n / 8 % 4, shift = 16 * (n % 2) + n % 8 / 2 * 4, nibble = shift % 8 / 4;
    const uint32_t* span = words + n / 32 * 6 * 16;
    const uint32_t low = span[of_span * 16] >> shift & 15u;
    const uint32_t high = span[(4 + of_span / 2) * 16] >> (shift / 8 * 8 + of_span % 2 * 4 + nibble * 2) & 3u;
    return int(high << 4 | low) - 32;
}

// Row `id` of a weight of `words` per row as linear layers store it, but not kInt4; out: [inputs].
inline void take_row(int64_t id, const uint32_t* weight, int64_t words, const void* scales, int storage,
                     int group, int inputs, void* out, bool is_bf16) {
    const int per_word = storage == kFloat ? 1 : storage == kBf16 ? 2 : 4;
    const uint32_t* word = weight + id / 16 * words * 16 + id % 16;
    for (int n = 0; n < inputs; ++n) {
        float value;
        if (storage == kInt6) {
            const int64_t at = (id / 16 * (words * 32 / 6 / group) + n / group) * 16 + id % 16;
            value = float(whole_of_int6(word, n)) * from_bf16(static_cast<const uint16_t*>(scales)[at]);
        } else if (const uint32_t bits = word[n / per_word * 16]; storage == kInt8) {
            value = float(int8_t(bits >> (n % 4 * 8))) * static_cast<const float*>(scales)[id];
        } else {
            const uint32_t whole = storage == kFloat ? bits : n % 2 ? bits & 0xffff0000u : bits << 16;
            std::memcpy(&value, &whole, sizeof value);
        }
        if (is_bf16)
            static_cast<uint16_t*>(out)[n] = to_bf16(value);
        else
            static_cast<float*>(out)[n] = value;
    }
}

inline Linear linear_of(const Projection& p, const void* x, void* out, int64_t tokens, bool is_bf16) {
    return {x, p.weight, p.scales, p.bias, out, nullptr, nullptr, tokens,
            p.inputs, p.outputs, p.storage, p.group, is_bf16, false, is_bf16};
}

// Whether the gates of an MLP are multiplied with what they let through as both are made.
inline bool can_gate(const Level& level, const Layer& layer, int64_t tokens, bool is_bf16) {
    return level.can_gate(linear_of(layer.gate_up, nullptr, nullptr, tokens, is_bf16));
}

// What run_layers wants beside x: in float the sums of layers, qkv, gate and up, in the element type
// what products are made of.
inline int64_t layers_bytes(const Level& level, int64_t tokens, const Layer& layer, bool is_bf16) {
    const int gated = can_gate(level, layer, tokens, is_bf16) ? 0 : layer.gate_up.outputs;
    int64_t bytes = 0;
    for (const int columns : {layer.qkv.inputs, layer.qkv.outputs, gated})
        bytes += part_bytes(tokens * columns * 4);
    for (const int columns : {layer.qkv.inputs, layer.out.inputs, layer.down.inputs})
        bytes += part_bytes(tokens * columns * (is_bf16 ? 2 : 4));
    return bytes;
}

// Of the heaviest kernel of a step: decides whether a team is worth it.
inline int64_t layers_work(const Step& a, const Plan& plan) {
    const Projection& widest = a.layers->gate_up;
    return std::max(linear_work(a.tokens, widest.inputs, widest.outputs),
                    attend_work(plan, a.heads, a.head_dim));
}

inline bool has_positions(const Step& a) {
    return std::all_of(a.positions, a.positions + a.tokens,
                       [&](int64_t p) { return p >= 0 && p < a.num_positions; });
}

// Whether there was memory. buffer: layers_bytes of it. In bfloat16 only what products are made of is
// rounded, and x at the end: the sums of all layers, and what lies between two kernels, stay float.
inline bool run_layers(Team& team, const Level& level, Plan& plan, const Step& a, char* buffer) {
    const int64_t tokens = a.tokens, element = a.is_bf16 ? 2 : 4;
    const bool bf16 = a.is_bf16 != 0, int8 = a.kv_is_int8 != 0;
    const int64_t numbers = tokens * a.layers->qkv.inputs;
    float* sums = static_cast<float*>(a.x);
    if (bf16) {
        sums = reinterpret_cast<float*>(buffer);
        buffer += part_bytes(numbers * 4);
        const auto* x = static_cast<const uint16_t*>(a.x);
        team.run_ranges(numbers, numbers * 16, [&](int64_t begin, int64_t end) {
            for (int64_t n = begin; n < end; ++n) sums[n] = from_bf16(x[n]);
        });
    }
    const int64_t q_stride = int64_t(a.heads + 2 * a.kv_heads) * a.head_dim * (bf16 ? 2 : 1);
    bool ok = true;
    for (int i = 0; i < a.count && ok; ++i) {
        const Layer& layer = a.layers[i];
        const int hidden = layer.qkv.inputs, inner = layer.down.inputs;
        char* at = buffer;
        const auto part = [&](int64_t columns, int64_t size) {
            char* begin = at;
            at += part_bytes(tokens * columns * size);
            return begin;
        };
        char *normed = part(hidden, element), *qkv = part(layer.qkv.outputs, 4);
        char *attended = part(layer.out.inputs, element);
        char* gated = part(inner, element);
        const auto product = [&](const Projection& p, const void* from, void* to, bool adds,
                                 bool gates = false, const void* norm = nullptr) {
            Linear linear = linear_of(p, from, to, tokens, bf16);
            linear.adds = adds, linear.gates = gates;
            ok = ok && multiply(team, level, linear, [&](int64_t begin, int64_t end) {
                if (norm != nullptr)
                    norm_rows(level, begin, end, hidden, sums, norm, normed, a.eps, bf16, bf16);
            });
        };
        product(layer.qkv, normed, qkv, false, false, layer.input_norm);
        rope_store(team, level,
                   {qkv, a.cos, a.sin, a.positions, layer.head_norm, layer.k, layer.v, a.new_slots,
                    a.num_slots, a.heads, a.kv_heads, a.head_dim, a.head_eps, bf16, int8, bf16},
                   tokens);
        attend(team, level, plan,
               of_plan(plan, {qkv, layer.k, layer.v, attended, nullptr, nullptr, nullptr, nullptr,
                              q_stride, a.num_slots, layer.window, a.heads, a.kv_heads,
                              a.head_dim, bf16, int8, false}),
               3);
        product(layer.out, attended, sums, true);
        if (can_gate(level, layer, tokens, bf16)) {
            product(layer.gate_up, normed, gated, false, true, layer.post_norm);
        } else {
            char* gate_up = part(layer.gate_up.outputs, 4);
            product(layer.gate_up, normed, gate_up, false, false, layer.post_norm);
            silu_mul(team, level, tokens, inner, gate_up, gated, bf16, bf16);
        }
        product(layer.down, gated, sums, true);
    }
    if (bf16) {
        auto* x = static_cast<uint16_t*>(a.x);
        team.run_ranges(numbers, numbers * 16, [&](int64_t begin, int64_t end) {
            for (int64_t n = begin; n < end; ++n) x[n] = to_bf16(sums[n]);
        });
    }
    return ok;
}

inline int64_t pass_work(const Pass& a, const Plan& plan) {
    return std::max(layers_work(a.step, plan),
                    linear_work(a.step.tokens, a.head.inputs, a.head.outputs));
}

inline int run_pass(Team& team, const Level& level, Plan& plan, const Pass& a) {
    Step step = a.step;
    const int64_t tokens = step.tokens, hidden = a.head.inputs;
    const bool bf16 = step.is_bf16 != 0;
    const int64_t row_bytes = hidden * (bf16 ? 2 : 4), x_bytes = part_bytes(tokens * row_bytes);
    if (!has_positions(step)) return kOutside;
    thread_local Buffer states;
    char* x = states.of(x_bytes + layers_bytes(level, tokens, *step.layers, bf16));
    if (x == nullptr) return kNoMemory;
    char* buffer = x + x_bytes;
    step.x = x;
    for (int64_t i = 0; i < tokens; ++i) {
        const int64_t id = std::max<int64_t>(a.token_ids[i], 0);
        if (id >= a.vocab) return kOutside;
        if (a.storage < 0)
            std::memcpy(x + i * row_bytes, static_cast<const char*>(a.embedding) + id * row_bytes,
                        size_t(row_bytes));
        else
            take_row(id, static_cast<const uint32_t*>(a.embedding), a.words,
                     a.scales, a.storage, a.group, int(hidden), x + i * row_bytes, bf16);
    }
    if (!run_layers(team, level, plan, step, buffer)) return kNoMemory;
    const Linear head = linear_of(a.head, buffer, a.logits, tokens, bf16);
    const bool ok = multiply(team, level, head, [&](int64_t begin, int64_t end) {
        norm_rows(level, begin, end, int(hidden), x, a.norm, buffer, a.norm_eps, bf16);
    });
    return ok ? kDone : kNoMemory;
}
