// Linear layers over packed weights for any vector width, and what amx.h needs of them, too; for
// level.cpp. A few rows of x meet the weight as it streams by, lanes over outputs; more: linear_panels.h.
#pragma once

#include "kernels.h"
#include "rounding.h"

namespace {

// Whether weights are quantized, and x with them.
constexpr bool is_rounded(int storage) {
    return storage == kInt8 || storage == kInt4 || storage == kInt6;
}

// --- x in int8 ---------------------------------------------------------------------------------

// A row of x in int8: sets its scales, and hands on whole vectors of integers with where they begin,
// up to the padded end, and after those of a group its number.
template <class T, class Put, class End>
inline void round_row(const Linear& a, int64_t row, const Put& put, const End& end_group) {
    const T* x = static_cast<const T*>(a.x) + row * a.inputs;
    const int padded = padded_inputs(a), groups = groups_of(a), length = padded / groups;
    for (int g = 0; g < groups; ++g) {
        const int begin = g * length;
        const float scale = scale_of(x + begin, a.inputs < begin + length ? a.inputs - begin : length);
        a.x_scales[row * groups + g] = scale;
        const float inverse = inverse_of_scale(scale);
        for (int i = begin; i < begin + length; i += W) {
            vf part = {};
            if (i < a.inputs) part = load_up_to(x + i, a.inputs - i);
            put(i, to_integers(part * inverse));
        }
        end_group(g);
    }
}
template <class T, class Put>
inline void round_row(const Linear& a, int64_t row, const Put& put) {
    round_row<T>(a, row, put, [](int) {});
}

// --- results -----------------------------------------------------------------------------------

// Up to 16 rows x 16 outputs of the result, from their sums.
template <class T>
inline void put_sums(const Linear& a, const float* sums, int rows, int64_t row, int output) {
    const T* bias = static_cast<const T*>(a.bias);
    for (int r = 0; r < rows; ++r) {
        for (int lane = 0; lane < 16; lane += W) {
            const int at = output + lane, n = a.outputs - at;
            if (n <= 0) break;
            vf sum = load(sums + r * 16 + lane);
            if (bias != nullptr) sum += load_up_to(bias + at, n);
            const int64_t to = (row + r) * a.outputs + at;
            if (a.out_is_float) {
                float* wide = static_cast<float*>(a.out) + to;
                if (a.adds) sum += load_up_to(wide, n);
                store_up_to(wide, sum, n);
                continue;
            }
            T* out = static_cast<T*>(a.out) + to;
            if (a.adds) sum += load_up_to(out, n);
            store_up_to(out, sum, n);
        }
    }
}

__attribute__((noinline)) inline void put_sums_any(const Linear& a, const float* sums, int rows,
                                                  int64_t row, int output) {
    a.is_bf16 ? put_sums<bf16>(a, sums, rows, row, output) : put_sums<float>(a, sums, rows, row, output);
}

// --- any vector width --------------------------------------------------------------------------

// The inputs stay float; with quantized weights they are integers. Rows are so many floats apart that
// some of them, at the same input, have different places in a cache.
inline int64_t stride_any(const Linear& a) { return padded_inputs(a) + 16; }

inline int64_t linear_bytes_any(const Linear& a) {
    return a.rows * stride_any(a) * int64_t(sizeof(float));
}

template <class T>
inline void pack_inputs_any(const Linear& a, int64_t block) {
    const int padded = padded_inputs(a);
    const int64_t end = a.rows < (block + 1) * 16 ? a.rows : (block + 1) * 16;
    for (int64_t r = block * 16; r < end; ++r) {
        const T* x = static_cast<const T*>(a.x) + r * a.inputs;
        float* to = static_cast<float*>(a.packed_x) + r * stride_any(a);
        if (is_rounded(a.storage)) {
            round_row<T>(a, r, [&](int i, vi whole) {
                store(to + i, __builtin_convertvector(whole, vf));
            });
            continue;
        }
        for (int i = 0; i < padded; i += W) {
            vf part = {};
            if (i < a.inputs) part = load_up_to(x + i, a.inputs - i);
            store(to + i, part);
        }
    }
}

template <int STORAGE>
constexpr int kPerWord = STORAGE == kFloat ? 1 : STORAGE == kBf16 ? 2 : STORAGE == kInt8 ? 4 : 8;

// Input K of each word, unscaled.
template <int STORAGE, int K>
inline vf unpack(vu words) {
    if constexpr (STORAGE == kFloat) {
        return (vf)words;
    } else if constexpr (STORAGE == kBf16) {
        return (vf)(K == 0 ? words << 16 : words & 0xffff0000u);
    } else if constexpr (STORAGE == kInt8) {
        return __builtin_convertvector((vi)(words << (24 - 8 * K)) >> 24, vf);
    } else {
        constexpr int shift = 16 * (K % 2) + 4 * (K / 2);
        return (vf)((words >> shift & 15u) | 0x4B000000u) - 8388616.f;  // 2^23 + 8
    }
}

template <int STORAGE, int R, int C, int... K>
inline void add_words(
    const uint32_t* w, int64_t next_block, const float* x, int64_t stride,
    vf (&sums)[R][C][16 / W], std::integer_sequence<int, K...>
) {
    for (int c = 0; c < C; ++c) {
        for (int v = 0; v < 16 / W; ++v) {
            vu words;
            std::memcpy(&words, w + c * next_block + v * W, sizeof words);
            const auto add = [&](int k, vf weight) {
                for (int r = 0; r < R; ++r) sums[r][c][v] += weight * x[r * stride + k];
            };
            (add(K, unpack<STORAGE, K>(words)), ...);
        }
    }
}

// Of the 16 outputs of a block those from `lane` on.
template <int STORAGE>
inline vf scale_of_outputs(const Linear& a, int block, int group, int lane) {
    if constexpr (STORAGE == kInt8)
        return load(static_cast<const float*>(a.scales) + block * 16 + lane);
    else
        return load(static_cast<const bf16*>(a.scales) + (block * int64_t(groups_of(a)) + group) * 16 +
                    lane);
}

// So many products are summed by themselves before they are added to others: the more accurate, and the
// same bits however many rows there are.
constexpr int kPartInputs = 256;

// run(first, apart) for the blocks [block, end) of outputs, C of them side by side, `apart` from each other,
// and where those that are left begin: processors ask ahead for what goes on as it did, so that a few long
// streams come sooner than many short ones.
template <int C, class Run>
inline int in_streams(int block, int end, const Run& run) {
    const int apart = (end - block) / C;
    for (int first = block; first < block + apart; ++first) run(first, apart);
    return block + C * apart;
}

// All rows, which are R, x C blocks of 16 outputs, `apart` from each other.
template <int STORAGE, int R, int C>
inline void product_any(const Linear& a, int block, int apart) {
    constexpr int per_word = kPerWord<STORAGE>;
    const int padded = padded_inputs(a), groups = groups_of(a), length = padded / groups;
    const int64_t strip = padded / per_word * int64_t(16), next_block = apart * strip;
    const int64_t stride = stride_any(a);
    const uint32_t* w = static_cast<const uint32_t*>(a.weight) + block * strip;
    const float* x = static_cast<const float*>(a.packed_x);
    vf totals[R][C][16 / W] = {};
    for (int group = 0; group < groups; ++group) {
        vf sums[R][C][16 / W] = {};
        const int end = (group + 1) * length;
        for (int k = group * length; k < end;) {
            vf parts[R][C][16 / W] = {};
            const int part_end = k + kPartInputs < end ? k + kPartInputs : end;
            for (; k < part_end; k += per_word)
                add_words<STORAGE>(w + k / per_word * 16, next_block, x + k, stride, parts,
                                   std::make_integer_sequence<int, per_word>());
            for (int r = 0; r < R; ++r)
                for (int c = 0; c < C; ++c)
                    for (int v = 0; v < 16 / W; ++v) sums[r][c][v] += parts[r][c][v];
        }
        for (int c = 0; c < C; ++c) {
            for (int v = 0; v < 16 / W; ++v) {
                for (int r = 0; r < R; ++r) {
                    vf& total = totals[r][c][v];
                    const vf sum = sums[r][c][v];
                    if constexpr (is_rounded(STORAGE))
                        total += sum * (scale_of_outputs<STORAGE>(a, block + c * apart, group, v * W) *
                                        a.x_scales[r * groups + group]);
                    else
                        total = sum;
                }
            }
        }
    }
    for (int c = 0; c < C; ++c) {
        float results[R * 16];
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < 16 / W; ++v)
                store(results + r * 16 + v * W, totals[r][c][v]);
        put_sums_any(a, results, R, 0, (block + c * apart) * 16);
    }
}

// Up to so many rows the weight is unpacked in registers.
constexpr int kStreamedRows = W == 8 ? 3 : 4;

// Of blocks side by side, whose sums have to fit into registers.
constexpr int kStreams = W == 4 ? 2 : 4;

// For the blocks [block, end), C of them at a time.
template <int STORAGE, int C = kStreams>
inline void linear_as_it_streams(const Linear& a, int block, int end) {
    const auto run = a.rows == 1   ? product_any<STORAGE, 1, C>
                     : a.rows == 2 ? product_any<STORAGE, 2, C>
                     : a.rows == 3 ? product_any<STORAGE, 3, C>
                                   : product_any<STORAGE, 4, C>;
    block = in_streams<C>(block, end, [&](int first, int apart) { run(a, first, apart); });
    if constexpr (C > 1) linear_as_it_streams<STORAGE, C / 2>(a, block, end);
}

}  // namespace
