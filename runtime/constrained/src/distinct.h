// What rows of items that all differ remember, as numbers: texts, sets of texts, and places in such
// a row. Used by machine.h; distinct.py is the same for the walker.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "index.h"

namespace branchline {

// Instead of a set: items are not compared. kAnewUnknown: nor were they, and one began since.
constexpr int32_t kUnknown = -2, kAnewUnknown = -3;
constexpr int32_t kNothing = 0; // the empty set, and the empty text

// Texts as a tree of bytes.
class Texts {
  public:
    Texts() { clear(); }

    void clear() { nodes_.assign(1, {0, kNone, kNone}); }

    int32_t after(int32_t text, uint8_t byte) {
        for (int32_t at = first_after(text); at != kNone; at = next(at))
            if (nodes_[size_t(at)].byte == byte) return at;
        int32_t made = int32_t(nodes_.size());
        nodes_.push_back({byte, kNone, nodes_[size_t(text)].first});
        nodes_[size_t(text)].first = made;
        parents_.resize(nodes_.size());
        parents_[size_t(made)] = text;
        return made;
    }

    int32_t first_after(int32_t text) const { return nodes_[size_t(text)].first; }
    int32_t next(int32_t text) const { return nodes_[size_t(text)].next; }
    uint8_t byte(int32_t text) const { return nodes_[size_t(text)].byte; }
    int32_t before(int32_t text) const { return parents_[size_t(text)]; }
    int64_t num_bytes() const { return held(nodes_) + held(parents_); }

  private:
    struct Node {
        uint8_t byte;
        int32_t first, next; // the first text one byte longer; the next of the same length
    };
    std::vector<Node> nodes_;
    std::vector<int32_t> parents_;
};

// Sets of texts, each once.
class Sets {
  public:
    Sets() { clear(); }

    void clear() {
        sets_.assign(1, {});
        index_.clear();
        size_ = 0;
    }

    int32_t with(int32_t set, int32_t text, const Texts &texts) {
        Set made = sets_[size_t(set)];
        made.members.insert(std::lower_bound(made.members.begin(), made.members.end(), text), text);
        uint64_t hash = 3;
        for (int32_t member : made.members) hash = mixed(hash, uint64_t(member));
        int32_t known = index_.find(hash, [&](int32_t number) {
            return sets_[size_t(number)].members == made.members;
        });
        if (known != kNone) return known;
        for (int32_t at = text;; at = texts.before(at)) {
            auto place = std::lower_bound(made.beginnings.begin(), made.beginnings.end(), at);
            if (place != made.beginnings.end() && *place == at) break;
            made.beginnings.insert(place, at);
            if (at == kNothing) break;
        }
        int32_t number = int32_t(sets_.size());
        size_ += held(made.members) + held(made.beginnings);
        sets_.push_back(std::move(made));
        index_.insert(hash, number);
        return number;
    }

    bool has(int32_t set, int32_t text) const { return in(sets_[size_t(set)].members, text); }
    // Whether a text of the set begins like this.
    bool begins(int32_t set, int32_t text) const { return in(sets_[size_t(set)].beginnings, text); }
    int64_t num_bytes() const { return held(sets_) + size_ + index_.num_bytes(); }

  private:
    struct Set {
        std::vector<int32_t> members, beginnings;
    };

    static bool in(const std::vector<int32_t> &sorted, int32_t text) {
        return std::binary_search(sorted.begin(), sorted.end(), text);
    }

    std::vector<Set> sets_;
    Index index_;
    int64_t size_ = 0;
};

// seen: the items before. item: within one, the state of its own language that `text` (kNone where
// items are not compared) led to; otherwise kNone, and one was completed (`done`) or must begin.
struct Writing {
    int32_t seen, text, item;
    bool done;

    bool operator==(const Writing &other) const {
        return seen == other.seen && text == other.text && item == other.item && done == other.done;
    }
};

class Writings {
  public:
    int32_t of(const Writing &one) {
        uint64_t hash = mixed(mixed(uint64_t(uint32_t(one.seen)) << 32 | uint32_t(one.text),
                                    uint64_t(uint32_t(one.item)) << 1 | one.done), 4);
        int32_t known = index_.find(hash, [&](int32_t number) { return all_[size_t(number)] == one; });
        if (known != kNone) return known;
        all_.push_back(one);
        index_.insert(hash, int32_t(all_.size()) - 1);
        return int32_t(all_.size()) - 1;
    }

    const Writing &operator[](int32_t number) const { return all_[size_t(number)]; }
    int64_t num_bytes() const { return held(all_) + index_.num_bytes(); }

  private:
    std::vector<Writing> all_;
    Index index_;
};

} // namespace branchline
