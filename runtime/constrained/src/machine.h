// A grammar as a machine over bytes: the walker of walker.py in C++, for masks. Included by api.cpp.
//
// A state is the set of places where the text so far may have arrived, each a frame: a node, what
// follows it, and the least tokens from there to the end. A state's 256 successors are found at
// once, when a mask or a text first leads through it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "index.h"

namespace branchline {

constexpr int32_t kInfinite = 1 << 30;
constexpr int32_t kDead = 0;       // the state that no text leads out of
constexpr int32_t kAmbiguous = -1; // instead of a state: too many places at once
constexpr int32_t kUnknown = -2;
constexpr int kVisits = 6;

enum Kind : uint8_t { kBytes, kSet, kSeq, kAlt, kRepeat, kWords };

// The nodes of one grammar, in arrays that their owner keeps alive (machine_tables.py).
struct Nodes {
    const uint8_t *kind;
    const int32_t *cost;
    const int32_t *low, *high;           // repeat: counts, high of -1 for none; set: first, last
    const int64_t *item_start;           // [nodes + 1]
    const int32_t *items;
    const int64_t *data_start;           // [nodes + 1]: a text, or all of a node's words
    const uint8_t *data;
    const int64_t *cost_start;           // [nodes]
    const int32_t *costs;                // from each byte of a text, and its end; word by word
    const int64_t *word_start;           // [nodes]: where `words` has those of a node
    const int64_t *words;                // where each begins in its node's data, and the last ends
};

struct Frame {
    int32_t node, following, low, high, depth, cost;
};

struct State {
    int32_t first = 0, count = 0; // its frames in `places_`
    int32_t cost = kInfinite;
    bool accepting = false;
    uint8_t visits = 0;           // steps out of it that were found one by one
    int32_t *row = nullptr;       // [256], once it was asked for
};

class Machine {
  public:
    Machine(const Nodes &nodes, int32_t max_frames) : nodes_(nodes), max_frames_(max_frames) {
        forget();
    }

    // Drop all states; those that were handed out mean nothing afterwards.
    void forget() {
        frames_.clear();
        frame_index_.clear();
        places_.clear();
        states_.clear();
        state_index_.clear();
        rows_.clear();
        seen_.clear();
        alone_.clear();
        steps_.clear();
        step_index_.clear();
        generation++;
        states_.emplace_back(); // kDead
        states_[kDead].row = new_row();
        int32_t root = frame_of(0, kNone);
        start = closed(&root, 1);
    }

    // The state after one more byte. Where few bytes are tried, each is found by itself: the row of
    // a state takes thirty times as long, and 1 KiB.
    int32_t step(int32_t state, uint8_t byte) {
        if (states_[state].row) return states_[state].row[byte];
        const uint64_t wanted = uint64_t(uint32_t(state)) << 8 | byte, key = mixed(wanted, 2);
        int32_t known =
            step_index_.find(key, [&](int32_t number) { return steps_[number].first == wanted; });
        if (known != kNone) return steps_[known].second;
        if (++states_[state].visits > kVisits) {
            const int32_t *row = row_of(state);
            return row ? row[byte] : kAmbiguous;
        }
        arrivals_.clear();
        for (int32_t i = 0; i < states_[state].count; i++) leave(places_[states_[state].first + i]);
        work += int64_t(arrivals_.size());
        std::vector<int32_t> &arrived = arrived_[0];
        arrived.clear();
        for (const Arrival &a : arrivals_)
            if (a.low <= byte && byte <= a.high) arrived.push_back(a.frame);
        int32_t target = target_of(arrived);
        step_index_.insert(key, int32_t(steps_.size()));
        steps_.emplace_back(wanted, target);
        return target;
    }

    int32_t walk(int32_t state, const uint8_t *data, int64_t size) {
        for (int64_t i = 0; i < size && state > kDead; i++) state = step(state, data[i]);
        return state;
    }

    // The successors of a state; nullptr where one of them is at too many places.
    const int32_t *row_of(int32_t state) {
        if (!states_[state].row && !expand(state)) return nullptr;
        return states_[state].row;
    }

    int32_t cost(int32_t state) const { return states_[state].cost; }
    bool accepting(int32_t state) const { return states_[state].accepting; }

    int64_t num_bytes() const {
        return int64_t(frames_.size() * (sizeof(Frame) + 12) + rows_.size() * 1024 +
                       places_.size() * 4 + states_.size() * sizeof(State) +
                       steps_.size() * sizeof(steps_[0])) +
               frame_index_.num_bytes() + state_index_.num_bytes() + step_index_.num_bytes();
    }

    int32_t start = kDead;
    int64_t generation = 0;
    int64_t work = 0; // frames looked at so far

  private:
    struct Arrival {
        int32_t low, high, frame; // bytes from low to high lead to a frame, kNone for the end
    };

    int32_t frame_of(int32_t node, int32_t following) {
        if (nodes_.kind[node] == kRepeat)
            return made(node, nodes_.low[node], nodes_.high[node], 0, following);
        if (nodes_.kind[node] == kWords)
            return made(node, 0, nodes_.high[node], 0, following);
        return made(node, 0, kNone, 0, following);
    }

    int32_t made(int32_t node, int32_t low, int32_t high, int32_t depth, int32_t following) {
        uint64_t key = mixed(mixed(mixed(uint64_t(uint32_t(node)) << 32 | uint32_t(following),
                                         uint64_t(uint32_t(low)) << 32 | uint32_t(high)),
                                   uint64_t(depth)), 1);
        int32_t known = frame_index_.find(key, [&](int32_t number) {
            const Frame &f = frames_[number];
            return f.node == node && f.following == following && f.low == low &&
                   f.high == high && f.depth == depth;
        });
        if (known != kNone) return known;
        int64_t own = 0;
        switch (nodes_.kind[node]) {
        case kBytes: own = nodes_.costs[nodes_.cost_start[node] + low]; break;
        case kRepeat: own = int64_t(low) * nodes_.cost[nodes_.items[nodes_.item_start[node]]]; break;
        case kWords: own = least_cost(node, low, high, depth); break;
        default: own = nodes_.cost[node];
        }
        if (following != kNone) own += frames_[following].cost;
        int32_t index = int32_t(frames_.size());
        int32_t cost = int32_t(std::min<int64_t>(own, kInfinite));
        frames_.push_back({node, following, low, high, depth, cost});
        seen_.push_back(0);
        alone_.push_back(kUnknown);
        frame_index_.insert(key, index);
        return index;
    }

    const int64_t *words(int32_t node) const { return nodes_.words + nodes_.word_start[node]; }

    uint8_t word_byte(int32_t node, int32_t word, int32_t depth) const {
        return nodes_.data[nodes_.data_start[node] + words(node)[word] + depth];
    }

    int32_t least_cost(int32_t node, int32_t low, int32_t high, int32_t depth) {
        const int64_t *starts = words(node);
        const int32_t *costs = nodes_.costs + nodes_.cost_start[node];
        int32_t least = kInfinite;
        for (int32_t w = low; w < high; w++) least = std::min(least, costs[starts[w] + w + depth]);
        work += (high - low) / 16;
        return least;
    }

    // The state of one place, which many bytes lead to.
    int32_t closed_alone(int32_t frame) {
        if (frame == kNone) return closed(&frame, 1);
        if (alone_[frame] == kUnknown) {
            int32_t state = closed(&frame, 1);
            alone_[frame] = state;
        }
        return alone_[frame];
    }

    // The state of several places: go down from each frame to those that take the next byte.
    int32_t closed(const int32_t *arrived, size_t count) {
        leaves_.clear();
        pending_.assign(arrived, arrived + count);
        round_++;
        bool accepting = false;
        while (!pending_.empty()) {
            int32_t index = pending_.back();
            pending_.pop_back();
            work++;
            if (index == kNone) {
                accepting = true;
                continue;
            }
            if (seen_[index] == round_) continue;
            seen_[index] = round_;
            const Frame frame = frames_[index];
            int32_t node = frame.node;
            Kind kind = Kind(nodes_.kind[node]);
            // In the middle of a token there may be no way to spell the rest of any word.
            if (nodes_.cost[node] >= kInfinite && kind != kWords) continue;
            const int32_t *items = nodes_.items + nodes_.item_start[node];
            int64_t num_items = nodes_.item_start[node + 1] - nodes_.item_start[node];
            switch (kind) {
            case kBytes:
                if (nodes_.data_start[node + 1] == nodes_.data_start[node]) {
                    pending_.push_back(frame.following);
                    break;
                }
                [[fallthrough]];
            case kSet:
            case kWords:
                leaves_.push_back(index);
                if (int32_t(leaves_.size()) > max_frames_) return kAmbiguous;
                break;
            case kSeq: {
                int32_t following = frame.following;
                for (int64_t i = num_items - 1; i >= 0; i--) following = frame_of(items[i], following);
                pending_.push_back(following);
                break;
            }
            case kAlt:
                for (int64_t i = 0; i < num_items; i++)
                    pending_.push_back(frame_of(items[i], frame.following));
                break;
            case kRepeat:
                if (frame.low == 0) pending_.push_back(frame.following);
                if (frame.high != 0) {
                    int32_t high = frame.high == kNone ? kNone : frame.high - 1;
                    int32_t again =
                        made(node, std::max(frame.low - 1, 0), high, 0, frame.following);
                    pending_.push_back(frame_of(items[0], again));
                }
            }
        }
        if (leaves_.empty() && !accepting) return kDead;
        std::sort(leaves_.begin(), leaves_.end());
        return state_of(accepting);
    }

    int32_t state_of(bool accepting) {
        uint64_t key = accepting;
        for (int32_t leaf : leaves_) key = mixed(key, uint64_t(leaf));
        int32_t known = state_index_.find(key, [&](int32_t number) {
            const State &s = states_[number];
            return s.accepting == accepting && size_t(s.count) == leaves_.size() &&
                   std::equal(leaves_.begin(), leaves_.end(), places_.begin() + s.first);
        });
        if (known != kNone) return known;
        State state;
        state.first = int32_t(places_.size());
        state.count = int32_t(leaves_.size());
        state.accepting = accepting;
        state.cost = accepting ? 0 : kInfinite;
        for (int32_t leaf : leaves_) state.cost = std::min(state.cost, frames_[leaf].cost);
        places_.insert(places_.end(), leaves_.begin(), leaves_.end());
        int32_t index = int32_t(states_.size());
        states_.push_back(state);
        state_index_.insert(key, index);
        return index;
    }

    int32_t *new_row() {
        rows_.emplace_back(new int32_t[256]());
        return rows_.back().get();
    }

    // Where each byte leads from a leaf.
    void leave(int32_t leaf) {
        const Frame frame = frames_[leaf];
        int32_t node = frame.node;
        if (nodes_.kind[node] == kSet) {
            arrivals_.push_back({nodes_.low[node], nodes_.high[node], frame.following});
        } else if (nodes_.kind[node] == kBytes) {
            int64_t size = nodes_.data_start[node + 1] - nodes_.data_start[node];
            int32_t byte = nodes_.data[nodes_.data_start[node] + frame.low];
            int32_t next = frame.low + 1 < size
                               ? made(node, frame.low + 1, kNone, 0, frame.following)
                               : frame.following;
            arrivals_.push_back({byte, byte, next});
        } else {
            leave_words(frame);
        }
    }

    // Words are sorted, so those that have a byte at a depth are a range.
    void leave_words(const Frame &frame) {
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

    int32_t target_of(const std::vector<int32_t> &arrived) {
        if (arrived.empty()) return kDead;
        return arrived.size() == 1 ? closed_alone(arrived[0])
                                   : closed(arrived.data(), arrived.size());
    }

    bool expand(int32_t state) {
        arrivals_.clear();
        int32_t first = states_[state].first, count = states_[state].count;
        for (int32_t i = 0; i < count; i++) leave(places_[first + i]);
        // Bytes between two cuts lead to the same place.
        bool cut[257] = {true};
        for (const Arrival &a : arrivals_) cut[a.low] = cut[a.high + 1] = true;
        int32_t segment_of[257], starts[257], num_segments = 0;
        for (int32_t byte = 0; byte < 257; byte++) {
            if (cut[byte]) starts[num_segments++] = byte;
            segment_of[byte] = num_segments - 1;
        }
        for (int32_t s = 0; s < num_segments; s++) arrived_[s].clear();
        for (const Arrival &a : arrivals_)
            for (int32_t s = segment_of[a.low]; s <= segment_of[a.high]; s++)
                arrived_[s].push_back(a.frame);
        work += int64_t(arrivals_.size());
        int32_t *row = new_row();
        for (int32_t s = 0; s < num_segments; s++) {
            int32_t target = target_of(arrived_[s]);
            if (target == kAmbiguous) {
                rows_.pop_back();
                return false;
            }
            int32_t end = s + 1 < num_segments ? starts[s + 1] : 256;
            std::fill(row + starts[s], row + std::min(end, 256), target);
        }
        states_[state].row = row;
        return true;
    }

    const Nodes nodes_;
    const int32_t max_frames_;
    std::vector<Frame> frames_;
    Index frame_index_, state_index_, step_index_;
    std::vector<std::pair<uint64_t, int32_t>> steps_; // of states without a row
    std::vector<int32_t> places_, leaves_, pending_;
    std::vector<State> states_;
    std::vector<std::unique_ptr<int32_t[]>> rows_;
    std::vector<int64_t> seen_;  // by frame: the last round that met it
    std::vector<int32_t> alone_; // by frame: the state of it alone
    std::vector<Arrival> arrivals_;
    std::vector<int32_t> arrived_[257]; // by segment
    int64_t round_ = 0;
};

} // namespace branchline
