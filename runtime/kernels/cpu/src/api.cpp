// The functions that Python calls (library.py). No function throws; those that can fail return an
// error.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>

#ifdef BL_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels.h"
#include "plan.h"
#include "team.h"

extern const Level level_portable;
#ifdef BL_AMX
extern const Level level_amx;
#endif
#ifdef BL_X86
extern const Level level_avx2;
extern const Level level_avx512;
#endif

int padded_dim(int head_dim) { return (head_dim + 15) / 16 * 16; }

namespace {

#ifdef BL_AMX
// Whether the processor has tiles of bfloat16 and int8 and Linux lets this process use them.
bool may_use_tiles() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const bool has_tiles = (d >> 24 & 1u) && (d >> 22 & 1u) && (d >> 25 & 1u);
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // arch_prctl(2)
    return has_tiles && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

struct FreeBuffer {
    char* bytes = nullptr;
    size_t size = 0;
    ~FreeBuffer() { std::free(bytes); }
};

// The packed inputs of one linear layer; of the calling thread, read by its team.
char* linear_buffer(size_t size) {
    thread_local FreeBuffer buffer;
    if (buffer.size < size) {
        std::free(buffer.bytes);
        buffer.size = (size + 4095) / 4096 * 4096;
        buffer.bytes = static_cast<char*>(std::aligned_alloc(64, buffer.size));
        if (buffer.bytes == nullptr) buffer.size = 0;
    }
    return buffer.bytes;
}

// To the nearest, ties to even.
uint16_t to_bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (value != value) return uint16_t(bits >> 16 | 0x40u);
    return uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// A whole number of cache lines.
int64_t part_bytes(int64_t bytes) { return (bytes + 63) / 64 * 64; }

int threads_for(int64_t work, int threads) { return work < Team::kMinWork ? 1 : threads; }

// --- kernels, by a team ------------------------------------------------------------------------

// `a` with the queries, partial results and mode of the plan.
Attend of_plan(Plan& plan, Attend a) {
    a.queries = plan.queries.data();
    a.partial_out = plan.partial_out.data();
    a.partial_max = plan.partial_max.data();
    a.partial_sum = plan.partial_sum.data();
    a.is_fixed = plan.is_fixed;
    return a;
}

int64_t attend_work(const Plan& plan, int heads, int head_dim) {
    return plan.pairs * heads * head_dim * 2;
}

void attend(Team& team, const Level& level, const Plan& plan, const Attend& a, int which) {
    const int64_t calls = int64_t(plan.items.size()) * a.kv_heads;
    team.run(calls, attend_work(plan, a.heads, a.head_dim), [&](int64_t i) {
        const Item& item = plan.items[size_t(i / a.kv_heads)];
        if (which & (item.is_decode ? 1 : 2)) level.attend(a, item, int(i % a.kv_heads));
    });
    if (!(which & 1)) return;
    const int64_t merge_work = int64_t(plan.partials.size()) * a.heads * a.head_dim * 16;
    team.run(int64_t(plan.merge_tokens.size()), merge_work, [&](int64_t i) {
        const int32_t start = plan.merge_starts[size_t(i)];
        const int32_t count = plan.merge_starts[size_t(i) + 1] - start;
        for (int head = 0; head < a.heads; ++head)
            level.merge(a, plan.merge_tokens[size_t(i)], plan.partials.data() + start, count, head);
    });
}

int64_t rope_store_work(const RopeStore& a, int64_t tokens) {
    return tokens * (a.heads + 2 * a.kv_heads) * a.head_dim * 16;
}

void rope_store(Team& team, const Level& level, const RopeStore& a, int64_t tokens) {
    team.run_ranges(tokens, rope_store_work(a, tokens), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) level.rope_store(a, i);
    });
}

void rms_norm(Team& team, const Level& level, int64_t rows, int n, const void* x,
              const void* weight, void* out, float eps, bool is_bf16) {
    const int64_t bytes = int64_t(n) * (is_bf16 ? 2 : 4);
    team.run_ranges(rows, rows * n * 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
            level.rms_norm(static_cast<const char*>(x) + i * bytes, weight,
                           static_cast<char*>(out) + i * bytes, n, eps, is_bf16);
    });
}

void silu_mul(Team& team, const Level& level, int64_t rows, int n, const void* gate_up, void* out,
              bool is_bf16) {
    const int64_t bytes = int64_t(n) * (is_bf16 ? 2 : 4);
    team.run_ranges(rows, rows * n * 32, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
            level.silu_mul(static_cast<const char*>(gate_up) + i * 2 * bytes,
                           static_cast<char*>(out) + i * bytes, n, is_bf16);
    });
}

// A few rows cost reading the weight, many the products.
int64_t linear_work(int64_t rows, int inputs, int outputs) {
    return int64_t(inputs) * outputs * (rows < 16 ? 2 : rows / 8);
}

// Whether there was memory.
bool multiply(Team& team, const Level& level, Linear a) {
    const int64_t blocks = (a.rows + 15) / 16;
    const int64_t scale_bytes = part_bytes(a.rows * groups_of(a) * int64_t(sizeof(float)));
    char* buffer = linear_buffer(size_t(level.linear_bytes(a) + scale_bytes));
    if (buffer == nullptr) return false;
    a.x_scales = reinterpret_cast<float*>(buffer);
    a.packed_x = buffer + scale_bytes;
    const int64_t work = linear_work(a.rows, a.inputs, a.outputs);
    team.run(blocks, work, [&](int64_t i) { level.pack_inputs(a, i); });
    // Each part is a run of outputs, so that the weight is read as a few streams.
    team.run_ranges((a.outputs + 31) / 32, work,
                    [&](int64_t begin, int64_t end) { level.linear(a, int(begin), int(end)); });
    return true;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// The level `name`, or null where this processor or this build does not have it.
const Level* bl_level(const char* name) {
    if (std::strcmp(name, "portable") == 0) return &level_portable;
#ifdef BL_X86
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (std::strcmp(name, "avx2") == 0 && avx2) return &level_avx2;
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512dq");
    if (std::strcmp(name, "avx512") == 0 && avx512) return &level_avx512;
#ifdef BL_AMX
    if (std::strcmp(name, "amx") == 0 && avx512 && __builtin_cpu_supports("avx512bf16") &&
        __builtin_cpu_supports("avx512vnni") && may_use_tiles())
        return &level_amx;
#endif
#endif
    return nullptr;
}

Plan* bl_plan_new() {
    try {
        return new Plan;
    } catch (const std::exception&) {
        return nullptr;
    }
}

void bl_plan_delete(Plan* plan) { delete plan; }

int64_t bl_plan_shared_keys(const Plan* plan) { return plan->shared_keys; }

// 0, or 1 when memory ran out.
int bl_plan_make(Plan* plan, int64_t count, const int64_t* query_lens, const int64_t* context_lens,
                 const int64_t* const* context_slots, int heads, int kv_heads, int head_dim,
                 int is_fixed) {
    try {
        plan->make({count, query_lens, context_lens, context_slots}, heads / kv_heads, is_fixed != 0);
        const size_t rows = size_t(plan->num_partials) * size_t(heads);
        if (plan->partial_max.size() < rows) {
            plan->partial_out.resize(rows * size_t(padded_dim(head_dim)));
            plan->partial_max.resize(rows);
            plan->partial_sum.resize(rows);
        }
        return 0;
    } catch (const std::exception&) {
        return 1;
    }
}

// which: 1 for decoding sequences, 2 for extending ones, 3 for all.
void bl_attend(const Level* level, Plan* plan, int which, const void* q, int64_t q_stride,
               const void* k, const void* v, int64_t num_slots, void* out, int64_t window,
               int heads, int kv_heads, int head_dim, int is_bf16, int kv_is_int8, int threads) {
    const Attend a = of_plan(*plan, {q, k, v, out, nullptr, nullptr, nullptr, nullptr, q_stride,
                                     num_slots, window, heads, kv_heads, head_dim, is_bf16 != 0,
                                     kv_is_int8 != 0, false});
    with_team(threads_for(attend_work(*plan, heads, head_dim), threads),
              [&](Team& team) { attend(team, *level, *plan, a, which); });
}

void bl_rope_store(const Level* level, int64_t tokens, void* qkv, const void* cos, const void* sin,
                   const void* norm, float eps, void* k, void* v, const int64_t* new_slots,
                   int64_t num_slots, int heads, int kv_heads, int head_dim, int is_bf16,
                   int kv_is_int8, int threads) {
    const RopeStore a{qkv, cos, sin, nullptr, norm, k, v, new_slots, num_slots,
                      heads, kv_heads, head_dim, eps, is_bf16 != 0, kv_is_int8 != 0};
    with_team(threads_for(rope_store_work(a, tokens), threads),
              [&](Team& team) { rope_store(team, *level, a, tokens); });
}

void bl_rms_norm(const Level* level, int64_t rows, int n, const void* x, const void* weight,
                 void* out, float eps, int is_bf16, int threads) {
    with_team(threads_for(rows * n * 16, threads), [&](Team& team) {
        rms_norm(team, *level, rows, n, x, weight, out, eps, is_bf16 != 0);
    });
}

// gate_up: [rows, 2 n], out: [rows, n].
void bl_silu_mul(const Level* level, int64_t rows, int n, const void* gate_up, void* out,
                 int is_bf16, int threads) {
    with_team(threads_for(rows * n * 32, threads), [&](Team& team) {
        silu_mul(team, *level, rows, n, gate_up, out, is_bf16 != 0);
    });
}

// Rows of words as they are stored (kernels.h, Storage): [rows][words] to [rows / 16][words][16].
void bl_interleave(const int32_t* from, int64_t rows, int64_t words, int32_t* to, int threads) {
    const int64_t work = rows * words * 8;
    with_team(threads_for(work, threads), [&](Team& team) {
        team.run_ranges(rows / 16, work, [&](int64_t begin, int64_t end) {
            for (int64_t block = begin; block < end; ++block)
                for (int64_t w = 0; w < words; ++w)
                    for (int64_t lane = 0; lane < 16; ++lane)
                        to[(block * words + w) * 16 + lane] = from[(block * 16 + lane) * words + w];
        });
    });
}

// tokens[i]: of draws[i], as Level's draw. 0, or 1 when memory ran out.
int bl_draw(const Level* level, int64_t rows, const Draw* draws, int vocab, int64_t* tokens,
            int threads) {
    std::atomic<bool> ok{true};
    const int64_t work = rows * vocab * 4;
    with_team(threads_for(work, threads), [&](Team& team) {
        team.run(rows, work, [&](int64_t i) {
            try {
                tokens[i] = level->draw(draws[i], vocab);
            } catch (const std::exception&) {
                ok = false;
            }
        });
    });
    return ok ? 0 : 1;
}

// Rows `ids` of a weight as linear layers store it, but not kInt4; out: [count, inputs]. words: in
// each row. 0, or 1 for a row that there is not.
int bl_rows(int64_t count, const int64_t* ids, int64_t outputs, const uint32_t* weight, int64_t words,
            const float* scales, int storage, int inputs, void* out, int is_bf16) {
    for (int64_t i = 0; i < count; ++i)
        if (ids[i] < 0 || ids[i] >= outputs) return 1;
    const int per_word = storage == kFloat ? 1 : storage == kBf16 ? 2 : 4;
    for (int64_t i = 0; i < count; ++i) {
        const uint32_t* word = weight + ids[i] / 16 * words * 16 + ids[i] % 16;
        for (int n = 0; n < inputs; ++n) {
            const uint32_t bits = word[n / per_word * 16];
            float value;
            if (storage == kInt8) {
                value = float(int8_t(bits >> (n % 4 * 8))) * scales[ids[i]];
            } else {
                const uint32_t whole = storage == kFloat ? bits : n % 2 ? bits & 0xffff0000u : bits << 16;
                std::memcpy(&value, &whole, sizeof value);
            }
            if (is_bf16)
                static_cast<uint16_t*>(out)[i * inputs + n] = to_bf16(value);
            else
                static_cast<float*>(out)[i * inputs + n] = value;
        }
    }
    return 0;
}

int64_t bl_linear_rows(const Level* level) { return level->linear_rows; }

// 0, or 1 when memory ran out. x: [rows, inputs], out: [rows, outputs], both contiguous.
int bl_linear(const Level* level, int64_t rows, int inputs, int outputs, int storage, int group,
              const void* x, const void* weight, const void* scales, const void* bias, void* out,
              int is_bf16, int adds, int out_is_float, int threads) {
    const Linear a{x, weight, scales, bias, out, nullptr, nullptr, rows, inputs, outputs,
                   storage, group, is_bf16 != 0, adds != 0, out_is_float != 0};
    bool ok = false;
    with_team(threads_for(linear_work(rows, inputs, outputs), threads),
              [&](Team& team) { ok = multiply(team, *level, a); });
    return ok ? 0 : 1;
}

// All layers of a step, x: [tokens, hidden] in place. buffer: at least bl_layers_bytes. cos, sin: of
// all positions below num_positions. The other arguments are as above. 0, 1 when memory ran out, or 2
// for a position that there is not.
int bl_layers(const Level* level, Plan* plan, int64_t tokens, const Layer* layers, int count,
              void* x, void* buffer, const void* cos, const void* sin, const int64_t* positions,
              int64_t num_positions, const int64_t* new_slots, int64_t num_slots, int heads, int kv_heads, int head_dim, float eps, float head_eps,
              int is_bf16, int kv_is_int8, int threads) {
    for (int64_t i = 0; i < tokens; ++i)
        if (positions[i] < 0 || positions[i] >= num_positions) return 2;
    const int64_t element = is_bf16 ? 2 : 4;
    const bool bf16 = is_bf16 != 0, int8 = kv_is_int8 != 0;
    bool ok = true;
    const auto step = [&](Team& team) {
        for (int i = 0; i < count && ok; ++i) {
            const Layer& layer = layers[i];
            const int hidden = layer.qkv.inputs, inner = layer.down.inputs;
            char* at = static_cast<char*>(buffer);
            const auto part = [&](int64_t columns) {
                char* begin = at;
                at += part_bytes(tokens * columns * element);
                return begin;
            };
            char *normed = part(hidden), *qkv = part(layer.qkv.outputs);
            char *attended = part(layer.out.inputs);
            char *gate_up = part(layer.gate_up.outputs), *gated = part(inner);
            const auto product = [&](const Projection& p, const void* from, void* to, bool adds) {
                ok = ok && multiply(team, *level,
                                    {from, p.weight, p.scales, p.bias, to, nullptr, nullptr, tokens,
                                     p.inputs, p.outputs, p.storage, p.group, bf16, adds, false});
            };
            rms_norm(team, *level, tokens, hidden, x, layer.input_norm, normed, eps, bf16);
            product(layer.qkv, normed, qkv, false);
            rope_store(team, *level,
                       {qkv, cos, sin, positions, layer.head_norm, layer.k, layer.v, new_slots, num_slots,
                        heads, kv_heads, head_dim, head_eps, bf16, int8},
                       tokens);
            attend(team, *level, *plan,
                   of_plan(*plan, {qkv, layer.k, layer.v, attended, nullptr, nullptr, nullptr,
                                   nullptr, int64_t(heads + 2 * kv_heads) * head_dim, num_slots,
                                   layer.window, heads, kv_heads, head_dim, bf16, int8, false}),
                   3);
            product(layer.out, attended, x, true);
            rms_norm(team, *level, tokens, hidden, x, layer.post_norm, normed, eps, bf16);
            product(layer.gate_up, normed, gate_up, false);
            silu_mul(team, *level, tokens, inner, gate_up, gated, bf16);
            product(layer.down, gated, x, true);
        }
    };
    const Projection& widest = layers->gate_up;
    const int64_t work = std::max(linear_work(tokens, widest.inputs, widest.outputs),
                                  attend_work(*plan, heads, head_dim));
    with_team(threads_for(work, threads), step);
    return ok ? 0 : 1;
}

// Of the buffer of bl_layers.
int64_t bl_layers_bytes(int64_t tokens, const Layer* layer, int is_bf16) {
    const int64_t element = is_bf16 ? 2 : 4;
    int64_t bytes = 0;
    for (const int columns : {layer->qkv.inputs, layer->qkv.outputs, layer->out.inputs,
                              layer->gate_up.outputs, layer->down.inputs})
        bytes += part_bytes(tokens * columns * element);
    return bytes;
}

}  // extern "C"
#pragma GCC visibility pop
