// A grammar as a machine over bytes: the walker of walker.py in C++, for masks. Included by api.cpp.
//
// A state is the set of places where the text so far may have arrived, each a frame: a node, what
// follows it, and the least tokens from there to the end. A state's 256 successors are found at
// once, when a mask or a text first leads through it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "chunked.h"
#include "distinct.h"
#include "held.h"
#include "index.h"
#include "nodes.h"

namespace branchline {

constexpr int32_t kInfinite = 1 << 30;
constexpr int32_t kDead = 0;       // the state that no text leads out of
constexpr int32_t kAmbiguous = -1; // instead of a state: too many places at once
constexpr int32_t kNotYet = -2;
constexpr int32_t kSeveral = -1; // instead of a node: `others_` follow
constexpr int kVisits = 6;
constexpr size_t kRowsAtOnce = 4;

// depth: of words, the place in them; of distinct items the number of a Writing; of kSeveral of the
// list of frames that it stands for. least, uncounted: counted.h.
struct Frame {
    int32_t node, following, low, high, depth, cost;
    int32_t least = kInfinite, uncounted = kNotYet;
};

struct State {
    int32_t first = 0, count = 0; // its frames in `places_`
    int32_t cost = kInfinite;
    bool accepting = false;
    bool writes = false;          // within an item of a row of distinct ones,
    bool compares = false;        // whose text it knows,
    bool anew = false;            // or that began where items are not compared
    uint8_t visits = 0;           // steps out of it that were found one by one
    int32_t *row = nullptr;       // [256], once it was asked for
};

class Machine {
  public:
    Machine(const Nodes &nodes, int32_t max_frames) : nodes_(nodes), max_frames_(max_frames) {
        states_.push_back(State()); // kDead
        states_[kDead].row = nowhere();
        int32_t root = frame_of(0, kNone);
        start = closed(&root, 1);
    }

    // The state after one more byte. Where few bytes are tried, each is found by itself: the row of
    // a state takes thirty times as long, and 1 KiB.
    int32_t step(int32_t state, uint8_t byte, bool may_expand = true) {
        if (states_[state].row) return states_[state].row[byte];
        const uint64_t wanted = uint64_t(uint32_t(state)) << 8 | byte, key = mixed(wanted, 2);
        int32_t known =
            step_index_.find(key, [&](int32_t number) { return steps_[number].first == wanted; });
        if (known != kNone) return steps_[known].second;
        if (may_expand && !states_[state].compares && ++states_[state].visits > kVisits) {
            const int32_t *row = row_of(state);
            return row ? row[byte] : kAmbiguous;
        }
        if (!find_arrivals(state, byte, byte)) return kAmbiguous;
        std::vector<int32_t> &arrived = arrived_[0];
        arrived.clear();
        for (const Arrival &a : arrivals_)
            if (a.low <= byte && byte <= a.high) arrived.push_back(a.frame);
        int32_t target = target_of(arrived);
        step_index_.insert(key, int32_t(steps_.size()));
        steps_.push_back({wanted, target});
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

    // The successors, where they were asked for before.
    const int32_t *row_if_there(int32_t state) const { return states_[state].row; }

    // The states that some bytes lead to, each once; false where one of them is at too many places.
    // Inside a character beyond ASCII that is one, found without the row that it has for nobody else.
    bool reached(int32_t state, uint8_t low, uint8_t high, std::vector<int32_t> &found);

    int32_t cost(int32_t state) const { return states_[state].cost; }
    bool accepting(int32_t state) const { return states_[state].accepting; }
    // Whether a text is complete there, and nothing can follow.
    bool ends(int32_t state) const { return accepting(state) && states_[state].count == 0; }
    bool compares(int32_t state) const { return states_[state].compares; }
    bool anew(int32_t state) const { return states_[state].anew; }

    // Write the bytes that must follow, as far as there is no choice and the text is not complete,
    // `most` of them at most; how many they are.
    int32_t forced(int32_t state, uint8_t *text, int32_t most);

    // The state that takes the same tokens of up to `least` bytes and leaves as much to do after each:
    // itself, where `least` is kInfinite, or one that it shares with its neighbours.
    int32_t alike(int32_t state, int32_t &least);

    // A state that compares, with items that are not compared instead: the masks of both are alike
    // but for few tokens.
    int32_t plain(int32_t state);

    // The bytes after which a text goes on like items that are there.
    void ahead(int32_t state, std::vector<uint8_t> &found) const;

    // What it holds beside itself.
    int64_t num_bytes() const {
        return frames_.num_bytes() + seen_.num_bytes() + alone_.num_bytes() + states_.num_bytes() +
               steps_.num_bytes() + int64_t(rows_.size()) * held(kRowsAtOnce * 1024) + held(rows_) +
               held(places_) + held(leaves_) + held(pending_) + held(arrivals_) + held(others_) +
               others_bytes_ + frame_index_.num_bytes() + state_index_.num_bytes() +
               step_index_.num_bytes() + others_index_.num_bytes() + texts_.num_bytes() +
               sets_.num_bytes() + writings_.num_bytes() +
               int64_t(beginnings_.size() + plain_.size()) * (kMapNode + 8);
    }

    int32_t start = kDead;
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
        if (nodes_.kind[node] == kDistinct)
            return made(node, nodes_.low[node], nodes_.high[node],
                        writings_.of({kNothing, kNothing, kNone, false}), following);
        return made(node, 0, kNone, 0, following);
    }

    // The state of one place, which many bytes lead to.
    int32_t closed_alone(int32_t frame) {
        if (frame == kNone) return closed(&frame, 1);
        if (alone_[frame] == kNotYet) {
            int32_t state = closed(&frame, 1);
            alone_[frame] = state;
        }
        return alone_[frame];
    }

    // The row of the state that no text leads out of; nobody writes to it.
    static int32_t *nowhere() {
        static int32_t row[256] = {};
        return row;
    }

    // Rows are made many at a time, and let go likewise.
    int32_t *new_row() {
        if (num_rows_ % kRowsAtOnce == 0) rows_.emplace_back(new int32_t[kRowsAtOnce * 256]());
        return rows_.back().get() + 256 * (num_rows_++ % kRowsAtOnce);
    }

    int32_t target_of(const std::vector<int32_t> &arrived) {
        if (arrived.empty()) return kDead;
        return arrived.size() == 1 ? closed_alone(arrived[0])
                                   : closed(arrived.data(), arrived.size());
    }

    // States and what leads to them: states.h.
    int32_t made(int32_t node, int32_t low, int32_t high, int32_t depth, int32_t following);
    int32_t closed(const int32_t *arrived, size_t count);
    int32_t state_of(const std::vector<int32_t> &leaves, bool accepting);
    bool find_arrivals(int32_t state, int32_t low, int32_t high);
    void leave(int32_t leaf, int32_t low, int32_t high);
    bool expand(int32_t state);

    // Words: words.h.
    const int64_t *words(int32_t node) const { return nodes_.words + nodes_.word_start[node]; }
    uint8_t word_byte(int32_t node, int32_t word, int32_t depth) const;
    int32_t least_cost(int32_t node, int32_t low, int32_t high, int32_t depth);
    void leave_words(const Frame &frame);

    int32_t only_byte(int32_t state) const; // forced.h; kNone where there are several

    // Ways that differ only in what follows as one: ways.h.
    void join(std::vector<int32_t> &frames);
    int32_t either(const std::vector<int32_t> &frames);

    // Counts that no token exhausts: counted.h.
    int32_t least_count(int32_t node, int32_t high, int32_t following) const;
    int32_t uncounted(int32_t frame);

    // Rows of items that all differ: distinct_rows.h.
    template <typename Work> int32_t apart(Work work);
    int32_t item_of(int32_t node) const { return nodes_.items[nodes_.item_start[node]]; }
    int32_t between_of(int32_t node) const { return nodes_.items[nodes_.item_start[node] + 1]; }
    int32_t beginning(int32_t node);
    int64_t cost_of_row(int32_t node, int32_t low, int32_t writing);
    int64_t completion(int32_t node, int32_t state, int32_t seen, int32_t text, bool thorough);
    void ranges(int32_t state, std::vector<std::pair<int32_t, int32_t>> &found);
    bool open(const Frame &row);
    bool leave_items(int32_t state, int32_t low, int32_t high, std::vector<Arrival> &found);
    void arrive(const Frame &row, int32_t after, int32_t low, int32_t high,
                std::vector<Arrival> &found);
    void note_writing(const Frame &row, State &state) const;
    int32_t behind_unknown(int32_t leaf);

    const Nodes nodes_;
    const int32_t max_frames_;
    Chunked<Frame> frames_;
    Index frame_index_, state_index_, step_index_;
    Chunked<std::pair<uint64_t, int32_t>> steps_; // of states without a row
    std::vector<std::vector<int32_t>> others_;        // of frames that stand for several
    Index others_index_;
    int64_t others_bytes_ = 0;
    Texts texts_; // of items of rows of distinct ones
    Sets sets_;
    Writings writings_;
    std::map<int32_t, int32_t> beginnings_, plain_;
    std::vector<int32_t> places_, leaves_, pending_;
    Chunked<State> states_;
    std::vector<std::unique_ptr<int32_t[]>> rows_; // each of several
    size_t num_rows_ = 0;
    Chunked<int64_t> seen_;  // by frame: the last round that met it
    Chunked<int32_t> alone_; // by frame: the state of it alone
    std::vector<Arrival> arrivals_;
    // By segment, while a state is expanded. Of all machines: it is 6 KiB, and most of them wait.
    inline static thread_local std::vector<int32_t> arrived_[257];
    int64_t round_ = 0;
};

} // namespace branchline

#include "counted.h"
#include "distinct_rows.h"
#include "forced.h"
#include "states.h"
#include "ways.h"
#include "words.h"
