// Counts that no token exhausts, left out: the places in a text of up to 60 letters are alike for tokens
// of up to 40 bytes, but for the last 40. Included by machine.h.

#pragma once

#include "machine.h"

namespace branchline {

// The least count among those on a stack that are left out, of the frame itself included. Whatever is
// repeated and tells takes a byte each time, so tokens of so many bytes meet the end of none.
inline int32_t Machine::least_count(int32_t node, int32_t high, int32_t following) const {
    const int32_t least = following == kNone ? kInfinite : frames_[following].least;
    const bool counts = nodes_.kind[node] == kRepeat && high >= kLeastCount;
    return counts ? std::min(least, high) : least;
}

// A frame without these counts. What it takes at least to complete it is the same: counts bound a
// text from above.
inline int32_t Machine::uncounted(int32_t frame) {
    std::vector<int32_t> stack; // no recursion along what follows: texts nest as deep as they like
    while (frame != kNone && frames_[frame].least < kInfinite && frames_[frame].uncounted == kNotYet) {
        stack.push_back(frame);
        frame = frames_[frame].following; // kNone of several
    }
    int32_t found = kNone;
    if (frame != kNone)
        found = frames_[frame].least < kInfinite ? frames_[frame].uncounted : frame;
    for (; !stack.empty(); stack.pop_back()) {
        const Frame one = frames_[stack.back()];
        work++;
        if (one.node == kSeveral) {
            std::vector<int32_t> parts = others_[size_t(one.depth)];
            for (int32_t &part : parts) part = uncounted(part);
            found = either(parts);
        } else {
            const bool counts = nodes_.kind[one.node] == kRepeat && one.high >= kLeastCount;
            found = made(one.node, one.low, counts ? kNone : one.high, one.depth, found);
        }
        frames_[stack.back()].uncounted = found;
    }
    return found;
}

inline int32_t Machine::alike(int32_t state, int32_t &least) {
    least = kInfinite;
    if (states_[state].writes) return state;
    std::vector<int32_t> leaves(places_.begin() + states_[state].first,
                                places_.begin() + states_[state].first + states_[state].count);
    for (int32_t leaf : leaves) least = std::min(least, frames_[leaf].least);
    if (least == kInfinite) return state;
    for (int32_t &leaf : leaves) leaf = uncounted(leaf);
    join(leaves);
    return state_of(leaves, states_[state].accepting);
}

} // namespace branchline
