// How a mask begins: what a table of the vocabulary tells of a state, so that only the other tokens
// are walked; included by masks.h.

#pragma once

#include "masks.h"

namespace branchline {

inline bool Masks::begin(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job) {
    job.row.assign(size_t(vocabulary.num_words), 0);
    int32_t chain[kChain + 1] = {state};
    int32_t length = 0, text_length = 0;
    bool is_text = true, ends = false;
    for (; length < kChain; length++) {
        const int32_t *row = machine.row_of(chain[length]);
        if (!row) return false;
        int32_t next = row[' '];
        bool alike = true;
        for (int byte = 0x20; byte < 0x7F; byte++)
            alike = alike && (!is_plain(byte) || row[byte] == next);
        alike = alike && !machine.compares(next);
        if (!alike || next == kDead) {
            ends = alike;
            break;
        }
        if (is_text) {
            int32_t beyond = length && next == chain[length] && chain[length - 1] == next
                                 ? next
                                 : beyond_ascii(machine, chain[length]);
            if (beyond == kAmbiguous) return false;
            is_text = beyond == next;
            text_length += is_text;
        }
        chain[length + 1] = next;
    }
    // What is longer than the chain must lead nowhere, or it would have to be walked.
    if (length && (length == kChain || ends)) {
        bool whole = text_length == length &&
                     (length == kChain || !leads_beyond_ascii(chain[length]));
        int kind = whole ? kTextShortcut : kPlainShortcut;
        take(vocabulary, kind, chain, length, budget, job);
        job.pieces.push_back({kind, 0, int32_t(vocabulary.tries[kind].nodes.size()) - 1});
    } else {
        int begun = begin_but_for(vocabulary, state, budget, job);
        if (!begun) begun = begin_in_circle(vocabulary, state, budget, job);
        if (begun == kAmbiguous) return false;
        if (!begun && !begin_by_bytes(vocabulary, state, budget, job)) return false;
    }
    job.path.assign(size_t(vocabulary.tries[kNoShortcut].max_depth) + 1, kDead);
    job.path[0] = state;
    return true;
}

// Where all text but for some characters leads to one state and stays there, as before an "@",
// only tokens that hold one of those need a walk. 0 where it is not so.
inline int Masks::begin_but_for(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job) {
    const int32_t *row = machine.row_of(state); // there: it was asked for
    std::map<int32_t, int> counts;
    for (int byte = 0x20; byte < 0x7F; byte++) counts[row[byte]] += is_plain(byte);
    int32_t target = kDead;
    int most = 0;
    for (auto [one, count] : counts)
        if (count > most) target = one, most = count;
    if (target == kDead || machine.compares(target)) return 0;
    const int32_t *after = machine.row_of(target);
    if (!after) return kAmbiguous;
    int32_t beyond[2] = {beyond_ascii(machine, state), beyond_ascii(machine, target)};
    if (beyond[0] == kAmbiguous || beyond[1] == kAmbiguous) return kAmbiguous;
    int kind = beyond[0] == target && beyond[1] == target ? kTextShortcut : kPlainShortcut;
    std::bitset<128> leading;
    for (size_t byte = 0x20; byte < 0x7F; byte++)
        leading[byte] = is_plain(int(byte)) && (row[byte] != target || after[byte] != target);
    Bits walked(size_t(vocabulary.num_words));
    if (!vocabulary.with_any(leading, kMaxSuspects, walked)) return 0;
    const Bits &texts = vocabulary.up_to[kTextShortcut][kChain];
    for (size_t i = 0; i < walked.size(); i++) walked[i] &= texts[i];
    if (!suspect(walked, kMaxSuspects, job)) return 0;
    if (machine.cost(target) < kInfinite) {
        job.most = machine.cost(target);
        if (job.most <= budget) join(job.row, vocabulary.up_to[kind][kChain]);
    }
    for (size_t i = 0; i < walked.size(); i++) job.row[i] &= ~walked[i];
    job.pieces.push_back({kind, 0, int32_t(vocabulary.tries[kind].nodes.size()) - 1});
    return 1;
}

// Leave tokens to be walked one by one; false where they are more than `most`.
inline bool Masks::suspect(const Bits &tokens, size_t most, Job &job) {
    size_t count = 0;
    for (uint32_t word : tokens) count += std::bitset<32>(word).count();
    if (count > most) return false;
    job.suspects.reserve(count);
    for (size_t i = tokens.size(); i-- > 0;) // taken from the back: then as they lie in memory
        for (uint32_t word = tokens[i]; word; word &= ~(1u << (31 - __builtin_clz(word))))
            job.suspects.push_back(int32_t(i * 32) + 31 - __builtin_clz(word));
    return true;
}

// Where some bytes all lead to one state and stay there, as letters do in an address, tokens of these
// alone need no walk, and of the others only those with a byte that leads on. 0 where it is not so.
inline int Masks::begin_in_circle(const Vocabulary &vocabulary, int32_t state, int32_t budget,
                                  Job &job) {
    const int32_t *row = machine.row_of(state); // there: it was asked for
    std::map<int32_t, int> counts;
    for (int byte = 0; byte < 0x80; byte++) counts[row[byte]] += row[byte] != kDead;
    int32_t target = kDead;
    int most = kMinCircle - 1;
    for (auto [one, count] : counts)
        if (count > most) target = one, most = count;
    if (target == kDead || machine.compares(target) || machine.anew(target)) return 0;
    const int32_t *after = machine.row_of(target);
    if (!after) return kAmbiguous;
    row = machine.row_of(state);
    std::bitset<128> within;
    for (size_t byte = 0; byte < 128; byte++)
        within[byte] = row[byte] == target && after[byte] == target;
    if (within.count() < kMinCircle) return 0;
    std::bitset<128> leading;
    for (size_t byte = 0; byte < 128; byte++)
        leading[byte] = !within[byte] && (row[byte] != kDead || after[byte] != kDead);
    Bits walked(size_t(vocabulary.num_words));
    if (!vocabulary.with_any(leading, kMaxOutside, walked)) return 0;
    if (std::any_of(row + 0x80, row + 0x100, [](int32_t next) { return next != kDead; }) ||
        std::any_of(after + 0x80, after + 0x100, [](int32_t next) { return next != kDead; }))
        join(walked, vocabulary.others);
    if (!suspect(walked, kMaxOutside, job)) return 0;
    machine.work += kClassWork;
    const int32_t cost = machine.cost(target);
    if (cost < kInfinite) {
        job.most = cost;
        if (cost <= budget) join(job.row, vocabulary.made_of(within));
    }
    return 1;
}

// Where a first character leads into free text, as most do in a name that must not be one of
// some others, the texts that begin with it need no walk.
inline bool Masks::begin_by_bytes(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job) {
    const int32_t *row = machine.row_of(state); // there: it was asked for
    int32_t beyond = beyond_ascii(machine, state);
    bool taken[256] = {};
    for (int byte = 0; byte < 256; byte++) {
        if (row[byte] == kDead) continue;
        int32_t target = byte >= 0x80 ? beyond : is_plain(byte) ? row[byte] : kDead;
        int free = target == kAmbiguous ? -1 : is_free(target, true);
        if (free < 0) return false;
        int kind = free ? kTextShortcut : kNoShortcut;
        const std::vector<int32_t> &texts = vocabulary.text_of_first[byte];
        int32_t cost = machine.cost(target);
        if (free && !texts.empty() && cost < kInfinite) {
            job.most = std::max(job.most, cost);
            taken[byte] = cost <= budget;
        }
        int32_t from = vocabulary.tries[kind].of_first[size_t(byte)];
        if (from != kNone)
            job.pieces.push_back({kind, from, vocabulary.tries[kind].nodes[size_t(from)].end});
    }
    take_by_first(vocabulary, taken, job);
    const int circles = take_circle(vocabulary, state, budget, job);
    if (circles == kAmbiguous) return false;
    for (Piece &piece : job.pieces) piece.circles = uint8_t(circles);
    return true;
}

// Where all of the largest set of bytes that tokens are marked for leads to one state and stays there,
// its tokens need no walk: the set's bit, or 0.
inline int Masks::take_circle(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job) {
    const int32_t *row = machine.row_of(state); // there: it was asked for
    const int32_t target = row['a'];            // in all of the sets
    if (target == kDead || machine.compares(target) || machine.anew(target)) return 0;
    const int32_t *after = machine.row_of(target);
    if (!after) return kAmbiguous;
    int within = (1 << kNumCircles) - 1;
    for (int byte = 0; byte < 0x80; byte++)
        if (row[byte] != target || after[byte] != target) within &= ~circles_of(byte);
    if (!within) return 0;
    const int largest = within & -within;
    std::bitset<128> bytes;
    for (int byte = 0; byte < 0x80; byte++) bytes[size_t(byte)] = circles_of(byte) & largest;
    machine.work += kClassWork;
    const int32_t cost = machine.cost(target);
    if (cost < kInfinite) {
        job.most = std::max(job.most, cost);
        if (cost <= budget) join(job.row, vocabulary.made_of(bytes));
    }
    return largest;
}

// The texts that begin with some bytes, or all but for those that begin with the others, whichever
// are fewer.
inline void Masks::take_by_first(const Vocabulary &vocabulary, const bool *taken, Job &job) {
    int64_t balance = 0;
    for (int byte = 0; byte < 256; byte++) {
        const int64_t count = int64_t(vocabulary.text_of_first[byte].size());
        balance += taken[byte] ? count : -count;
    }
    const bool most = balance > 0;
    if (most) join(job.row, vocabulary.up_to[kTextShortcut][kChain]);
    for (int byte = 0; byte < 256; byte++)
        if (taken[byte] != most)
            for (int32_t id : vocabulary.text_of_first[byte]) job.row[size_t(id) / 32] ^= 1u << (id % 32);
}

// Whether all text leads from a state back to it: 1 or 0, kAmbiguous where that cannot be said, and
// kNotYet where its row would have to be found.
inline int Masks::is_free(int32_t state, bool may_expand) {
    if (size_t(state) >= free_.size()) free_.resize(size_t(state) + 64, int8_t(kNotYet));
    if (free_[size_t(state)] != kNotYet) return free_[size_t(state)];
    if (state == kDead || machine.compares(state)) return free_[size_t(state)] = 0;
    const int32_t *row = may_expand ? machine.row_of(state) : machine.row_if_there(state);
    if (!row) return may_expand ? kAmbiguous : kNotYet;
    bool loops = true;
    for (int byte = 0x20; byte < 0x7F; byte++)
        loops = loops && (!is_plain(byte) || row[byte] == state);
    const int32_t beyond = loops ? beyond_ascii(machine, state) : kDead;
    if (beyond == kAmbiguous) return kAmbiguous;
    return free_[size_t(state)] = loops && beyond == state;
}

// Of the tokens of a part of the tree, whose beginning leads into free text: those that are text are
// taken, the others walked.
inline void Masks::take_text(const Vocabulary &vocabulary, int32_t first, int32_t last, int32_t cost,
                             int32_t budget, Job &job) {
    const uint32_t *texts = vocabulary.up_to[kTextShortcut][kChain].data();
    const int32_t *tokens = vocabulary.tries[kNoShortcut].tokens.data();
    const uint32_t allowed = cost <= budget ? ~0u : 0;
    uint32_t *row = job.row.data();
    if (cost < kInfinite) job.most = std::max(job.most, cost);
    for (int32_t i = first; i < last; i++) {
        const uint32_t token = uint32_t(tokens[i]), bit = texts[token / 32] & 1u << (token % 32);
        row[token / 32] |= bit & allowed;
        if (!bit) job.suspects.push_back(int32_t(token));
    }
    machine.work += (last - first) / kNodesPerWork;
}

inline bool Masks::leads_beyond_ascii(int32_t state) {
    const int32_t *row = machine.row_of(state); // there: it was asked for
    return std::any_of(row + 0x80, row + 0x100, [](int32_t next) { return next != kDead; });
}

inline void Masks::take(const Vocabulary &vocabulary, int kind, const int32_t *chain, int32_t length,
          int32_t budget, Job &job) {
    int32_t whole = 0;
    while (whole < length && machine.cost(chain[whole + 1]) <= budget) whole++;
    if (whole) join(job.row, vocabulary.up_to[kind][size_t(whole)]);
    for (int32_t n = 1; n <= length; n++) {
        int32_t cost = machine.cost(chain[n]);
        if (n > whole && cost <= budget) join(job.row, vocabulary.exactly[kind][size_t(n)]);
        if (vocabulary.lengths[kind] >> n & 1 && cost < kInfinite)
            job.most = std::max(job.most, cost);
    }
}

} // namespace branchline
