// Text that a grammar leaves no choice about; included by machine.h.

#pragma once

#include "machine.h"

namespace branchline {

inline int32_t Machine::only_byte(int32_t state) const {
    int32_t only = kNone;
    for (int32_t i = 0; i < states_[state].count; i++) {
        const Frame &frame = frames_[places_[states_[state].first + i]];
        const int32_t node = frame.node;
        int32_t byte;
        switch (nodes_.kind[node]) {
        case kBytes: byte = nodes_.data[nodes_.data_start[node] + frame.low]; break;
        case kSet: byte = nodes_.low[node] == nodes_.high[node] ? nodes_.low[node] : kNone; break;
        case kWords: // in order, so those between the first and the last are like them
            byte = word_byte(node, frame.low, frame.depth);
            if (byte != word_byte(node, frame.high - 1, frame.depth)) byte = kNone;
            break;
        default: byte = only_byte(writings_[frame.depth].item); // of distinct items
        }
        if (byte == kNone || (i > 0 && byte != only)) return kNone;
        only = byte;
    }
    return only;
}

inline int32_t Machine::forced(int32_t state, uint8_t *text, int32_t most) {
    int32_t count = 0;
    while (count < most && !states_[state].accepting) {
        const int32_t byte = only_byte(state);
        if (byte == kNone) break;
        state = step(state, uint8_t(byte), false);
        if (state <= kDead) break;
        text[count++] = uint8_t(byte);
    }
    return count;
}

} // namespace branchline
