// What memory on the heap takes, for the account of the cache that grammars are kept in.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace branchline {

// Beside each block, with what it is rounded up by.
constexpr int64_t kBlock = 16;
// A map's node without what it holds.
constexpr int64_t kMapNode = 32 + kBlock;

inline int64_t held(size_t bytes) { return bytes ? int64_t(bytes) + kBlock : 0; }

template <typename T> int64_t held(const std::vector<T> &items) {
    return held(items.capacity() * sizeof(T));
}

} // namespace branchline
