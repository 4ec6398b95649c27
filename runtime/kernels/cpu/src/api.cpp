// The functions that Python calls (library.py), and the threads that share their work.
//
// The threads are torch's: OpenMP's pool belongs to the process, and this library is linked to the
// OpenMP runtime that torch has loaded. No function throws; those that can fail return an error.
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

// Multiply-adds (or elements, times 16) below which waking other threads costs more than it saves.
constexpr int64_t kMinWork = 400'000;

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

// A whole number of cache lines.
int64_t part_bytes(int64_t bytes) { return (bytes + 63) / 64 * 64; }

int threads_for(int64_t work, int threads) { return work < kMinWork ? 1 : threads; }

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
                 const int64_t* const* context_slots, int heads, int kv_heads, int head_dim) {
    try {
        plan->make({count, query_lens, context_lens, context_slots}, heads / kv_heads);
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
               int heads, int kv_heads, int head_dim, int is_bf16, int threads) {
    const Attend a{q, k, v, out, plan->queries.data(), plan->partial_out.data(),
                   plan->partial_max.data(), plan->partial_sum.data(), q_stride, num_slots, window,
                   heads, kv_heads, head_dim, is_bf16 != 0};
    const int64_t work = plan->pairs * heads * head_dim * 2;
    const int64_t calls = int64_t(plan->items.size()) * kv_heads;
    const int team = threads_for(work, threads);
#pragma omp parallel for num_threads(team) schedule(dynamic, 1) if (team > 1)
    for (int64_t i = 0; i < calls; ++i) {
        const Item& item = plan->items[size_t(i / kv_heads)];
        if (which & (item.is_decode ? 1 : 2)) level->attend(a, item, int(i % kv_heads));
    }
    const auto merges = int64_t(plan->merge_tokens.size());
    if (merges == 0 || !(which & 1)) return;
    const int merge_team =
        threads_for(int64_t(plan->partials.size()) * heads * head_dim * 16, threads);
#pragma omp parallel for num_threads(merge_team) if (merge_team > 1)
    for (int64_t i = 0; i < merges; ++i) {
        const int32_t start = plan->merge_starts[size_t(i)];
        const int32_t count = plan->merge_starts[size_t(i) + 1] - start;
        for (int head = 0; head < heads; ++head)
            level->merge(a, plan->merge_tokens[size_t(i)], plan->partials.data() + start, count,
                         head);
    }
}

void bl_rope_store(const Level* level, int64_t tokens, void* qkv, const void* cos, const void* sin,
                   const void* norm, float eps, void* k, void* v, const int64_t* new_slots,
                   int64_t num_slots, int heads, int kv_heads, int head_dim, int is_bf16,
                   int threads) {
    const RopeStore a{qkv, cos, sin, norm, k, v, new_slots, num_slots,
                      heads, kv_heads, head_dim, eps, is_bf16 != 0};
    const int team = threads_for(tokens * (heads + 2 * kv_heads) * head_dim * 16, threads);
#pragma omp parallel for num_threads(team) if (team > 1)
    for (int64_t i = 0; i < tokens; ++i) level->rope_store(a, i);
}

void bl_rms_norm(const Level* level, int64_t rows, int n, const void* x, const void* weight,
                 void* out, float eps, int is_bf16, int threads) {
    const int64_t bytes = int64_t(n) * (is_bf16 ? 2 : 4);
    const int team = threads_for(rows * n * 16, threads);
#pragma omp parallel for num_threads(team) if (team > 1)
    for (int64_t i = 0; i < rows; ++i)
        level->rms_norm(static_cast<const char*>(x) + i * bytes, weight,
                        static_cast<char*>(out) + i * bytes, n, eps, is_bf16 != 0);
}

// gate_up: [rows, 2 n], out: [rows, n].
void bl_silu_mul(const Level* level, int64_t rows, int n, const void* gate_up, void* out,
                 int is_bf16, int threads) {
    const int64_t bytes = int64_t(n) * (is_bf16 ? 2 : 4);
    const int team = threads_for(rows * n * 32, threads);
#pragma omp parallel for num_threads(team) if (team > 1)
    for (int64_t i = 0; i < rows; ++i)
        level->silu_mul(static_cast<const char*>(gate_up) + i * 2 * bytes,
                        static_cast<char*>(out) + i * bytes, n, is_bf16 != 0);
}

int64_t bl_linear_rows(const Level* level) { return level->linear_rows; }

// 0, or 1 when memory ran out. x: [rows, inputs], out: [rows, outputs], both contiguous.
int bl_linear(const Level* level, int64_t rows, int inputs, int outputs, int storage, int group,
              const void* x, const void* weight, const void* scales, const void* bias, void* out,
              int is_bf16, int adds, int out_is_float, int threads) {
    Linear a{x, weight, scales, bias, out, nullptr, nullptr, rows, inputs, outputs,
             storage, group, is_bf16 != 0, adds != 0, out_is_float != 0};
    const int64_t blocks = (rows + 15) / 16;
    const int64_t groups = storage == kInt4 ? (inputs + group - 1) / group : 1;
    const int64_t scale_bytes = part_bytes(rows * groups * int64_t(sizeof(float)));
    char* buffer = linear_buffer(size_t(level->linear_bytes(a) + scale_bytes));
    if (buffer == nullptr) return 1;
    a.x_scales = reinterpret_cast<float*>(buffer);
    a.packed_x = buffer + scale_bytes;
    const int pairs = (outputs + 31) / 32;
    // A few rows cost reading the weight, many the products.
    const int team = threads_for(int64_t(inputs) * outputs * (rows < 16 ? 2 : rows / 8), threads);
    if (team == 1) {
        for (int64_t i = 0; i < blocks; ++i) level->pack_inputs(a, i);
        level->linear(a, 0, pairs);
        return 0;
    }
#pragma omp parallel num_threads(team)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < blocks; ++i) level->pack_inputs(a, i);
        // Each thread takes a run of outputs, so that it reads the weight as one stream.
#pragma omp for schedule(static)
        for (int part = 0; part < team * 4; ++part) {
            const int begin = int(int64_t(pairs) * part / (team * 4));
            const int end = int(int64_t(pairs) * (part + 1) / (team * 4));
            if (begin < end) level->linear(a, begin, end);
        }
    }
    return 0;
}

// All layers of a step, x: [tokens, hidden] in place. buffer: at least bl_layers_bytes. The other
// arguments are as above. 0, or 1 when memory ran out.
int bl_layers(const Level* level, Plan* plan, int64_t tokens, const Layer* layers, int count,
              void* x, void* buffer, const void* cos, const void* sin, const int64_t* new_slots,
              int64_t num_slots, int heads, int kv_heads, int head_dim, float eps, float head_eps,
              int is_bf16, int threads) {
    const int64_t element = is_bf16 ? 2 : 4;
    const int all_heads = heads + 2 * kv_heads;
    for (int i = 0; i < count; ++i) {
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
        const auto multiply = [&](const Projection& p, const void* from, void* to, int adds) {
            return bl_linear(level, tokens, p.inputs, p.outputs, p.storage, p.group, from, p.weight,
                             p.scales, p.bias, to, is_bf16, adds, 0, threads);
        };
        bl_rms_norm(level, tokens, hidden, x, layer.input_norm, normed, eps, is_bf16, threads);
        if (multiply(layer.qkv, normed, qkv, 0)) return 1;
        bl_rope_store(level, tokens, qkv, cos, sin, layer.head_norm, head_eps, layer.k, layer.v,
                      new_slots, num_slots, heads, kv_heads, head_dim, is_bf16, threads);
        bl_attend(level, plan, 3, qkv, int64_t(all_heads) * head_dim, layer.k, layer.v, num_slots,
                  attended, layer.window, heads, kv_heads, head_dim, is_bf16, threads);
        if (multiply(layer.out, attended, x, 1)) return 1;
        bl_rms_norm(level, tokens, hidden, x, layer.post_norm, normed, eps, is_bf16, threads);
        if (multiply(layer.gate_up, normed, gate_up, 0)) return 1;
        bl_silu_mul(level, tokens, inner, gate_up, gated, is_bf16, threads);
        if (multiply(layer.down, gated, x, 1)) return 1;
    }
    return 0;
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
