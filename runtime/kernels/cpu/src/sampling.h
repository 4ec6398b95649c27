// One token from one row of logits; for level.cpp. runtime/sampling/ is the reference.
//
// Words of the mask without an allowed token are passed over, so that a row under a grammar costs
// what the grammar allows. Nothing is sorted but the tokens of one narrow band of weights.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

#include "kernels.h"
#include "vec.h"

namespace {

constexpr int kWord = 32;  // tokens of a word of the mask
// Weights in (0, 1] by their exponent and the highest 6 bits behind it: bands of 1.6 % at most.
constexpr int kBandShift = 17;
constexpr int kBands = (0x3f800000 >> kBandShift) + 1;

struct DrawScratch {
    std::vector<float> weights, band;
    std::vector<int32_t> counts;
    std::vector<double> sums;
};

thread_local DrawScratch draw_scratch;

inline vi lanes_from(int first) {
    vi lanes;
    for (int i = 0; i < W; ++i) lanes[i] = first + i;
    return lanes;
}

inline uint32_t allowed_of(const Draw& a, int word, int vocab) {
    uint32_t bits = a.mask ? a.mask[word] : ~0u;
    const int there = vocab - word * kWord;
    return there < kWord ? bits & ((1u << there) - 1u) : bits;
}

// visit(first token, logits of W tokens, -inf where they are not allowed), for all allowed ones.
template <class Visit>
inline void visit_allowed(const Draw& a, int vocab, const Visit& visit) {
    const vi lanes = lanes_from(0);
    for (int word = 0; word * kWord < vocab; ++word) {
        const uint32_t bits = allowed_of(a, word, vocab);
        if (bits == 0) continue;
        for (int at = word * kWord; at < (word + 1) * kWord && at < vocab; at += W) {
            vf logits = load_up_to(a.logits + at, vocab - at);
            if (bits != ~0u) {
                const vi shifted = (vi{} + int32_t(bits >> (at % kWord))) >> lanes;
                logits = (shifted & 1) != 0 ? logits : splat(kNegInf);
            }
            visit(at, logits);
        }
    }
}

// visit(token, weight) of those that have one, in order, until it returns false.
template <class Visit>
inline void visit_weights(const Draw& a, int vocab, const float* weights, const Visit& visit) {
    for (int word = 0; word * kWord < vocab; ++word)
        for (uint32_t bits = allowed_of(a, word, vocab); bits != 0; bits &= bits - 1) {
            const int token = word * kWord + __builtin_ctz(bits);
            if (weights[token] > 0.f && !visit(token, weights[token])) return;
        }
}

inline int band_of(float weight) {
    uint32_t bits;
    std::memcpy(&bits, &weight, sizeof bits);
    return int(bits >> kBandShift);
}

// The weights of one band, the largest first.
inline const std::vector<float>& band_in_order(const Draw& a, int vocab, const float* weights,
                                               int band) {
    std::vector<float>& found = draw_scratch.band;
    found.clear();
    visit_weights(a, vocab, weights, [&](int, float weight) {
        if (band_of(weight) == band) found.push_back(weight);
        return true;
    });
    std::sort(found.begin(), found.end(), [](float x, float y) { return x > y; });
    return found;
}

// The least weight that stays, as truncation.py has it: of the top_k largest with their ties, the
// fewest that reach top_p of their sum, of these those of at least min_p. The largest weight is 1.
inline float least_kept(const Draw& a, int vocab, const float* weights, double total) {
    float limit = a.min_p;
    const bool by_nucleus = a.top_p < 1.f;
    if (a.top_k <= 0 && !by_nucleus) return limit;
    std::vector<int32_t>& counts = draw_scratch.counts;
    std::vector<double>& sums = draw_scratch.sums;
    counts.assign(kBands, 0), sums.assign(kBands, 0.0);
    visit_weights(a, vocab, weights, [&](int, float weight) {
        const int band = band_of(weight);
        ++counts[size_t(band)], sums[size_t(band)] += weight;
        return true;
    });
    double mass = total;
    if (a.top_k > 0) {
        int64_t before = 0;
        double above = 0.0;
        int band = kBands - 1;
        for (; band > 0 && before + counts[size_t(band)] < a.top_k; --band)
            before += counts[size_t(band)], above += sums[size_t(band)];
        const std::vector<float>& found = band_in_order(a, vocab, weights, band);
        if (before + int64_t(found.size()) >= a.top_k) {
            const float kth = found[size_t(a.top_k - before - 1)];
            for (const float weight : found) above += weight >= kth ? weight : 0.f;
            mass = above;
            limit = std::max(limit, kth);
        }
    }
    if (by_nucleus) {
        const double wanted = double(a.top_p) * mass;
        double reached = 0.0;
        float least = 0.f;
        int band = kBands - 1;
        for (; band > 0 && reached + sums[size_t(band)] < wanted; --band)
            reached += sums[size_t(band)];
        for (const float weight : band_in_order(a, vocab, weights, band)) {
            if (reached >= wanted && reached > 0.0) break;
            reached += weight;
            least = weight;
        }
        limit = std::max(limit, least);
    }
    return limit;
}

// The first of the highest logits, or -1 where that is to be looked at more closely: their sum is not
// finite.
inline int64_t likeliest(const float* logits, int vocab) {
    constexpr int kAtOnce = 4, kRow = kAtOnce * W, kRows = 16;  // rows of a block
    float most = kNegInf;
    int block = 0, end = 0;  // where the highest so far stands
    vf total[kAtOnce] = {};
    int at = 0;
    for (; at + kRow <= vocab;) {
        const int begin = at, stop = std::min(vocab - kRow, at + (kRows - 1) * kRow);
        vf best[kAtOnce] = {splat(kNegInf), splat(kNegInf), splat(kNegInf), splat(kNegInf)};
        for (; at <= stop; at += kRow)
            for (int i = 0; i < kAtOnce; ++i) {
                const vf x = load(logits + at + i * W);
                best[i] = vmax(x, best[i]);
                total[i] += x;
            }
        const float highest = largest(vmax(vmax(best[0], best[1]), vmax(best[2], best[3])));
        if (highest > most) most = highest, block = begin, end = at;
    }
    float rest = sum(total[0] + total[1] + (total[2] + total[3]));
    for (; at < vocab; ++at) {
        rest += logits[at];
        if (logits[at] > most) most = logits[at], block = at, end = at + 1;
    }
    if (!(rest - rest == 0.f)) return -1;
    for (at = block; at < end; ++at)
        if (logits[at] == most) return at;
    return -1;
}

// The token, kNothingAllowed, or kNotFinite where the largest allowed logit is no number.
inline int64_t draw_token(const Draw& a, int vocab) {
    if (a.temperature <= 0.f && a.mask == nullptr)
        if (const int64_t token = likeliest(a.logits, vocab); token >= 0) return token;
    vf best = splat(kNegInf), poison = {};
    vi where = vi{} + vocab;
    visit_allowed(a, vocab, [&](int at, vf logits) {
        const vi more = logits > best;
        best = more ? logits : best;
        where = more ? lanes_from(at) : where;
        poison += logits != logits ? splat(1.f) : vf{};
    });
    const float most = largest(best);
    if (sum(poison) > 0.f || most == -kNegInf) return kNotFinite;
    if (most == kNegInf) return kNothingAllowed;
    if (a.temperature <= 0.f) {
        int token = vocab;
        for (int i = 0; i < W; ++i)
            if (best[i] == most && where[i] < token) token = where[i];
        return token;
    }

    const size_t padded = size_t(vocab + kWord - 1) / kWord * kWord;
    if (draw_scratch.weights.size() < padded) draw_scratch.weights.resize(padded);
    float* weights = draw_scratch.weights.data();
    const float factor = 1.4426950408889634f / a.temperature;
    double total = 0.0;
    vf part = {};
    int num_parts = 0;
    visit_allowed(a, vocab, [&](int at, vf logits) {
        const vf weight = exp2((logits - most) * factor);
        store(weights + at, weight);
        part += weight;
        if (++num_parts % kWord == 0) total += sum(part), part = vf{};
    });
    total += sum(part);

    const float limit = least_kept(a, vocab, weights, total);
    const auto kept_of = [&](int word) {
        vf kept = {};
        for (int at = word * kWord; at < (word + 1) * kWord && at < vocab; at += W) {
            const vf weight = load(weights + at);
            kept += weight >= limit ? weight : vf{};
        }
        return double(sum(kept));
    };
    total = 0.0;
    for (int word = 0; word * kWord < vocab; ++word)
        if (allowed_of(a, word, vocab) != 0) total += kept_of(word);
    const double target = a.drawn * total;
    double passed = 0.0;
    int64_t token = kNothingAllowed;
    for (int word = 0; word * kWord < vocab && passed <= target; ++word) {
        uint32_t bits = allowed_of(a, word, vocab);
        if (bits == 0) continue;
        const double kept = kept_of(word);
        if (kept == 0.0 || (passed + kept <= target && token != kNothingAllowed)) {
            passed += kept;
            continue;
        }
        for (double within = passed; bits != 0 && within <= target; bits &= bits - 1) {
            const int at = word * kWord + __builtin_ctz(bits);
            if (weights[at] < limit || weights[at] <= 0.f) continue;
            token = at;
            within += weights[at];
        }
        passed += kept;
    }
    return token;
}

}  // namespace
