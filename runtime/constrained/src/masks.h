// Masks of a machine's states: every token of a vocabulary walked along a trie, in parts where one
// step may not work so long. Included by api.cpp.

#pragma once

#include <bitset>
#include <map>
#include <utility>

#include "beyond_ascii.h"
#include "machine.h"
#include "vocabulary.h"

namespace branchline {

constexpr size_t kMaxOutside = 4096;   // and where a walk along the trie would be short, too
constexpr int kMinCircle = 20; // bytes that are worth it: of fewer, tokens are soon walked
constexpr int64_t kClassWork = 200; // what it costs to look for tokens by their bytes
constexpr size_t kMaxJobs = 16;     // masks that were begun; whoever wanted the oldest is gone
constexpr int32_t kNodesPerWork = 8; // steps along the trie that cost as much as a frame
constexpr int32_t kNodesPerLook = 256;

class Masks {
  public:
    Masks(const Nodes &nodes, int32_t max_frames) : machine(nodes, max_frames) {}

    // Write the tokens that a state can take and that leave at most `budget` tokens to finish; 1
    // when that is done, 0 where it took over `allowed` work, and is to be asked again, or
    // kAmbiguous. most: no token leaves more to do, whatever the budget.
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

    // Begin the mask of a state with that of one that takes the same tokens of up to `least` bytes:
    // only longer ones are walked. False where there are none, so that both masks are the same.
    bool begin_like(const Vocabulary &vocabulary, int32_t state, int32_t budget, int32_t least,
                    const uint32_t *like, int32_t most) {
        if (jobs_.count({state, budget})) return true;
        Job job;
        for (int32_t id : vocabulary.long_ones)
            if (vocabulary.size_of(id) > least && like[id / 32] >> (id % 32) & 1)
                job.suspects.push_back(id);
        if (job.suspects.empty()) return false;
        job.row.assign(like, like + vocabulary.num_words);
        for (int32_t id : job.suspects) job.row[size_t(id) / 32] &= ~(1u << (id % 32));
        job.most = most;
        job.path.assign(1, state);
        add(state, budget, std::move(job));
        return true;
    }

    int64_t num_bytes() const {
        return held(sizeof(*this)) + machine.num_bytes() + held(free_) + bytes_of(jobs_) +
               bytes_of(plain_);
    }

    Machine machine;

  private:
    struct Piece {
        int kind;          // which trie
        int32_t from, end; // its nodes
        uint8_t circles = 0; // those whose tokens were taken together
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

    using Jobs = std::map<std::pair<int32_t, int32_t>, Job>;

    static int64_t bytes_of(const Jobs &jobs) {
        int64_t bytes = int64_t(jobs.size()) * (kMapNode + int64_t(sizeof(Jobs::value_type)));
        for (const auto &[key, job] : jobs)
            bytes += held(job.row) + held(job.path) + held(job.pieces) + held(job.suspects) +
                     held(job.crossing);
        return bytes;
    }

    int find(const Vocabulary &vocabulary, int32_t state, int32_t budget, int64_t limit, Job *&job) {
        auto key = std::make_pair(state, budget);
        auto found = jobs_.find(key);
        if (found != jobs_.end()) {
            job = &found->second;
        } else {
            Job begun;
            if (!begin(vocabulary, state, budget, begun)) return kAmbiguous;
            job = &add(state, budget, std::move(begun));
        }
        return go_on(vocabulary, budget, limit, *job);
    }

    Job &add(int32_t state, int32_t budget, Job &&job) {
        if (jobs_.size() >= kMaxJobs) drop_oldest();
        job.number = num_begun_++;
        return jobs_[{state, budget}] = std::move(job);
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

    // How a mask begins, with what needs no walk: beginnings.h.
    bool begin(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job);
    int begin_but_for(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job);
    int begin_in_circle(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job);
    int take_circle(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job);
    bool suspect(const Bits &tokens, size_t most, Job &job);
    bool begin_by_bytes(const Vocabulary &vocabulary, int32_t state, int32_t budget, Job &job);
    void take_by_first(const Vocabulary &vocabulary, const bool *taken, Job &job);
    bool leads_beyond_ascii(int32_t state);
    int is_free(int32_t state, bool may_expand);
    void take_text(const Vocabulary &vocabulary, int32_t first, int32_t last, int32_t cost,
                   int32_t budget, Job &job);
    void take(const Vocabulary &vocabulary, int kind, const int32_t *chain, int32_t length,
              int32_t budget, Job &job);

    static void join(std::vector<uint32_t> &row, const std::vector<uint32_t> &other) {
        for (size_t i = 0; i < row.size(); i++) row[i] |= other[i];
    }

    int go_on(const Vocabulary &vocabulary, int32_t budget, int64_t limit, Job &job) {
        for (; !job.pieces.empty(); job.pieces.pop_back()) {
            int done = walk(vocabulary, budget, limit, job);
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

    int walk(const Vocabulary &vocabulary, int32_t budget, int64_t limit, Job &job) {
        Piece &piece = job.pieces.back();
        const Trie &trie = vocabulary.tries[piece.kind];
        const Trie::Node *const nodes = trie.nodes.data();
        const int32_t *const tokens = trie.tokens.data();
        int32_t *const path = job.path.data();
        // Of each state on the path its successors, where they are known: rows stay where they are.
        std::vector<const int32_t *> rows(job.path.size(), nullptr);
        int32_t known = kDead, cost = kInfinite; // a state that was just met, as most are
        int32_t at = piece.from, looked_at = 0;
        while (at < piece.end) {
            if (++looked_at == kNodesPerLook) {
                machine.work += kNodesPerLook / kNodesPerWork;
                looked_at = 0;
            }
            if (machine.work > limit) {
                piece.from = at;
                return 0;
            }
            const Trie::Node &node = nodes[at];
            if (node.circles & piece.circles) {
                at = node.end;
                continue;
            }
            const int32_t *row = rows[node.depth];
            if (!row) row = rows[node.depth] = machine.row_if_there(path[node.depth]);
            const int32_t next = row ? row[node.byte] : machine.step(path[node.depth], node.byte);
            if (next <= kDead) {
                if (next == kAmbiguous) return kAmbiguous;
                at = node.end;
                continue;
            }
            if (next != known) {
                if (machine.anew(next)) {
                    const int32_t last = nodes[node.end].first_token;
                    job.crossing.insert(job.crossing.end(), tokens + node.first_token, tokens + last);
                    at = node.end;
                    continue;
                }
                if (piece.kind == kNoShortcut && is_plain(node.byte) && is_free(next, false) > 0) {
                    const int32_t last = nodes[node.end].first_token;
                    take_text(vocabulary, node.first_token, last, machine.cost(next), budget, job);
                    at = node.end;
                    continue;
                }
                known = next;
                cost = machine.cost(next);
            }
            path[node.depth + 1] = next;
            rows[size_t(node.depth) + 1] = next == path[node.depth] ? row : nullptr;
            const int32_t last = nodes[++at].first_token;
            if (node.first_token < last && cost < kInfinite) job.most = std::max(job.most, cost);
            if (cost <= budget)
                for (int32_t i = node.first_token; i < last; i++)
                    job.row[size_t(tokens[i]) / 32] |= 1u << (tokens[i] % 32);
        }
        piece.from = at;
        return 1;
    }

    void drop_oldest() {
        auto oldest = jobs_.begin();
        for (auto it = jobs_.begin(); it != jobs_.end(); ++it)
            if (it->second.number < oldest->second.number) oldest = it;
        jobs_.erase(oldest);
    }

    Jobs jobs_;
    Jobs plain_; // masks of states that do not compare
    std::vector<int8_t> free_; // by state, as far as it was asked for: free text, or kNotYet
    int64_t num_begun_ = 0;
};

} // namespace branchline

#include "beginnings.h"
