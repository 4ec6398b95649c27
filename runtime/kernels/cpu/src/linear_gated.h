// The first half of an MLP in one product, out = silu(x G^T) * (x U^T) with G and U the halves of the
// weight, on tiles; for level.cpp, level amx.
//
// The sums of both halves meet where they are made, so that they lie nowhere: in float they would be
// the largest buffer of a step of many rows, and go to another core in one of few.
#pragma once

#include "amx.h"
#include "linear_panels.h"

namespace {

inline bool can_gate(const Linear& a) {
    if (a.bias != nullptr || a.outputs % 32 != 0) return false;
    if (is_stream(a)) return a.is_bf16 && a.storage == kBf16;
    return a.storage == kBf16 || a.storage == kInt8;
}

// R row blocks with block `output_block` of each half.
template <class T, bool IS_INT8, int R, class Asked>
inline void gated_product(const Linear& a, int64_t block, int output_block, Asked& ahead) {
    const int64_t strip = int64_t(tiles_of_row(a)) * kTileBytes, terms = IS_INT8 ? 1 : terms_of<T>(a);
    const int half = a.outputs / 2, output = output_block * 16;
    alignas(64) float sums[4][256];
    multiply<IS_INT8, sizeof(T) == 4 && !IS_INT8 ? 3 : 1, R, 2>(
        static_cast<const char*>(a.packed_x) + block * strip * terms, strip * terms,
        static_cast<const char*>(a.weight) + output_block * strip, half / 16 * strip,
        tiles_of_row(a), sums, ahead);
    for (int r = 0; r < R; ++r) {
        const int rows = rows_of_block(a, block + r);
        const int64_t row = (block + r) * 16;
        float *gate = sums[2 * r], *up = sums[2 * r + 1];
        if constexpr (IS_INT8) {
            scale_int8(a, gate, rows, row, output);
            scale_int8(a, up, rows, row, half + output);
        }
        put_gated<T>(a, gate, up, rows, row, output);
    }
}

template <class T, bool IS_INT8, class Asked>
inline void gated_product_of(const Linear& a, int64_t block, bool two_rows, int output,
                             Asked& ahead) {
    const auto run =
        two_rows ? gated_product<T, IS_INT8, 2, Asked> : gated_product<T, IS_INT8, 1, Asked>;
    run(a, block, output, ahead);
}

// For the blocks [begin, end) of both halves; the first row blocks ask for the next gates, the last
// ones for what is to be multiplied with them.
template <class T, bool IS_INT8>
inline void gated_in_chunks(const Linear& a, int begin, int end) {
    const int64_t strip = int64_t(tiles_of_row(a)) * kTileBytes;
    const char* weight = static_cast<const char*>(a.weight);
    in_chunks<T>(a, begin, end, [&](int64_t block, bool two_rows, int output, const Share& share) {
        const int64_t half = share.bytes < strip ? 0 : a.outputs / 32;
        const int64_t in = share.bytes - (half ? strip : 0);
        const int64_t next = std::min(output + share.many, end) + half;
        const char* strip_end = weight + (output + share.many < end ? next + 1 : next) * strip;
        Ahead ahead{weight + next * strip + in, strip_end, share.lines};
        gated_product_of<T, IS_INT8>(a, block, two_rows, output, ahead);
    });
}

// Up to 64 rows.
template <class T>
inline void gated_stream(const Linear& a, int begin, int end) {
    const int64_t strip = int64_t(tiles_of_row(a)) * kTileBytes;
    in_stream(a, static_cast<const char*>(a.weight), a.outputs / 32 * strip, strip, begin, end,
              gated_product_of<T, false, Stream>);
}

template <class T>
inline void linear_gated(const Linear& a, int begin, int end) {
    const Tiles tiles = tiles_of(a);
    if (is_stream(a)) return gated_stream<T>(a, begin, end);
    a.storage == kInt8 ? gated_in_chunks<T, true>(a, begin, end)
                       : gated_in_chunks<T, false>(a, begin, end);
}

}  // namespace
