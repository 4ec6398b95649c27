// Masks of a machine's states: every token of a vocabulary walked along a trie, in parts where one
// step may not work so long. Included by api.cpp.

#pragma once

#include <map>
#include <utility>

#include "machine.h"

namespace branchline {

constexpr int32_t kChain = 32;      // longest text that is taken without a walk, in characters
constexpr size_t kMaxJobs = 16;     // masks that were begun; whoever wanted the oldest is gone
constexpr int32_t kNodesPerWork = 8; // steps along the trie that cost as much as a frame
constexpr int32_t kNodesPerLook = 256;

// Plain bytes as in vocabulary.py: printable ASCII but the quote and the backslash.
inline bool is_plain(int byte) {
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

// Tokens as a tree of bytes, parents before children.
struct Trie {
    struct Node {
        int32_t end;         // behind the last node below it
        int32_t first_token; // in `tokens`; those of node i end where those of i + 1 begin
        uint16_t depth;
        uint8_t byte;
    };
    std::vector<Node> nodes;
    std::vector<int32_t> tokens;
    int32_t max_depth = 0;

    void add(int32_t token, const uint8_t *data, int64_t size, std::vector<int32_t> &path) {
        size_t shared = 0;
        while (shared < path.size() && int64_t(shared) < size && nodes[path[shared]].byte == data[shared])
            shared++;
        close(path, shared);
        for (int64_t i = int64_t(shared); i < size; i++) {
            path.push_back(int32_t(nodes.size()));
            nodes.push_back({0, int32_t(tokens.size()), uint16_t(i), data[i]});
        }
        max_depth = std::max(max_depth, int32_t(size));
        tokens.push_back(token);
    }

    void close(std::vector<int32_t> &path, size_t kept) {
        for (; path.size() > kept; path.pop_back()) nodes[path.back()].end = int32_t(nodes.size());
    }

    void finish(std::vector<int32_t> &path) {
        close(path, 0);
        nodes.push_back({0, int32_t(tokens.size()), 0, 0});
    }
};

enum Treated { kNoShortcut, kPlainShortcut, kTextShortcut };

class Vocabulary {
  public:
    // order: the ids of tokens that have bytes, in the order of these.
    Vocabulary(const uint8_t *data, const int64_t *starts, int64_t num_tokens, const int64_t *order,
               int64_t num_ordered, const uint8_t *plain, const uint8_t *text)
        : num_words((num_tokens + 31) / 32) {
        for (int kind = kPlainShortcut; kind <= kTextShortcut; kind++)
            for (int32_t n = 0; n <= kChain; n++) {
                exactly[kind].emplace_back(n ? num_words : 0);
                up_to[kind].emplace_back(n ? num_words : 0);
            }
        std::vector<int32_t> path[3];
        for (int64_t i = 0; i < num_ordered; i++) {
            int64_t id = order[i], size = starts[id + 1] - starts[id];
            const uint8_t *bytes = data + starts[id];
            int32_t length = 0;
            for (int64_t k = 0; k < size; k++) length += (bytes[k] & 0xC0) != 0x80;
            const uint8_t *sorts[3] = {nullptr, plain, text};
            for (int kind = kNoShortcut; kind <= kTextShortcut; kind++) {
                if (kind != kNoShortcut && sorts[kind][id] && length <= kChain) {
                    exactly[kind][length][id / 32] |= 1u << (id % 32);
                    for (int32_t n = length; n <= kChain; n++)
                        up_to[kind][n][id / 32] |= 1u << (id % 32);
                    lengths[kind] |= uint64_t(1) << length;
                } else {
                    tries[kind].add(int32_t(id), bytes, size, path[kind]);
                }
            }
        }
        for (int kind = 0; kind < 3; kind++) tries[kind].finish(path[kind]);
    }

    const int64_t num_words;
    Trie tries[3];                                  // by shortcut: tokens that are left to walk
    std::vector<std::vector<uint32_t>> exactly[3];  // tokens of so many characters, as bits
    std::vector<std::vector<uint32_t>> up_to[3];    // of so many or fewer
    uint64_t lengths[3] = {0, 0, 0};                // which numbers of characters there are
};

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
    struct Job {
        std::vector<uint32_t> row;
        std::vector<int32_t> path; // the state before each byte of the node looked at
        int kind = kNoShortcut;
        int32_t at = 0, most = 0;
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
            job.kind = kPlainShortcut;
            if (text_length == length && (length == kChain || !leads_beyond_ascii(chain[length])))
                job.kind = kTextShortcut;
            take(vocabulary, chain, length, budget, job);
        }
        job.path.assign(size_t(vocabulary.tries[job.kind].max_depth) + 1, kDead);
        job.path[0] = state;
        return true;
    }

    bool leads_beyond_ascii(int32_t state) {
        const int32_t *row = machine.row_of(state); // there: it was asked for
        return std::any_of(row + 0x80, row + 0x100, [](int32_t next) { return next != kDead; });
    }

    void take(const Vocabulary &vocabulary, const int32_t *chain, int32_t length, int32_t budget,
              Job &job) {
        int32_t whole = 0;
        while (whole < length && machine.cost(chain[whole + 1]) <= budget) whole++;
        if (whole) join(job.row, vocabulary.up_to[job.kind][size_t(whole)]);
        for (int32_t n = 1; n <= length; n++) {
            int32_t cost = machine.cost(chain[n]);
            if (n > whole && cost <= budget) join(job.row, vocabulary.exactly[job.kind][size_t(n)]);
            if (vocabulary.lengths[job.kind] >> n & 1 && cost < kInfinite)
                job.most = std::max(job.most, cost);
        }
    }

    static void join(std::vector<uint32_t> &row, const std::vector<uint32_t> &other) {
        for (size_t i = 0; i < row.size(); i++) row[i] |= other[i];
    }

    int go_on(const Vocabulary &vocabulary, int32_t budget, int64_t limit, Job &job) {
        const Trie &trie = vocabulary.tries[job.kind];
        const int32_t num_nodes = int32_t(trie.nodes.size()) - 1;
        int32_t looked_at = 0;
        while (job.at < num_nodes) {
            if (++looked_at == kNodesPerLook) {
                machine.work += kNodesPerLook / kNodesPerWork;
                looked_at = 0;
            }
            if (machine.work > limit) return 0;
            const Trie::Node &node = trie.nodes[size_t(job.at)];
            const int32_t *row = machine.row_of(job.path[node.depth]);
            if (!row) return kAmbiguous;
            int32_t next = row[node.byte];
            if (next == kDead) {
                job.at = node.end;
                continue;
            }
            job.path[size_t(node.depth) + 1] = next;
            job.at++;
            int32_t last = trie.nodes[size_t(job.at)].first_token;
            if (node.first_token == last) continue;
            int32_t cost = machine.cost(next);
            if (cost >= kInfinite) continue;
            job.most = std::max(job.most, cost);
            if (cost > budget) continue;
            for (int32_t i = node.first_token; i < last; i++) {
                int32_t token = trie.tokens[size_t(i)];
                job.row[size_t(token) / 32] |= 1u << (token % 32);
            }
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
