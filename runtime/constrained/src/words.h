// Many texts as alternatives, as words.py has them; included by machine.h.

#pragma once

#include "machine.h"

namespace branchline {

inline uint8_t Machine::word_byte(int32_t node, int32_t word, int32_t depth) const {
    return nodes_.data[nodes_.data_start[node] + words(node)[word] + depth];
}

inline int32_t Machine::least_cost(int32_t node, int32_t low, int32_t high, int32_t depth) {
    const int64_t *starts = words(node);
    const int32_t *costs = nodes_.costs + nodes_.cost_start[node];
    int32_t least = kInfinite;
    for (int32_t w = low; w < high; w++) least = std::min(least, costs[starts[w] + w + depth]);
    work += (high - low) / 16;
    return least;
}

// Words are sorted, so those that have a byte at a depth are a range.
inline void Machine::leave_words(const Frame &frame) {
    const int64_t *starts = words(frame.node);
    int32_t low = frame.low;
    while (low < frame.high) {
        uint8_t byte = word_byte(frame.node, low, frame.depth);
        int32_t first = low, last = frame.high;
        while (low < last) { // past those with this byte
            int32_t middle = low + (last - low) / 2;
            if (word_byte(frame.node, middle, frame.depth) <= byte) low = middle + 1;
            else last = middle;
        }
        if (starts[first + 1] - starts[first] == frame.depth + 1) {
            arrivals_.push_back({byte, byte, frame.following});
            first++;
        }
        if (first < low) {
            int32_t rest = made(frame.node, first, low, frame.depth + 1, frame.following);
            arrivals_.push_back({byte, byte, rest});
        }
    }
}

} // namespace branchline
