// The states of a machine: the places that a text may have arrived at, and where each byte leads from
// there; included by machine.h.

#pragma once

#include "machine.h"

namespace branchline {

inline int32_t Machine::made(int32_t node, int32_t low, int32_t high, int32_t depth, int32_t following) {
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
    case kDistinct: own = cost_of_row(node, low, depth); break;
    default: own = nodes_.cost[node];
    }
    if (following != kNone) own += frames_[following].cost;
    int32_t index = int32_t(frames_.size());
    int32_t cost = int32_t(std::min<int64_t>(own, kInfinite));
    frames_.push_back({node, following, low, high, depth, cost, least_count(node, high, following)});
    seen_.push_back(0);
    alone_.push_back(kNotYet);
    frame_index_.insert(key, index);
    return index;
}

// The state of several places: go down from each frame to those that take the next byte.
inline int32_t Machine::closed(const int32_t *arrived, size_t count) {
    leaves_.clear();
    pending_.assign(arrived, arrived + count);
    const int64_t round = ++round_;
    bool accepting = false;
    while (!pending_.empty()) {
        int32_t index = pending_.back();
        pending_.pop_back();
        work++;
        if (index == kNone) {
            accepting = true;
            continue;
        }
        if (seen_[index] == round) continue;
        seen_[index] = round;
        const Frame frame = frames_[index];
        int32_t node = frame.node;
        if (node == kSeveral) {
            const std::vector<int32_t> &others = others_[size_t(frame.depth)];
            pending_.insert(pending_.end(), others.begin(), others.end());
            continue;
        }
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
        case kDistinct:
            if (kind == kDistinct && writings_[frame.depth].item == kNone) {
                if (!open(frame)) return kAmbiguous;
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
    join(leaves_);
    return state_of(leaves_, accepting);
}

inline int32_t Machine::state_of(const std::vector<int32_t> &leaves, bool accepting) {
    uint64_t key = accepting;
    for (int32_t leaf : leaves) key = mixed(key, uint64_t(leaf));
    int32_t known = state_index_.find(key, [&](int32_t number) {
        const State &s = states_[number];
        return s.accepting == accepting && size_t(s.count) == leaves.size() &&
               std::equal(leaves.begin(), leaves.end(), places_.begin() + s.first);
    });
    if (known != kNone) return known;
    State state;
    state.first = int32_t(places_.size());
    state.count = int32_t(leaves.size());
    state.accepting = accepting;
    state.cost = accepting ? 0 : kInfinite;
    for (int32_t leaf : leaves) {
        state.cost = std::min(state.cost, frames_[leaf].cost);
        if (nodes_.kind[frames_[leaf].node] == kDistinct) note_writing(frames_[leaf], state);
    }
    places_.insert(places_.end(), leaves.begin(), leaves.end());
    int32_t index = int32_t(states_.size());
    states_.push_back(state);
    state_index_.insert(key, index);
    return index;
}

// Where the bytes lead from a state, those from `low` to `high` at least; false where a place
// is ambiguous.
inline bool Machine::find_arrivals(int32_t state, int32_t low, int32_t high) {
    std::vector<Arrival> within;
    if (states_[state].writes && !leave_items(state, low, high, within)) return false;
    arrivals_.clear();
    int32_t first = states_[state].first, count = states_[state].count;
    for (int32_t i = 0; i < count; i++) leave(places_[first + i], low, high);
    arrivals_.insert(arrivals_.end(), within.begin(), within.end());
    work += int64_t(arrivals_.size());
    return true;
}

// Where the bytes from `low` to `high` lead from a leaf, others perhaps too; of those within items
// `leave_items` knows.
inline void Machine::leave(int32_t leaf, int32_t low, int32_t high) {
    const Frame frame = frames_[leaf];
    int32_t node = frame.node;
    if (nodes_.kind[node] == kDistinct) return;
    if (nodes_.kind[node] == kSet) {
        if (nodes_.low[node] <= high && low <= nodes_.high[node])
            arrivals_.push_back({nodes_.low[node], nodes_.high[node], frame.following});
    } else if (nodes_.kind[node] == kBytes) {
        int64_t size = nodes_.data_start[node + 1] - nodes_.data_start[node];
        int32_t byte = nodes_.data[nodes_.data_start[node] + frame.low];
        if (byte < low || high < byte) return;
        int32_t next = frame.low + 1 < size ? made(node, frame.low + 1, kNone, 0, frame.following)
                                            : frame.following;
        arrivals_.push_back({byte, byte, next});
    } else {
        leave_words(frame);
    }
}

inline bool Machine::reached(int32_t state, uint8_t low, uint8_t high,
                             std::vector<int32_t> &found) {
    const State &here = states_[state];
    if (!here.row && here.count == 1 && !here.writes) {
        const Frame frame = frames_[places_[here.first]];
        if (nodes_.kind[frame.node] == kSet && nodes_.low[frame.node] <= low &&
            high <= nodes_.high[frame.node]) {
            work++;
            const int32_t target = closed_alone(frame.following);
            if (target != kAmbiguous) found.push_back(target);
            return target != kAmbiguous;
        }
    }
    const int32_t *row = row_of(state);
    if (!row) return false;
    for (int byte = low; byte <= high; byte++)
        if (found.empty() || found.back() != row[byte]) found.push_back(row[byte]);
    return true;
}

inline bool Machine::expand(int32_t state) {
    if (!find_arrivals(state, 0, 255)) return false;
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
    int32_t *row = new_row();
    for (int32_t s = 0; s < num_segments; s++) {
        int32_t target = target_of(arrived_[s]);
        if (target == kAmbiguous) {
            num_rows_--;
            return false;
        }
        int32_t end = s + 1 < num_segments ? starts[s + 1] : 256;
        std::fill(row + starts[s], row + std::min(end, 256), target);
    }
    states_[state].row = row;
    return true;
}

} // namespace branchline
