// The functions that Python calls (library.py). No function throws; those that can fail return an
// error.
#include <cstdint>
#include <cstring>
#include <exception>

#ifdef BL_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "pass.h"

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

// Where the work of all threads is counted from now on: eight bytes that stay.
void bl_count_at(void* count) { Progress::at(static_cast<std::atomic<uint64_t>*>(count)); }

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
                      heads, kv_heads, head_dim, eps, is_bf16 != 0, kv_is_int8 != 0, false};
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
    bool ok = false;
    with_team(threads_for(draw_work(rows, vocab), threads),
              [&](Team& team) { ok = draw(team, *level, rows, draws, vocab, tokens); });
    return ok ? kDone : kNoMemory;
}

// Rows `ids` of a weight as linear layers store it, but not kInt4; out: [count, inputs]. words: in
// each row. 0, or 1 for a row that there is not.
int bl_rows(int64_t count, const int64_t* ids, int64_t outputs, const uint32_t* weight, int64_t words,
            const void* scales, int storage, int group, int inputs, void* out, int is_bf16) {
    for (int64_t i = 0; i < count; ++i)
        if (ids[i] < 0 || ids[i] >= outputs) return 1;
    const int64_t row_bytes = int64_t(inputs) * (is_bf16 ? 2 : 4);
    for (int64_t i = 0; i < count; ++i)
        take_row(ids[i], weight, words, scales, storage, group, inputs,
                 static_cast<char*>(out) + i * row_bytes, is_bf16 != 0);
    return 0;
}

int64_t bl_linear_rows(const Level* level) { return level->linear_rows; }

int bl_has_int6(const Level* level) { return level->has_int6; }

// 0, 1 when memory ran out, or 2 where this level has no gates for such a product. x: [rows, inputs],
// out: [rows, outputs], or half as many with gates, both contiguous.
int bl_linear(const Level* level, int64_t rows, int inputs, int outputs, int storage, int group,
              const void* x, const void* weight, const void* scales, const void* bias, void* out,
              int is_bf16, int adds, int out_is_float, int gates, int threads) {
    const Linear a{x, weight, scales, bias, out, nullptr, nullptr, rows, inputs, outputs,
                   storage, group, is_bf16 != 0, adds != 0, out_is_float != 0, gates != 0};
    if (a.gates && !level->can_gate(a)) return kOutside;
    bool ok = false;
    with_team(threads_for(linear_work(rows, inputs, outputs), threads),
              [&](Team& team) { ok = multiply(team, *level, a); });
    return ok ? 0 : 1;
}

// All layers of a step, x: [tokens, hidden] in place. buffer: at least bl_layers_bytes. The arguments
// are those of Step. 0, 1 when memory ran out, or 2 for a position that there is not.
int bl_layers(const Level* level, Plan* plan, int64_t tokens, const Layer* layers, int count,
              void* x, void* buffer, const void* cos, const void* sin, const int64_t* positions,
              int64_t num_positions, const int64_t* new_slots, int64_t num_slots, int heads,
              int kv_heads, int head_dim, float eps, float head_eps, int is_bf16, int kv_is_int8,
              int threads) {
    const Step step{layers, x, cos, sin, positions, new_slots, tokens, num_positions, num_slots,
                    count, heads, kv_heads, head_dim, eps, head_eps, is_bf16, kv_is_int8};
    if (!has_positions(step)) return kOutside;
    bool ok = true;
    with_team(threads_for(layers_work(step, *plan), threads), [&](Team& team) {
        ok = run_layers(team, *level, *plan, step, static_cast<char*>(buffer));
    });
    return ok ? kDone : kNoMemory;
}

// Of the buffer of bl_layers.
int64_t bl_layers_bytes(const Level* level, int64_t tokens, const Layer* layer, int is_bf16) {
    return layers_bytes(*level, tokens, *layer, is_bf16 != 0);
}

// From token ids to logits. 0, 1 when memory ran out, or 2 for a token or position that there is not.
int bl_pass(const Level* level, Plan* plan, const Pass* pass, int threads) {
    int result = kDone;
    with_team(threads_for(pass_work(*pass, *plan), threads),
              [&](Team& team) { result = run_pass(team, *level, *plan, *pass); });
    return result;
}

}  // extern "C"
#pragma GCC visibility pop
