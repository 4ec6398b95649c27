// Masks of a machine's states: every token of a vocabulary walked along a trie, in parts where one
// step may not work so long. Included by api.cpp.

#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "machine.h"

namespace branchline {

constexpr int32_t kChain = 16;      // longest text that is taken without a walk, in characters
constexpr size_t kMaxSuspects = 16384; // tokens that are walked one by one
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
    std::vector<int32_t> of_first = std::vector<int32_t>(256, kNone); // the nodes of first bytes
    int32_t max_depth = 0;

    void add(int32_t token, const uint8_t *data, int64_t size, std::vector<int32_t> &path) {
        size_t shared = 0;
        while (shared < path.size() && int64_t(shared) < size && nodes[path[shared]].byte == data[shared])
            shared++;
        close(path, shared);
        for (int64_t i = int64_t(shared); i < size; i++) {
            path.push_back(int32_t(nodes.size()));
            if (i == 0) of_first[data[0]] = path[0];
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
            if (text[id] && length <= kChain) {
                texts[id] = std::string(reinterpret_cast<const char *>(bytes), size_t(size));
                bool has[256] = {};
                for (int64_t k = 0; k < size; k++) {
                    if (bytes[k] < 0x80 && !has[bytes[k]]) with_byte[bytes[k]].push_back(int32_t(id));
                    has[bytes[k]] = true;
                }
            }
            const uint8_t *sorts[3] = {nullptr, plain, text};
            for (int kind = kNoShortcut; kind <= kTextShortcut; kind++) {
                if (kind != kNoShortcut && sorts[kind][id] && length <= kChain) {
                    exactly[kind][length][id / 32] |= 1u << (id % 32);
                    for (int32_t n = length; n <= kChain; n++)
                        up_to[kind][n][id / 32] |= 1u << (id % 32);
                    lengths[kind] |= uint64_t(1) << length;
                    if (kind == kTextShortcut) text_of_first[bytes[0]].push_back(int32_t(id));
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
    std::vector<int32_t> text_of_first[256];        // tokens of text, by their first byte
    std::vector<int32_t> with_byte[128];            // by a byte somewhere in them
    std::unordered_map<int64_t, std::string> texts; // their bytes
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
            const int32_t *row = machine.row_of(job.path[node.depth]);
            if (!row) return kAmbiguous;
            int32_t next = row[node.byte];
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
