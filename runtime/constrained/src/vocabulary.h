// The tokens of a vocabulary, in the orders in which masks.h looks at them.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "index.h"

namespace branchline {

constexpr int32_t kChain = 16;      // longest text that is taken without a walk, in characters

// Plain bytes as in vocabulary.py: printable ASCII but the quote and the backslash.
inline bool is_plain(int byte) {
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

// Tokens as a tree of bytes, parents before children.
struct Trie {
    struct Node {
        int32_t end;         // behind the last node below it
        int32_t first_token; // in `tokens`; those of node i end where those of i + 1 begin
        uint16_t depth;
        uint8_t byte;
    };
    std::vector<Node> nodes;
    std::vector<int32_t> tokens;
    std::vector<int32_t> of_first = std::vector<int32_t>(256, kNone); // the nodes of first bytes
    int32_t max_depth = 0;

    void add(int32_t token, const uint8_t *data, int64_t size, std::vector<int32_t> &path) {
        size_t shared = 0;
        while (shared < path.size() && int64_t(shared) < size && nodes[path[shared]].byte == data[shared])
            shared++;
        close(path, shared);
        for (int64_t i = int64_t(shared); i < size; i++) {
            path.push_back(int32_t(nodes.size()));
            if (i == 0) of_first[data[0]] = path[0];
            nodes.push_back({0, int32_t(tokens.size()), uint16_t(i), data[i]});
        }
        max_depth = std::max(max_depth, int32_t(size));
        tokens.push_back(token);
    }

    void close(std::vector<int32_t> &path, size_t kept) {
        for (; path.size() > kept; path.pop_back()) nodes[path.back()].end = int32_t(nodes.size());
    }

    void finish(std::vector<int32_t> &path) {
        close(path, 0);
        nodes.push_back({0, int32_t(tokens.size()), 0, 0});
    }
};

enum Treated { kNoShortcut, kPlainShortcut, kTextShortcut };

class Vocabulary {
  public:
    // order: the ids of tokens that have bytes, in the order of these.
    Vocabulary(const uint8_t *data, const int64_t *starts, int64_t num_tokens, const int64_t *order,
               int64_t num_ordered, const uint8_t *plain, const uint8_t *text)
        : num_words((num_tokens + 31) / 32), bytes_(data, data + starts[num_tokens]),
          starts_(starts, starts + num_tokens + 1) {
        for (int kind = kPlainShortcut; kind <= kTextShortcut; kind++)
            for (int32_t n = 0; n <= kChain; n++) {
                exactly[kind].emplace_back(n ? num_words : 0);
                up_to[kind].emplace_back(n ? num_words : 0);
            }
        std::vector<int32_t> path[3];
        for (int64_t i = 0; i < num_ordered; i++) {
            int64_t id = order[i], size = starts[id + 1] - starts[id];
            const uint8_t *bytes = data + starts[id];
            int32_t length = 0;
            for (int64_t k = 0; k < size; k++) length += (bytes[k] & 0xC0) != 0x80;
            if (text[id] && length <= kChain) {
                bool has[256] = {};
                for (int64_t k = 0; k < size; k++) {
                    if (bytes[k] < 0x80 && !has[bytes[k]]) with_byte[bytes[k]].push_back(int32_t(id));
                    has[bytes[k]] = true;
                }
            }
            const uint8_t *sorts[3] = {nullptr, plain, text};
            for (int kind = kNoShortcut; kind <= kTextShortcut; kind++) {
                if (kind != kNoShortcut && sorts[kind][id] && length <= kChain) {
                    exactly[kind][length][id / 32] |= 1u << (id % 32);
                    for (int32_t n = length; n <= kChain; n++)
                        up_to[kind][n][id / 32] |= 1u << (id % 32);
                    lengths[kind] |= uint64_t(1) << length;
                    if (kind == kTextShortcut) text_of_first[bytes[0]].push_back(int32_t(id));
                } else {
                    tries[kind].add(int32_t(id), bytes, size, path[kind]);
                }
            }
        }
        for (int kind = 0; kind < 3; kind++) tries[kind].finish(path[kind]);
    }

    const uint8_t *bytes_of(int32_t token) const { return bytes_.data() + starts_[size_t(token)]; }
    int64_t size_of(int32_t token) const {
        return starts_[size_t(token) + 1] - starts_[size_t(token)];
    }

    const int64_t num_words;
    Trie tries[3];                                  // by shortcut: tokens that are left to walk
    std::vector<std::vector<uint32_t>> exactly[3];  // tokens of so many characters, as bits
    std::vector<std::vector<uint32_t>> up_to[3];    // of so many or fewer
    uint64_t lengths[3] = {0, 0, 0};                // which numbers of characters there are
    std::vector<int32_t> text_of_first[256];        // tokens of text, by their first byte
    std::vector<int32_t> with_byte[128];            // by a byte somewhere in them

  private:
    const std::vector<uint8_t> bytes_; // of all tokens behind each other
    const std::vector<int64_t> starts_;
};

} // namespace branchline
