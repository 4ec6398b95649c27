// All kernels for one level of vector instructions; compiled once per level, with its flags and
// BL_LEVEL (its name) and BL_VECTOR_BYTES.
#include "attention.h"
#include "fused.h"
#include "linear_panels.h"
#include "sampling.h"
#ifdef BL_AMX
#include "amx.h"
#include "attention_amx.h"
#include "attention_bf16.h"
#include "linear_gated.h"
#elif BL_VECTOR_BYTES > 16
#include "linear_pairs.h"
#endif

namespace {

void attend(const Attend& a, const Item& item, int kv_head) {
#ifdef BL_AMX
    const int most = a.kv_is_int8 ? kRowsOfInt8 : kPairRows;
    const bool few = !a.is_fixed && item.count * (a.heads / a.kv_heads) <= most;
    if (a.is_bf16 && !few) return attend_rows_amx(a, item, kv_head);
    if (a.is_bf16 && !a.kv_is_int8) return attend_few_bf16(a, item, kv_head);
#endif
    if (a.kv_is_int8)
        a.is_bf16 ? attend_rows<bf16, i8>(a, item, kv_head) : attend_rows<float, i8>(a, item, kv_head);
    else
        a.is_bf16 ? attend_rows<bf16, bf16>(a, item, kv_head)
                  : attend_rows<float, float>(a, item, kv_head);
}

void merge(const Attend& a, int token, const int32_t* partials, int count, int head) {
    a.is_bf16 ? merge_rows<bf16>(a, token, partials, count, head)
              : merge_rows<float>(a, token, partials, count, head);
}

void rope_store(const RopeStore& a, int64_t token) {
    if (!a.is_bf16) return rope_store_token<float, float>(a, token);
    a.is_wide ? rope_store_token<float, bf16>(a, token) : rope_store_token<bf16, bf16>(a, token);
}

template <class X, class T>
void rms_norm_as(const void* x, const void* weight, void* out, int n, float eps) {
    rms_norm_row(static_cast<const X*>(x), static_cast<const T*>(weight), static_cast<T*>(out), n,
                 eps);
}

void rms_norm(const void* x, const void* weight, void* out, int n, float eps, bool is_bf16,
              bool is_wide) {
    if (!is_bf16) return rms_norm_as<float, float>(x, weight, out, n, eps);
    is_wide ? rms_norm_as<float, bf16>(x, weight, out, n, eps)
            : rms_norm_as<bf16, bf16>(x, weight, out, n, eps);
}

template <class X, class T>
void silu_mul_as(const void* gate_up, void* out, int n) {
    const X* gate = static_cast<const X*>(gate_up);
    silu_mul_row(gate, gate + n, static_cast<T*>(out), n);
}

void silu_mul(const void* gate_up, void* out, int n, bool is_bf16, bool is_wide) {
    if (!is_bf16) return silu_mul_as<float, float>(gate_up, out, n);
    is_wide ? silu_mul_as<float, bf16>(gate_up, out, n) : silu_mul_as<bf16, bf16>(gate_up, out, n);
}

int64_t draw(const Draw& a, int vocab) { return draw_token(a, vocab); }

#ifdef BL_AMX
int64_t linear_bytes(const Linear& a) {
    return a.is_bf16 ? linear_bytes_amx<bf16>(a) : linear_bytes_amx<float>(a);
}

void pack_inputs(const Linear& a, int64_t block) {
    a.is_bf16 ? pack_inputs_amx<bf16>(a, block) : pack_inputs_amx<float>(a, block);
}

void linear(const Linear& a, int begin, int end) {
    if (a.gates)
        a.is_bf16 ? linear_gated<bf16>(a, begin, end) : linear_gated<float>(a, begin, end);
    else
        a.is_bf16 ? linear_amx<bf16>(a, begin, end) : linear_amx<float>(a, begin, end);
}

constexpr int64_t kLinearRows = INT64_MAX;
constexpr bool kHasInt6 = true;
#else
#if BL_VECTOR_BYTES > 16
int64_t linear_bytes(const Linear& a) {
    return is_rounded(a.storage) ? a.rows * bytes_of_few_row(a) : linear_bytes_any(a);
}

template <class T>
void pack_inputs_as(const Linear& a, int64_t block) {
    is_rounded(a.storage) ? pack_few_rows<T>(a, block) : pack_inputs_any<T>(a, block);
}

bool can_gate(const Linear& a) { return !is_rounded(a.storage) && can_gate_any(a); }

constexpr auto linear_int8 = linear_of_pairs<kInt8>, linear_int4 = linear_of_pairs<kInt4>,
               linear_int6 = linear_of_pairs<kInt6>;
constexpr bool kHasInt6 = true;
#else
int64_t linear_bytes(const Linear& a) { return linear_bytes_any(a); }

template <class T>
void pack_inputs_as(const Linear& a, int64_t block) { pack_inputs_any<T>(a, block); }

bool can_gate(const Linear& a) { return can_gate_any(a); }

constexpr auto linear_int8 = linear_any<kInt8>, linear_int4 = linear_any<kInt4>,
               linear_int6 = linear_int4;  // is asked for nowhere
constexpr bool kHasInt6 = false;
#endif

void pack_inputs(const Linear& a, int64_t block) {
    a.is_bf16 ? pack_inputs_as<bf16>(a, block) : pack_inputs_as<float>(a, block);
}

void linear(const Linear& a, int begin, int end) {
    switch (a.storage) {
        case kInt8: return linear_int8(a, begin, end);
        case kInt4: return linear_int4(a, begin, end);
        case kInt6: return linear_int6(a, begin, end);
        case kFloat: return linear_any<kFloat>(a, begin, end);
        default: return linear_any<kBf16>(a, begin, end);
    }
}

// Where nothing is known of the processor, whoever knows it is faster from here on.
constexpr int64_t kLinearRows = W > 4 ? INT64_MAX : 64;
#endif

}  // namespace

#define BL_TEXT(x) BL_TEXT_(x)
#define BL_TEXT_(x) #x
#define BL_JOIN(a, b) BL_JOIN_(a, b)
#define BL_JOIN_(a, b) a##b

extern const Level BL_JOIN(level_, BL_LEVEL);
const Level BL_JOIN(level_, BL_LEVEL) = {
    BL_TEXT(BL_LEVEL), attend, merge, rope_store, rms_norm, silu_mul,
    linear_bytes, pack_inputs, linear, can_gate, draw, kLinearRows, kHasInt6,
};
