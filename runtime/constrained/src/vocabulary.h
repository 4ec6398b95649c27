// The tokens of a vocabulary, in the orders in which masks.h looks at them.

#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "index.h"
#include "nodes.h"

namespace branchline {

using Bits = std::vector<uint32_t>; // by token

constexpr size_t kMaxClasses = 64;  // sets of bytes whose tokens are kept
constexpr int32_t kChain = 16; // longest text that is taken without a walk, in characters
constexpr size_t kMaxSuspects = 16384; // tokens that are walked one by one

// Plain bytes as in vocabulary.py: printable ASCII but the quote and the backslash.
inline bool is_plain(int byte) {
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

// Sets of bytes that grammars go in circles with, the largest first, as bits: what stands in names,
// words and labels. 0 of a byte in none of them.
constexpr int kNumCircles = 4;
inline uint8_t circles_of(int byte) {
    const bool lower = 'a' <= byte && byte <= 'z', upper = 'A' <= byte && byte <= 'Z';
    const bool digit = '0' <= byte && byte <= '9';
    return uint8_t((lower || upper || digit) | (lower || upper) << 1 | (lower || digit) << 2 | lower << 3);
}

// Tokens as a tree of bytes, parents before children.
struct Trie {
    struct Node {
        int32_t end;         // behind the last node below it
        int32_t first_token; // in `tokens`; those of node i end where those of i + 1 begin
        uint16_t depth;
        uint8_t byte;
        uint8_t circles; // of all bytes of its tokens and of those below it
    };
    std::vector<Node> nodes;
    std::vector<int32_t> tokens;
    std::vector<int32_t> of_first = std::vector<int32_t>(256, kNone); // the nodes of first bytes
    int32_t max_depth = 0;

    // Exactly: what a vector that grows leaves behind would stay with the process.
    void reserve(int64_t num_nodes, int64_t num_tokens) {
        nodes.reserve(size_t(num_nodes) + 1);
        tokens.reserve(size_t(num_tokens));
    }

    void add(int32_t token, const uint8_t *data, int64_t size, std::vector<int32_t> &path) {
        size_t shared = 0;
        while (shared < path.size() && int64_t(shared) < size && nodes[path[shared]].byte == data[shared])
            shared++;
        close(path, shared);
        for (int64_t i = int64_t(shared); i < size; i++) {
            path.push_back(int32_t(nodes.size()));
            if (i == 0) of_first[data[0]] = path[0];
            nodes.push_back({0, int32_t(tokens.size()), uint16_t(i), data[i], circles_of(data[i])});
        }
        max_depth = std::max(max_depth, int32_t(size));
        tokens.push_back(token);
    }

    void close(std::vector<int32_t> &path, size_t kept) {
        for (; path.size() > kept; path.pop_back()) nodes[path.back()].end = int32_t(nodes.size());
    }

    void finish(std::vector<int32_t> &path) {
        close(path, 0);
        for (size_t at = nodes.size(); at-- > 0;)
            for (size_t below = at + 1; below < size_t(nodes[at].end); below = size_t(nodes[below].end))
                nodes[at].circles &= nodes[below].circles;
        std::vector<uint8_t> before(size_t(max_depth) + 1, 0xFF);
        for (Node &node : nodes) {
            before[size_t(node.depth) + 1] = before[node.depth] & circles_of(node.byte);
            node.circles &= before[node.depth];
        }
        nodes.push_back({0, int32_t(tokens.size()), 0, 0, 0});
    }
};

enum Treated { kNoShortcut, kPlainShortcut, kTextShortcut };

class Vocabulary {
  public:
    // order: the ids of tokens that have bytes, in the order of these. `data` and `starts` are read
    // as long as this lives.
    Vocabulary(const uint8_t *data, const int64_t *starts, int64_t num_tokens, const int64_t *order,
               int64_t num_ordered, const uint8_t *plain, const uint8_t *text)
        : num_words((num_tokens + 31) / 32), holding(128, Bits(size_t(num_words))),
          ascii(size_t(num_words)), others(size_t(num_words)), bytes_(data), starts_(starts) {
        for (int kind = kPlainShortcut; kind <= kTextShortcut; kind++)
            for (int32_t n = 0; n <= kChain; n++) {
                exactly[kind].emplace_back(n ? num_words : 0);
                up_to[kind].emplace_back(n ? num_words : 0);
            }
        const uint8_t *sorts[3] = {nullptr, plain, text};
        auto has_shortcut = [&](int kind, int64_t id, int32_t length) {
            return kind != kNoShortcut && sorts[kind][id] && length <= kChain;
        };
        reserve(order, num_ordered, has_shortcut);
        std::vector<int32_t> path[3];
        for (int64_t i = 0; i < num_ordered; i++) {
            int32_t id = int32_t(order[i]), length = length_of(id);
            const uint8_t *bytes = bytes_of(id);
            note_bytes(id);
            for (int kind = kNoShortcut; kind <= kTextShortcut; kind++) {
                if (has_shortcut(kind, id, length)) {
                    exactly[kind][length][id / 32] |= 1u << (id % 32);
                    for (int32_t n = length; n <= kChain; n++)
                        up_to[kind][n][id / 32] |= 1u << (id % 32);
                    lengths[kind] |= uint64_t(1) << length;
                    if (kind == kTextShortcut) text_of_first[bytes[0]].push_back(id);
                } else {
                    tries[kind].add(id, bytes, size_of(id), path[kind]);
                }
            }
        }
        for (int kind = 0; kind < 3; kind++) tries[kind].finish(path[kind]);
        for (int64_t i = 0; i < num_ordered; i++)
            if (size_of(order[i]) > kLeastCount) long_ones.push_back(int32_t(order[i]));
    }

    // The tokens made of nothing but some ASCII bytes, as bits; kept for who asks again. In many
    // grammars they are the same bytes: letters, digits, what an address may hold.
    const Bits &made_of(const std::bitset<128> &bytes) const {
        auto known = made_of_.find(bytes);
        if (known != made_of_.end()) return known->second;
        Bits found(ascii);
        for (size_t byte = 0; byte < 128; byte++)
            if (!bytes[byte])
                for (size_t i = 0; i < found.size(); i++) found[i] &= ~holding[byte][i];
        if (made_of_.size() >= kMaxClasses) made_of_.clear();
        return made_of_.emplace(bytes, std::move(found)).first->second;
    }

    // Add the tokens with any of some bytes; false, and not all of them, where one byte alone is in
    // more than `most`.
    bool with_any(const std::bitset<128> &bytes, size_t most, Bits &found) const {
        for (size_t byte = 0; byte < 128; byte++)
            if (bytes[byte] && num_holding[byte] > most) return false;
        for (size_t byte = 0; byte < 128; byte++)
            if (bytes[byte])
                for (size_t i = 0; i < found.size(); i++) found[i] |= holding[byte][i];
        return true;
    }

    const uint8_t *bytes_of(int32_t token) const { return bytes_ + starts_[token]; }
    int64_t size_of(int32_t token) const { return starts_[token + 1] - starts_[token]; }

    const int64_t num_words;
    std::vector<int32_t> long_ones;                 // tokens of over kLeastCount bytes, in their order
    Trie tries[3];                                  // by shortcut: tokens that are left to walk
    std::vector<std::vector<uint32_t>> exactly[3];  // tokens of so many characters, as bits
    std::vector<std::vector<uint32_t>> up_to[3];    // of so many or fewer
    uint64_t lengths[3] = {0, 0, 0};                // which numbers of characters there are
    std::vector<int32_t> text_of_first[256];        // tokens of text, by their first byte
    std::vector<Bits> holding;                      // tokens by an ASCII byte somewhere in them
    size_t num_holding[128] = {};
    Bits ascii, others;                             // of ASCII alone, and those with other bytes

  private:
    // In characters.
    int32_t length_of(int32_t id) const {
        return int32_t(std::count_if(bytes_of(id), bytes_of(id) + size_of(id),
                                     [](uint8_t byte) { return (byte & 0xC0) != 0x80; }));
    }

    template <class HasShortcut>
    void reserve(const int64_t *order, int64_t num_ordered, HasShortcut has_shortcut) {
        int64_t num_nodes[3] = {}, num_tokens[3] = {};
        int32_t before[3] = {kNone, kNone, kNone};
        for (int64_t i = 0; i < num_ordered; i++) {
            int32_t id = int32_t(order[i]), length = length_of(id);
            const uint8_t *bytes = bytes_of(id);
            for (int kind = kNoShortcut; kind <= kTextShortcut; kind++) {
                if (has_shortcut(kind, id, length)) continue;
                int64_t shared = 0, size = size_of(id);
                if (before[kind] != kNone) {
                    int64_t most = std::min(size, size_of(before[kind]));
                    const uint8_t *other = bytes_of(before[kind]);
                    shared = std::mismatch(bytes, bytes + most, other).first - bytes;
                }
                num_nodes[kind] += size - shared;
                num_tokens[kind]++;
                before[kind] = id;
            }
        }
        for (int kind = 0; kind < 3; kind++) tries[kind].reserve(num_nodes[kind], num_tokens[kind]);
    }

    void note_bytes(int32_t id) {
        bool beyond = false;
        for (int64_t k = 0; k < size_of(id); k++) {
            const uint8_t byte = bytes_of(id)[k];
            beyond = beyond || byte >= 0x80;
            if (byte >= 0x80) continue;
            uint32_t &word = holding[byte][size_t(id) / 32];
            num_holding[byte] += !(word >> (id % 32) & 1);
            word |= 1u << (id % 32);
        }
        (beyond ? others : ascii)[size_t(id) / 32] |= 1u << (id % 32);
    }

    const uint8_t *const bytes_; // of all tokens behind each other
    const int64_t *const starts_;
    mutable std::unordered_map<std::bitset<128>, Bits> made_of_;
};

} // namespace branchline
