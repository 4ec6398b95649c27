// Masks of a machine's states: every token of a vocabulary walked along a trie, in parts where one
// step may not work so long. Included by api.cpp.

#pragma once

#include <map>
#include <utility>

#include "beyond_ascii.h"
#include "machine.h"
#include "vocabulary.h"

namespace branchline {

constexpr size_t kMaxSuspects = 16384; // tokens that are walked one by one
constexpr size_t kMaxJobs = 16;     // masks that were begun; whoever wanted the oldest is gone
constexpr int32_t kNodesPerWork = 8; // steps along the trie that cost as much as a frame
constexpr int32_t kNodesPerLook = 256;

class Masks {
  public:
    Masks(const Nodes &nodes, int32_t max_frames) : machine(nodes, max_frames) {}

    // Write the tokens that a state can take and that leave at most `budget` tokens to finish; 1
    // when that is done, 0 where it took over `allowed` work, and is to be asked again, or
    // kAmbiguous. most: what the dearest token leaves to do, whatever the budget.
    int fill(const Vocabulary &vocabulary, int32_t state, int32_t budget, int64_t allowed,
             uint32_t *row, int32_t *most) {
        const int64_t limit = machine.work + allowed;
        if (machine.compares(state))
            return fill_comparing(vocabulary, state, budget, limit, row, most);
        Job *job;
        int done = find(vocabulary, state, budget, limit, job);
        if (done == 1) {
            std::copy(job->row.begin(), job->row.end(), row);
            *most = job->most;
        }
        if (done) jobs_.erase({state, budget});
        return done;
    }

    void forget() {
        jobs_.clear();
        plain_.clear();
        machine.forget();
    }

    Machine machine;

  private:
    struct Piece {
        int kind;          // which trie
        int32_t from, end; // its nodes
    };

    struct Job {
        std::vector<uint32_t> row;
        std::vector<int32_t> path; // the state before each byte of the node looked at
        std::vector<Piece> pieces; // what is left to walk
        std::vector<int32_t> suspects; // and tokens one by one
        std::vector<int32_t> crossing; // tokens that begin another of items that all differ
        int32_t most = 0;
        int64_t number = 0;
    };

    int find(const Vocabulary &vocabulary, int32_t state, int32_t budget, int64_t limit, Job *&job) {
        auto key = std::make_pair(state, budget);
        auto found = jobs_.find(key);
        if (found == jobs_.end()) {
            if (jobs_.size() >= kMaxJobs) drop_oldest();
            found = jobs_.emplace(key, Job{}).first;
            if (!begin(vocabulary, state, budget, found->second)) {
                jobs_.erase(found);
                return kAmbiguous;
            }
            found->second.number = num_begun_++;
        }
        job = &found->second;
        return go_on(vocabulary, budget, limit, *job);
    }

    // The mask where items are compared: that of the state in which they are not, but for the tokens
    // that go on like an item that is there, or begin another one.
    int fill_comparing(const Vocabulary &vocabulary, int32_t state, int32_t budget, int64_t limit,
                       uint32_t *row, int32_t *most) {
        const int32_t plain = machine.plain(state);
        const auto key = std::make_pair(plain, budget);
        if (!plain_.count(key)) {
            Job *job;
            int done = find(vocabulary, plain, budget, limit, job);
            if (done == 1) {
                if (plain_.size() >= kMaxJobs) plain_.clear();
                plain_[key] = std::move(*job);
            }
            if (done) jobs_.erase(key);
            if (done != 1) return done;
        }
        const Job &known = plain_[key];
        std::copy(known.row.begin(), known.row.end(), row);
        *most = known.most;
        for (int32_t token : known.crossing)
            if (!decide(vocabulary, token, state, budget, row, most)) return kAmbiguous;
        return decide_ahead(vocabulary, state, plain, budget, row, most) ? 1 : kAmbiguous;
    }

    // One token, by its own walk.
    bool decide(const Vocabulary &vocabulary, int32_t token, int32_t state, int32_t budget,
                uint32_t *row, int32_t *most) {
        int32_t end = machine.walk(state, vocabulary.bytes_of(token), vocabulary.size_of(token));
        if (end == kAmbiguous) return false;
        set(token, machine.cost(end), budget, row, most);
        return true;
    }

    static void set(int32_t token, int32_t cost, int32_t budget, uint32_t *row, int32_t *most) {
        if (cost < kInfinite) *most = std::max(*most, cost);
        if (cost < kInfinite && cost <= budget) row[token / 32] |= 1u << (token % 32);
        else row[token / 32] &= ~(1u << (token % 32));
    }

    // The tokens that go on like an item that is there.
    bool decide_ahead(const Vocabulary &vocabulary, int32_t start, int32_t plain, int32_t budget,
                      uint32_t *row, int32_t *most) {
        struct Part {
            int32_t from, end, state, plain;
        };
        const Trie &trie = vocabulary.tries[kNoShortcut];
        std::vector<Part> parts{{0, int32_t(trie.nodes.size()) - 1, start, plain}};
        std::vector<uint8_t> bytes;
        while (!parts.empty()) {
            const Part part = parts.back();
            parts.pop_back();
            bytes.clear();
            machine.ahead(part.state, bytes);
            bool wanted[256] = {};
            for (uint8_t byte : bytes) wanted[byte] = true;
            if (bytes.empty()) continue;
            for (int32_t at = part.from; at < part.end; at = trie.nodes[size_t(at)].end) {
                const Trie::Node &node = trie.nodes[size_t(at)];
                if (!wanted[node.byte]) continue;
                const int32_t next = machine.step(part.state, node.byte);
                const int32_t other = machine.step(part.plain, node.byte);
                if (next == kAmbiguous || other == kAmbiguous) return false;
                const int32_t first = node.first_token;
                const int32_t below = trie.nodes[size_t(at) + 1].first_token;
                const int32_t last = trie.nodes[size_t(node.end)].first_token;
                const bool alike = next > kDead && machine.plain(next) == other;
                // Where more than the comparison differs, all of them are walked.
                for (int32_t i = first; i < (alike ? below : last); i++) {
                    const int32_t token = trie.tokens[size_t(i)];
                    if (alike) set(token, machine.cost(next), budget, row, most);
                    else if (next <= kDead) set(token, kInfinite, budget, row, most);
                    else if (!decide(vocabulary, token, start, budget, row, most)) return false;
                }
                if (alike) parts.push_back({at + 1, node.end, next, other});
            }
        }
        return true;
    }

    bool begin(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job) {
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
            if (begun == kAmbiguous) return false;
            if (!begun && !begin_by_bytes(vocabulary, state, budget, job)) return false;
        }
        job.path.assign(size_t(vocabulary.tries[kNoShortcut].max_depth) + 1, kDead);
        job.path[0] = state;
        return true;
    }

    // Where all text but for some characters leads to one state and stays there, as before an "@",
    // only tokens that hold one of those need a walk. 0 where it is not so.
    int begin_but_for(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job) {
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
        std::vector<int32_t> suspects;
        for (int byte = 0x20; byte < 0x7F; byte++) {
            if (!is_plain(byte) || (row[byte] == target && after[byte] == target)) continue;
            const std::vector<int32_t> &some = vocabulary.with_byte[byte];
            suspects.insert(suspects.end(), some.begin(), some.end());
            if (suspects.size() > kMaxSuspects) return 0;
        }
        if (machine.cost(target) < kInfinite) {
            job.most = machine.cost(target);
            if (job.most <= budget) join(job.row, vocabulary.up_to[kind][kChain]);
        }
        for (int32_t id : suspects) job.row[size_t(id) / 32] &= ~(1u << (id % 32));
        job.suspects = std::move(suspects);
        job.pieces.push_back({kind, 0, int32_t(vocabulary.tries[kind].nodes.size()) - 1});
        return 1;
    }

    // Where a first character leads into free text, as most do in a name that must not be one of
    // some others, the texts that begin with it need no walk.
    bool begin_by_bytes(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job) {
        std::map<int32_t, bool> free_text{{kDead, false}};
        auto is_free = [&](int32_t target) {
            auto known = free_text.find(target);
            if (known != free_text.end()) return int(known->second);
            if (machine.compares(target)) return 0;
            const int32_t *row = machine.row_of(target);
            if (!row) return -1;
            bool loops = true;
            for (int byte = 0x20; byte < 0x7F; byte++)
                loops = loops && (!is_plain(byte) || row[byte] == target);
            int32_t beyond = loops ? beyond_ascii(machine, target) : kDead;
            if (beyond == kAmbiguous) return -1;
            return int(free_text[target] = loops && beyond == target);
        };
        const int32_t *row = machine.row_of(state); // there: it was asked for
        int32_t beyond = beyond_ascii(machine, state);
        for (int byte = 0; byte < 256; byte++) {
            if (row[byte] == kDead) continue;
            int32_t target = byte >= 0x80 ? beyond : is_plain(byte) ? row[byte] : kDead;
            int free = target == kAmbiguous ? -1 : is_free(target);
            if (free < 0) return false;
            int kind = free ? kTextShortcut : kNoShortcut;
            const std::vector<int32_t> &texts = vocabulary.text_of_first[byte];
            int32_t cost = machine.cost(target);
            if (free && !texts.empty() && cost < kInfinite) {
                job.most = std::max(job.most, cost);
                if (cost <= budget)
                    for (int32_t id : texts) job.row[size_t(id) / 32] |= 1u << (id % 32);
            }
            int32_t from = vocabulary.tries[kind].of_first[size_t(byte)];
            if (from != kNone)
                job.pieces.push_back({kind, from, vocabulary.tries[kind].nodes[size_t(from)].end});
        }
        return true;
    }

    bool leads_beyond_ascii(int32_t state) {
        const int32_t *row = machine.row_of(state); // there: it was asked for
        return std::any_of(row + 0x80, row + 0x100, [](int32_t next) { return next != kDead; });
    }

    void take(const Vocabulary &vocabulary, int kind, const int32_t *chain, int32_t length,
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

    static void join(std::vector<uint32_t> &row, const std::vector<uint32_t> &other) {
        for (size_t i = 0; i < row.size(); i++) row[i] |= other[i];
    }

    int go_on(const Vocabulary &vocabulary, int32_t budget, int64_t limit, Job &job) {
        for (; !job.pieces.empty(); job.pieces.pop_back()) {
            int done = walk(vocabulary.tries[job.pieces.back().kind], budget, limit, job);
            if (done != 1) return done;
        }
        for (; !job.suspects.empty(); job.suspects.pop_back()) {
            if (machine.work > limit) return 0;
            int32_t id = job.suspects.back(), end = job.path[0];
            const uint8_t *bytes = vocabulary.bytes_of(id);
            bool crosses = false;
            for (int64_t i = 0; i < vocabulary.size_of(id) && end > kDead && !crosses; i++) {
                end = machine.step(end, bytes[i]);
                crosses = end > kDead && machine.anew(end);
            }
            if (end == kAmbiguous) return kAmbiguous;
            machine.work++;
            if (crosses) job.crossing.push_back(id);
            else allow(id, machine.cost(end), budget, job);
        }
        return 1;
    }

    static void allow(int32_t token, int32_t cost, int32_t budget, Job &job) {
        if (cost >= kInfinite) return;
        job.most = std::max(job.most, cost);
        if (cost <= budget) job.row[size_t(token) / 32] |= 1u << (token % 32);
    }

    int walk(const Trie &trie, int32_t budget, int64_t limit, Job &job) {
        Piece &piece = job.pieces.back();
        int32_t looked_at = 0;
        while (piece.from < piece.end) {
            if (++looked_at == kNodesPerLook) {
                machine.work += kNodesPerLook / kNodesPerWork;
                looked_at = 0;
            }
            if (machine.work > limit) return 0;
            const Trie::Node &node = trie.nodes[size_t(piece.from)];
            int32_t next = machine.step(job.path[node.depth], node.byte);
            if (next == kAmbiguous) return kAmbiguous;
            if (next == kDead) {
                piece.from = node.end;
                continue;
            }
            if (machine.anew(next)) {
                const int32_t last = trie.nodes[size_t(node.end)].first_token;
                for (int32_t i = node.first_token; i < last; i++)
                    job.crossing.push_back(trie.tokens[size_t(i)]);
                piece.from = node.end;
                continue;
            }
            job.path[size_t(node.depth) + 1] = next;
            piece.from++;
            int32_t last = trie.nodes[size_t(piece.from)].first_token;
            for (int32_t i = node.first_token; i < last; i++)
                allow(trie.tokens[size_t(i)], machine.cost(next), budget, job);
        }
        return 1;
    }

    void drop_oldest() {
        auto oldest = jobs_.begin();
        for (auto it = jobs_.begin(); it != jobs_.end(); ++it)
            if (it->second.number < oldest->second.number) oldest = it;
        jobs_.erase(oldest);
    }

    std::map<std::pair<int32_t, int32_t>, Job> jobs_;
    std::map<std::pair<int32_t, int32_t>, Job> plain_; // masks of states that do not compare
    int64_t num_begun_ = 0;
};

} // namespace branchline
