// The nodes of one grammar, as machine_tables.py has them; read by machine.h.

#pragma once

#include <cstdint>

namespace branchline {

constexpr int32_t kLeastCount = 16; // bytes that hardly a token is longer than

enum Kind : uint8_t { kBytes, kSet, kSeq, kAlt, kRepeat, kWords, kDistinct };

// In arrays that their owner keeps alive.
struct Nodes {
    const uint8_t *kind;
    const int32_t *cost;
    const int32_t *low, *high;           // counts, high of -1 for none; of a set: first, last
    const int64_t *item_start;           // [nodes + 1]
    const int32_t *items;
    const int64_t *data_start;           // [nodes + 1]: a text, all of a node's words, or for
                                         // distinct items the bytes that are tokens
    const uint8_t *data;
    const int64_t *cost_start;           // [nodes]
    const int32_t *costs;                // from each byte of a text, and its end; word by word
    const int64_t *word_start;           // [nodes]: where `words` has those of a node
    const int64_t *words;                // where each begins in its node's data, and the last ends
};

} // namespace branchline
