// Rows of items that all differ, as distinct.py has them; included by machine.h.

#pragma once

#include "machine.h"

namespace branchline {

// Close states while another one is being closed: with lists of their own.
template <typename Work> int32_t Machine::apart(Work work) {
    std::vector<int32_t> leaves, pending;
    leaves.swap(leaves_), pending.swap(pending_);
    const int32_t found = work();
    leaves.swap(leaves_), pending.swap(pending_);
    return found;
}

// The state before a text of a node alone.
inline int32_t Machine::beginning(int32_t node) {
    auto known = beginnings_.find(node);
    if (known != beginnings_.end()) return known->second;
    const int32_t state = apart([&] {
        int32_t frame = frame_of(node, kNone);
        return closed(&frame, 1);
    });
    beginnings_[node] = state;
    return state;
}

// Least tokens of the item at hand and those that must follow; `low`: so many must be written from
// here on, this one included.
inline int64_t Machine::cost_of_row(int32_t node, int32_t low, int32_t number) {
    const Writing writing = writings_[number];
    const int64_t more =
        int64_t(nodes_.cost[between_of(node)]) + nodes_.costs[nodes_.cost_start[node]];
    if (writing.done) return low * more;
    int64_t own;
    if (writing.item == kNone && writing.seen <= kNothing) {
        own = nodes_.cost[item_of(node)];
    } else if (writing.seen < 0) {
        own = states_[writing.item].cost;
    } else {
        const int32_t state = writing.item == kNone ? beginning(item_of(node)) : writing.item;
        own = state <= kDead ? kInfinite
                             : completion(node, state, writing.seen, writing.text, low > 0);
    }
    return low > 1 ? own + (low - 1) * more : own;
}

// Tokens that complete an item as none before it.
inline int64_t Machine::completion(int32_t node, int32_t state, int32_t seen, int32_t text,
                                   bool thorough) {
    const uint8_t *tokens = nodes_.data + nodes_.data_start[node];
    const uint8_t *end = nodes_.data + nodes_.data_start[node + 1];
    int64_t spent = 0, best = kInfinite;
    auto after = [&](uint8_t byte) { return apart([&] { return step(state, byte, false); }); };
    while (true) {
        work++;
        if (states_[state].accepting && !sets_.has(seen, text)) return std::min(best, spent);
        bool is_ahead[256] = {}, any = false;
        for (int32_t at = texts_.first_after(text); at != kNone; at = texts_.next(at))
            if (sets_.begins(seen, at)) is_ahead[texts_.byte(at)] = any = true;
        if (!any && !states_[state].accepting)
            return std::min(best, spent + states_[state].cost);
        std::vector<std::pair<int32_t, int32_t>> found;
        ranges(state, found);
        for (const auto &range : found) {
            const uint8_t *byte = std::find_if(tokens, end, [&](uint8_t one) {
                return range.first <= one && one <= range.second && !is_ahead[one];
            });
            const int32_t next = byte == end ? kDead : after(*byte);
            if (next > kDead) best = std::min(best, spent + 1 + states_[next].cost);
        }
        if (best < kInfinite && !thorough) return best;
        std::vector<std::pair<int32_t, int32_t>> ways; // texts and states
        for (const uint8_t *byte = tokens; any && byte < end; byte++) {
            const int32_t next = is_ahead[*byte] ? after(*byte) : kDead;
            if (next > kDead) ways.emplace_back(texts_.after(text, *byte), next);
        }
        if (ways.size() != 1) {
            for (const auto &way : ways)
                best = std::min(best, spent + 1 + completion(node, way.second, seen, way.first,
                                                             thorough));
            return best;
        }
        std::tie(text, state) = ways[0];
        spent++;
    }
}

// The bytes that may follow a state.
inline void Machine::ranges(int32_t state, std::vector<std::pair<int32_t, int32_t>> &found) {
    for (int32_t i = 0; i < states_[state].count; i++) {
        const int32_t leaf = places_[states_[state].first + i];
        if (nodes_.kind[frames_[leaf].node] == kDistinct) {
            ranges(writings_[frames_[leaf].depth].item, found);
            continue;
        }
        arrivals_.clear();
        leave(leaf, 0, 255);
        for (const Arrival &a : arrivals_) found.emplace_back(a.low, a.high);
    }
}

// What comes before or behind an item, into `pending_`; false where that is ambiguous.
inline bool Machine::open(const Frame &row) {
    const Writing writing = writings_[row.depth];
    const int32_t node = row.node;
    auto place = [&](const Writing &other) {
        const int32_t number = writings_.of(other);
        return apart([&] { return made(node, row.low, row.high, number, row.following); });
    };
    if (!writing.done) {
        const int32_t item = beginning(item_of(node));
        if (item <= kDead) return item == kDead;
        const int32_t text = writing.seen < 0 ? kNone : kNothing;
        const int32_t within = place({writing.seen, text, item, false});
        if (frames_[within].cost < kInfinite || writing.seen <= kNothing)
            pending_.push_back(within);
        return true;
    }
    if (row.low == 0) pending_.push_back(row.following);
    if (row.high > 0) {
        const int32_t seen = writing.seen < 0 ? kAnewUnknown : writing.seen;
        const int32_t again = place({seen, kNothing, kNone, false});
        if (frames_[again].cost < kInfinite)
            pending_.push_back(frame_of(between_of(node), again));
    }
    return true;
}

// Where the bytes from `low` to `high` lead within items; false where that is ambiguous.
inline bool Machine::leave_items(int32_t state, int32_t low, int32_t high,
                                 std::vector<Arrival> &found) {
    for (int32_t i = 0; i < states_[state].count; i++) {
        const Frame frame = frames_[places_[states_[state].first + i]];
        if (nodes_.kind[frame.node] != kDistinct) continue;
        const Writing writing = writings_[frame.depth];
        const int32_t *row = nullptr;
        if (low < high && !states_[writing.item].compares) {
            row = row_of(writing.item);
            if (!row) return false;
        }
        for (int32_t byte = low, last; byte <= high; byte = last + 1) {
            last = byte;
            const int32_t after = row ? row[byte] : step(writing.item, uint8_t(byte), false);
            if (after == kAmbiguous) return false;
            // Where texts are not told apart, bytes that lead alike are one arrival.
            if (row && writing.text == kNone)
                while (last < high && row[last + 1] == after) last++;
            if (after != kDead) arrive(frame, after, byte, last, found);
        }
    }
    return true;
}

inline void Machine::arrive(const Frame &row, int32_t after, int32_t low, int32_t high,
                            std::vector<Arrival> &found) {
    const Writing writing = writings_[row.depth];
    const bool known = writing.text != kNone;
    const int32_t text = known ? texts_.after(writing.text, uint8_t(low)) : kNone;
    if (states_[after].accepting && !(known && sets_.has(writing.seen, text))) {
        const int32_t seen = known ? sets_.with(writing.seen, text, texts_) : writing.seen;
        const int32_t done = writings_.of({seen, kNothing, kNone, true});
        const int32_t left = std::max(row.low - 1, 0);
        found.push_back({low, high, made(row.node, left, row.high - 1, done, row.following)});
    }
    if (states_[after].count == 0) return;
    const int32_t number = writings_.of({writing.seen, text, after, false});
    const int32_t within = made(row.node, row.low, row.high, number, row.following);
    // What only leads to items that are there leads nowhere.
    if (frames_[within].cost < kInfinite || !(known && sets_.begins(writing.seen, text)))
        found.push_back({low, high, within});
}

inline void Machine::note_writing(const Frame &row, State &state) const {
    const Writing &writing = writings_[row.depth];
    const State &item = states_[writing.item];
    state.writes = true;
    state.compares = state.compares || writing.text != kNone || item.compares;
    state.anew = state.anew || writing.seen == kAnewUnknown || item.anew;
}

inline int32_t Machine::plain(int32_t state) {
    if (!states_[state].compares) return state;
    auto known = plain_.find(state);
    if (known != plain_.end()) return known->second;
    std::vector<int32_t> leaves;
    for (int32_t i = 0; i < states_[state].count; i++) {
        int32_t leaf = places_[states_[state].first + i];
        const Frame frame = frames_[leaf];
        if (nodes_.kind[frame.node] == kDistinct) {
            const Writing writing = writings_[frame.depth];
            const int32_t seen = writing.seen < 0 ? writing.seen : kUnknown;
            const int32_t item = plain(writing.item);
            const int32_t number = writings_.of({seen, kNone, item, false});
            leaf = made(frame.node, frame.low, frame.high, number, frame.following);
        } else {
            leaf = behind_unknown(leaf);
        }
        leaves.push_back(leaf);
    }
    join(leaves);
    const int32_t found = state_of(leaves, states_[state].accepting);
    plain_[state] = found;
    return found;
}

// A leaf between two items, as `plain` has it; others as they are.
inline int32_t Machine::behind_unknown(int32_t leaf) {
    const Frame frame = frames_[leaf];
    if (frame.following == kNone) return leaf;
    const Frame row = frames_[frame.following];
    if (row.node == kSeveral || nodes_.kind[row.node] != kDistinct) return leaf;
    const Writing writing = writings_[row.depth];
    if (writing.seen <= kNothing || writing.item != kNone) return leaf;
    const int32_t number = writings_.of({kAnewUnknown, kNothing, kNone, writing.done});
    const int32_t following = made(row.node, row.low, row.high, number, row.following);
    return made(frame.node, frame.low, frame.high, frame.depth, following);
}

inline void Machine::ahead(int32_t state, std::vector<uint8_t> &found) const {
    for (int32_t i = 0; i < states_[state].count; i++) {
        const Frame &frame = frames_[places_[states_[state].first + i]];
        if (nodes_.kind[frame.node] != kDistinct) continue;
        const Writing &writing = writings_[frame.depth];
        if (writing.text != kNone)
            for (int32_t at = texts_.first_after(writing.text); at != kNone; at = texts_.next(at))
                if (sets_.begins(writing.seen, at)) found.push_back(texts_.byte(at));
        ahead(writing.item, found);
    }
}

} // namespace branchline
