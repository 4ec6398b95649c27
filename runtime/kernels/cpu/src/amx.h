// Linear layers on Intel's tile instructions; for level.cpp, level amx.
#pragma once

#include <algorithm>

#include "amx_groups.h"
#include "amx_tiles.h"

namespace {

// 16 x 16 sums of integers as floats in their place, times the scales of rows and outputs.
inline void scale_int8(const Linear& a, float* sums, int rows, int64_t row, int output) {
    const vf scale = load(static_cast<const float*>(a.scales) + output);
    for (int r = 0; r < rows; ++r) {
        vi whole;
        std::memcpy(&whole, sums + r * 16, sizeof whole);
        store(sums + r * 16, __builtin_convertvector(whole, vf) * (scale * a.x_scales[row + r]));
    }
}

// Whether a block's sums are its results, so that tiles are stored where these belong.
inline bool is_result(const Linear& a, int rows, int output) {
    return a.storage == kBf16 && a.out_is_float && !a.adds && a.bias == nullptr &&
           output + 16 <= a.outputs && (rows == 16 || a.rows <= kMostExactRows);
}

// The sums of R x C blocks, numbered as `multiply` has them.
template <class T, bool IS_INT8, int R, int C>
class Results {
public:
    Results(const Linear& a, int64_t block, int output_block)
        : a_(a), row_(block * 16), output_(output_block * 16), places_(&sums_[0]) {
        each([&](int i, int rows, int64_t row, int output) {
            if (!is_result(a_, rows, output)) return;
            places_.at[i] = static_cast<float*>(a_.out) + row * a_.outputs + output;
            places_.stride[i] = a_.outputs * int64_t(sizeof(float));
        });
    }

    const Places& places() const { return places_; }

    void put() {
        each([&](int i, int rows, int64_t row, int output) {
            if (places_.at[i] != sums_[i]) return;
            if constexpr (IS_INT8) scale_int8(a_, sums_[i], rows, row, output);
            put_sums<T>(a_, sums_[i], rows, row, output);
        });
    }

private:
    template <class Visit>
    void each(const Visit& visit) {
        for (int r = 0; r < R; ++r)
            for (int c = 0; c < C; ++c)
                visit(2 * r + c, rows_of_block(a_, row_ / 16 + r), row_ + r * 16,
                      output_ + c * 16);
    }

    alignas(64) float sums_[4][256];
    const Linear& a_;
    int64_t row_;
    int output_;
    Places places_;
};

// R x C blocks of 16 x 16 results, weights in bfloat16 or int8.
template <class T, bool IS_INT8, int R, int C, class Asked>
inline void product(const Linear& a, int64_t block, int output_block, Asked& ahead) {
    constexpr int terms = sizeof(T) == 4 && !IS_INT8 ? 3 : 1;
    const int64_t strip = int64_t(tiles_of_row(a)) * kTileBytes;
    Results<T, IS_INT8, R, C> results(a, block, output_block);
    multiply<IS_INT8, terms, R, C>(
        static_cast<const char*>(a.packed_x) + block * strip * terms, strip * terms,
        static_cast<const char*>(a.weight) + output_block * strip, strip, tiles_of_row(a),
        results.places(), ahead);
    results.put();
}

// The blocks [2 pair, 2 pair + 2) of outputs, as far as they are there, with one or two row blocks.
template <class T, bool IS_INT8, class Asked>
inline void product_of_pair(const Linear& a, int64_t block, bool two_rows, int pair, Asked& ahead) {
    const bool two = pair * 32 + 16 < a.outputs;
    const auto run =
        two_rows ? (two ? product<T, IS_INT8, 2, 2, Asked> : product<T, IS_INT8, 2, 1, Asked>)
                 : (two ? product<T, IS_INT8, 1, 2, Asked> : product<T, IS_INT8, 1, 1, Asked>);
    run(a, block, 2 * pair, ahead);
}

// Up to 64 rows: each weight is read once, and with it all rows are multiplied.
constexpr int kStreamBlocks = 4;

inline bool is_stream(const Linear& a) { return a.rows <= kStreamBlocks * 16; }

// visit(a, block, two_rows, output, stream) for each pair of row blocks, after the one that is left
// over, and each of the outputs [begin, end): a strip each at `first` and `first + between`, and the
// next ones `onward` bytes on.
template <class Visit>
inline void in_stream(const Linear& a, const char* first, int64_t between, int64_t onward, int begin,
                      int end, const Visit& visit) {
    const int64_t row_blocks = (a.rows + 15) / 16, strip = int64_t(tiles_of_row(a)) * kTileBytes;
    Stream stream(first + begin * onward, between, onward, strip, end - begin, row_blocks > 2 ? 2 : 1);
    for (int output = begin; output < end; ++output) {
        if (row_blocks % 2 == 1) visit(a, 0, false, output, stream);
        for (int64_t block = row_blocks % 2; block < row_blocks; block += 2)
            visit(a, block, true, output, stream);
        stream.advance();
    }
}

template <class T, bool IS_INT8>
inline void linear_of_stream(const Linear& a, int begin, int end) {
    const int64_t strip = int64_t(tiles_of_row(a)) * kTileBytes;
    in_stream(a, static_cast<const char*>(a.weight), strip, 2 * strip, begin, end,
              product_of_pair<T, IS_INT8, Stream>);
}

// Inputs, and weights, that are used together: both stay in 2 MiB of L2.
constexpr int64_t kChunkBytes = 768 * 1024;

// What is asked for of the next chunk of outputs, `many` on, by one product of this one: so many lines
// with each ask, from so many bytes on.
struct Share {
    int many, lines;
    int64_t bytes;
};

// More rows, weights in bfloat16 or int8: visit(block, two_rows, output, share) for each pair of row
// blocks and each of the outputs [begin, end), of two strips each. A chunk of rows meets a chunk of
// outputs, so that both come from L2 again and again, and results are written in runs along their rows.
// (Cutting the inputs, too, so that one side stays in L1, was measured: storing and loading the sums
// costs more than it saves.) Where all rows are one chunk, one of outputs is two strips. The next chunk
// of outputs is asked for while this one is multiplied, a share by each pair of row blocks.
template <class T, class Visit>
inline void in_chunks(const Linear& a, int begin, int end, const Visit& visit) {
    const int steps = tiles_of_row(a);
    const int64_t strip = int64_t(steps) * kTileBytes, row_blocks = (a.rows + 15) / 16;
    const int64_t many_rows = std::max<int64_t>(1, kChunkBytes / (2 * strip * terms_of<T>(a))) * 2;
    const int many = row_blocks <= many_rows ? 1 : int(std::max<int64_t>(1, kChunkBytes / (2 * strip)));
    for (int64_t first = 0; first < row_blocks; first += many_rows) {
        const int64_t last = std::min(first + many_rows, row_blocks);
        const int asks = kAsksOfStep * int((last - first + 1) / 2);
        const int lines = (2 * kTileBytes / 64 + asks - 1) / asks;
        for (int outputs = begin; outputs < end; outputs += many) {
            const int outputs_end = std::min(outputs + many, end);
            for (int64_t block = first; block < last; block += 2) {
                const int64_t bytes = (block - first) / 2 * steps * kAsksOfStep * lines * 64;
                for (int output = outputs; output < outputs_end; ++output)
                    visit(block, block + 1 < row_blocks, output, Share{many, lines, bytes});
            }
        }
    }
}

template <class T, bool IS_INT8>
inline void linear_in_chunks(const Linear& a, int begin, int end) {
    const int64_t strip = int64_t(tiles_of_row(a)) * kTileBytes;
    const char* weight = static_cast<const char*>(a.weight);
    const char* weight_end = weight + std::min(2 * end, (a.outputs + 15) / 16) * strip;
    in_chunks<T>(a, begin, end, [&](int64_t block, bool two_rows, int pair, const Share& share) {
        const char* next = weight + (pair + share.many) * 2 * strip;
        Ahead ahead{next + share.bytes, std::min(next + 2 * strip, weight_end), share.lines};
        product_of_pair<T, IS_INT8>(a, block, two_rows, pair, ahead);
    });
}

// --- all rows ----------------------------------------------------------------------------------

// For the pairs [begin, end) of blocks of 16 outputs.
template <class T>
inline void linear_amx(const Linear& a, int begin, int end) {
    if (has_few_rows(a)) return linear_few_rows<T>(a, begin, end);
    if (a.storage == kFloat) return linear_any<kFloat>(a, begin, end);
    const Tiles tiles = tiles_of(a);
    if (has_groups(a.storage))
        a.storage == kInt4 ? linear_of_groups<T, kInt4>(a, begin, end)
                           : linear_of_groups<T, kInt6>(a, begin, end);
    else if (is_stream(a))
        a.storage == kInt8 ? linear_of_stream<T, true>(a, begin, end)
                           : linear_of_stream<T, false>(a, begin, end);
    else
        a.storage == kInt8 ? linear_in_chunks<T, true>(a, begin, end)
                           : linear_in_chunks<T, false>(a, begin, end);
}

}  // namespace
