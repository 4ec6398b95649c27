// What plan.cpp asks of a level: plain data in, plain data out. level.cpp implements it.
#pragma once

#include <cstdint>

// In the deterministic mode a query's keys are cut at multiples of this position, each run is
// attended to by itself, and the results are put together in order, whoever else is in the step.
constexpr int kRun = 256;

// Query heads of an item for one KV head, at most.
constexpr int kMostRows = 256;

// A query of a step: its row in q and out, and its position in its sequence.
struct Query {
    int32_t token;
    int32_t position;
};

// Queries [first, first + count) over the keys at slots[begin..end), whose positions are begin..end.
// partial < 0: these are all the keys of the queries, the result is final. Else the results go to
// the partial rows partial, partial + 1, ..., one per query.
struct Item {
    const int64_t* slots;
    int32_t first, count, begin, end, partial;
    bool is_decode;
};

// One layer's attention. Element type: float, or bf16 where is_bf16; of keys and values the same, or
// rows of rounding.h where kv_is_int8.
struct Attend {
    const void* q;           // [tokens, heads, head_dim], tokens q_stride elements apart
    const void *k, *v;       // [kv_heads, num_slots, head_dim]
    void* out;               // [tokens, heads, head_dim]
    const Query* queries;
    float* partial_out;      // [partial rows, heads, padded head_dim], not normalised
    float* partial_max;      // [partial rows, heads], base 2
    float* partial_sum;      // [partial rows, heads]
    int64_t q_stride, num_slots;
    int64_t window;          // positions seen, INT64_MAX for all
    int32_t heads, kv_heads, head_dim;
    bool is_bf16, kv_is_int8;
    bool is_fixed;           // the deterministic mode: items begin at multiples of kRun
};

// Rotation of q and k by position, in place for q; k and v go to their slots.
struct RopeStore {
    void* qkv;               // [tokens, heads + 2 kv_heads, head_dim], contiguous
    const void *cos, *sin;   // [rows, head_dim], sin with its sign
    const int64_t* positions;  // of each token its row of these; null: the token's own number
    const void* norm;        // [heads + kv_heads, head_dim] or null: RMS norm before the rotation
    void *k, *v;             // [kv_heads, num_slots, head_dim]
    const int64_t* new_slots;
    int64_t num_slots;
    int32_t heads, kv_heads, head_dim;
    float eps;
    bool is_bf16, kv_is_int8;
    bool is_wide;            // qkv is float; q comes out in bf16 all the same, at the begin of its row
};

// How a weight is stored: blocks of 16 outputs, in them words of 32 bits, one per output, that hold
// consecutive inputs: [outputs / 16][words][16]. Outputs are padded with zeros, inputs up to whole
// tiles (32 inputs; 64 in int8) or groups.
enum Storage : int32_t {
    kBf16 = 0,  // 2 inputs, the first in the low half
    kInt8 = 1,  // 4 inputs; the weight is that times scales[output], float
    kInt4 = 2,  // 8 inputs, 2 i + j in bits 16 j + 4 i, plus 8; times scales[block][group][16], bf16
    kFloat = 3,  // 1 input
    kInt6 = 4,   // 32 inputs in six words, plus 32: four with the low four bits of eight each, as kInt4's, two
                 // with the high two bits of two of these each: of the nibbles of byte b in bits 8 b and
                 // 8 b + 2 for the first, 8 b + 4 and 8 b + 6 for the second. Scales as kInt4's
};

// out = x weight^T + bias, or out += where `adds`. x, bias and out are of the element type, out is
// float where out_is_float. With quantized weights x is rounded to int8, too: each row with int8, each
// group of a row with int4 and int6, so that the products are sums of integers. Where `gates`, out: [rows,
// outputs / 2] is silu of the first half of the outputs times the second, in the element type.
struct Linear {
    const void *x, *weight, *scales, *bias;
    void* out;
    void* packed_x;          // Level::linear_bytes of them
    float* x_scales;         // [rows][1, or groups], of x in int8
    int64_t rows;
    int32_t inputs, outputs;
    int32_t storage, group;  // inputs that share a scale in int4 and int6
    bool is_bf16, adds, out_is_float;
    bool gates = false;
};

inline bool has_groups(int storage) { return storage == kInt4 || storage == kInt6; }

inline int padded_inputs(const Linear& a) {
    const int unit = has_groups(a.storage) ? a.group : a.storage == kInt8 ? 64 : 32;
    return (a.inputs + unit - 1) / unit * unit;
}

// Groups of a row of x that have a scale of their own.
inline int groups_of(const Linear& a) {
    return has_groups(a.storage) ? padded_inputs(a) / a.group : 1;
}

// A linear layer as stack.py describes it; the fields are those of Linear.
struct Projection {
    const void *weight, *scales, *bias;
    int32_t inputs, outputs, storage, group;
};

// A decoder layer: norms, projections, its part of the KV pool. head_norm may be null.
struct Layer {
    const void *input_norm, *post_norm, *head_norm;
    Projection qkv, out, gate_up, down;
    void *k, *v;
    int64_t window;
};

// How to choose one token from a row of logits; sampler.py has the same.
struct Draw {
    const float* logits;   // [vocab]
    const uint32_t* mask;  // a bit per token, the lowest first, or null where all are allowed
    double drawn;          // in [0, 1)
    float temperature;     // 0 for the likeliest token
    float top_p, min_p;    // 1 and 0 where they are off
    int32_t top_k;         // 0 where it is off
};

constexpr int64_t kNothingAllowed = -1, kNotFinite = -2;

struct Level {
    const char* name;
    void (*attend)(const Attend&, const Item&, int kv_head);
    void (*merge)(const Attend&, int token, const int32_t* partials, int count, int head);
    void (*rope_store)(const RopeStore&, int64_t token);
    // x and gate_up are float where is_wide, results of the element type.
    void (*rms_norm)(const void* x, const void* weight, void* out, int n, float eps, bool is_bf16,
                     bool is_wide);
    void (*silu_mul)(const void* gate_up, void* out, int n, bool is_bf16, bool is_wide);
    // Linear layers: bytes for the inputs, packing 16 rows of x, and pairs of 16 outputs.
    int64_t (*linear_bytes)(const Linear&);
    void (*pack_inputs)(const Linear&, int64_t block);
    void (*linear)(const Linear&, int begin, int end);
    bool (*can_gate)(const Linear&);
    int64_t (*draw)(const Draw&, int vocab);
    int64_t linear_rows;  // more are better left to another library
    bool has_int6;        // whether `linear` does
};

int padded_dim(int head_dim);
