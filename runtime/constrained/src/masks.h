// Masks of a machine's states: every token of a vocabulary walked along a trie, in parts where one
// step may not work so long. Included by api.cpp.

#pragma once

#include <map>
#include <utility>

#include "machine.h"
#include "vocabulary.h"

namespace branchline {

constexpr size_t kMaxSuspects = 16384; // tokens that are walked one by one
constexpr size_t kMaxJobs = 16;     // masks that were begun; whoever wanted the oldest is gone
constexpr int32_t kNodesPerWork = 8; // steps along the trie that cost as much as a frame
constexpr int32_t kNodesPerLook = 256;

// The one state that every character beyond ASCII leads to; kDead where there is none.
inline int32_t beyond_ascii(Machine &machine, int32_t state) {
    static const uint8_t kSequences[8][8] = {
        {0xC2, 0xDF, 0x80, 0xBF},
        {0xE0, 0xE0, 0xA0, 0xBF, 0x80, 0xBF},
        {0xE1, 0xEC, 0x80, 0xBF, 0x80, 0xBF},
        {0xED, 0xED, 0x80, 0x9F, 0x80, 0xBF},
        {0xEE, 0xEF, 0x80, 0xBF, 0x80, 0xBF},
        {0xF0, 0xF0, 0x90, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
        {0xF1, 0xF3, 0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
        {0xF4, 0xF4, 0x80, 0x8F, 0x80, 0xBF, 0x80, 0xBF},
    };
    int32_t found = kDead;
    for (const auto &sequence : kSequences) {
        std::vector<int32_t> here{state}, reached;
        for (int i = 0; i < 8 && sequence[i]; i += 2) {
            reached.clear();
            for (int32_t one : here) {
                const int32_t *row = machine.row_of(one);
                if (!row) return kAmbiguous;
                for (int byte = sequence[i]; byte <= sequence[i + 1]; byte++) {
                    if (row[byte] == kDead) return kDead;
                    if (reached.empty() || reached.back() != row[byte]) reached.push_back(row[byte]);
                }
            }
            std::sort(reached.begin(), reached.end());
            reached.erase(std::unique(reached.begin(), reached.end()), reached.end());
            if (reached.size() > 8) return kDead;
            here = reached;
        }
        if (here.size() != 1 || (found != kDead && here[0] != found)) return kDead;
        found = here[0];
    }
    return found;
}

class Masks {
  public:
    Masks(const Nodes &nodes, int32_t max_frames) : machine(nodes, max_frames) {}

    // Write the tokens that a state can take and that leave at most `budget` tokens to finish; 1
    // when that is done, 0 where it took over `allowed` work, and is to be asked again, or
    // kAmbiguous. most: what the dearest token leaves to do, whatever the budget.
    int fill(const Vocabulary &vocabulary, int32_t state, int32_t budget, int64_t allowed,
             uint32_t *row, int32_t *most) {
        const int64_t limit = machine.work + allowed;
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
        Job &job = found->second;
        int done = go_on(vocabulary, budget, limit, job);
        if (done == 1) {
            std::copy(job.row.begin(), job.row.end(), row);
            *most = job.most;
        }
        if (done) jobs_.erase(found);
        return done;
    }

    void forget() {
        jobs_.clear();
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
        int32_t most = 0;
        int64_t number = 0;
    };

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
        if (target == kDead) return 0;
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
            int32_t id = job.suspects.back();
            const std::string &text = vocabulary.texts.at(id);
            const auto *bytes = reinterpret_cast<const uint8_t *>(text.data());
            int32_t end = machine.walk(job.path[0], bytes, int64_t(text.size()));
            if (end == kAmbiguous) return kAmbiguous;
            machine.work++;
            allow(id, machine.cost(end), budget, job);
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
    int64_t num_begun_ = 0;
};

} // namespace branchline
