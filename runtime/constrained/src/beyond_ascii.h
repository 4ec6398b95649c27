// Text beyond ASCII, as a machine reads it; used by masks.h.

#pragma once

#include <algorithm>
#include <vector>

#include "machine.h"

namespace branchline {

// The one state that every character beyond ASCII leads to; kDead where there is none.
inline int32_t beyond_ascii(Machine &machine, int32_t state) {
    static const uint8_t kSequences[8][8] = {
        {0xC2, 0xDF, 0x80, 0xBF},
        {0xE0, 0xE0, 0xA0, 0xBF, 0x80, 0xBF},
        {0xE1, 0xEC, 0x80, 0xBF, 0x80, 0xBF},
        {0xED, 0xED, 0x80, 0x9F, 0x80, 0xBF},
        {0xEE, 0xEF, 0x80, 0xBF, 0x80, 0xBF},
        {0xF0, 0xF0, 0x90, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
        {0xF1, 0xF3, 0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
        {0xF4, 0xF4, 0x80, 0x8F, 0x80, 0xBF, 0x80, 0xBF},
    };
    int32_t found = kDead;
    for (const auto &sequence : kSequences) {
        std::vector<int32_t> here{state}, reached;
        for (int i = 0; i < 8 && sequence[i]; i += 2) {
            reached.clear();
            for (int32_t one : here)
                if (!machine.reached(one, sequence[i], sequence[i + 1], reached)) return kAmbiguous;
            std::sort(reached.begin(), reached.end());
            reached.erase(std::unique(reached.begin(), reached.end()), reached.end());
            if (reached.size() > 8 || reached[0] == kDead) return kDead; // kDead is the least
            here = reached;
        }
        if (here.size() != 1 || (found != kDead && here[0] != found)) return kDead;
        found = here[0];
    }
    return found;
}

} // namespace branchline
