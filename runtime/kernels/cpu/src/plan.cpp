// Plan: from the sequences of a step to items of work.
#include "plan.h"

#include <algorithm>

namespace {

constexpr int kFewestRows = 64;      // of new tokens in an item, where there are so many
constexpr int64_t kMinItems = 8;     // of many new tokens, so that threads share
constexpr int64_t kMinShared = 32;   // fewer shared keys are read faster than merged
// Keys of one item of decoding queries, so that threads share; for several, each part of the keys takes
// results to be put away and merged.
constexpr int64_t kSplitKeys = 512, kSplitShared = 1024;

}  // namespace

void Plan::make(const Sequences& sequences, int heads_per_kv, bool fixed) {
    queries.clear(), items.clear(), partials.clear(), merge_starts.clear(), merge_tokens.clear();
    first_token_.clear();
    pairs = 0, num_partials = 0, shared_keys = 0, is_fixed = fixed;
    max_queries_ = std::max(1, kMostRows / heads_per_kv);

    std::vector<int32_t> decoding;
    int32_t token = 0;
    for (int64_t i = 0; i < sequences.count; ++i) {
        first_token_.push_back(token);
        if (sequences.query_lens[i] == 1) decoding.push_back(int32_t(i));
        token += int32_t(sequences.query_lens[i]);
    }
    num_tokens_ = size_t(token);
    add_decodes(sequences, std::move(decoding));
    number_partials();
    for (int64_t i = 0; i < sequences.count; ++i) {
        const int64_t length = sequences.query_lens[i];
        if (length == 1) continue;
        const int64_t before = sequences.context_lens[i] - length;
        // The more there are in an item, the fewer times keys and values are packed.
        const int64_t fewest = std::max(1, kFewestRows / heads_per_kv);
        const int64_t wanted = std::clamp<int64_t>(length / kMinItems, fewest, max_queries_);
        for (int64_t start = 0; start < length; start += wanted) {
            const int64_t count = std::min<int64_t>(wanted, length - start);
            Item item{sequences.context_slots[i], int32_t(queries.size()), int32_t(count), 0,
                      int32_t(before + start + count), -1, false};
            for (int64_t j = start; j < start + count; ++j)
                queries.push_back({int32_t(first_token_[i] + j), int32_t(before + j)});
            pairs += count * item.end;
            items.push_back(item);
        }
    }
    // The longest first, so that threads end together.
    std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
        return int64_t(a.count) * (a.end - a.begin) > int64_t(b.count) * (b.end - b.begin);
    });
}

void Plan::add_decodes(const Sequences& sequences, std::vector<int32_t> decoding) {
    if (decoding.empty()) return;
    std::vector<Branch> branches;
    branches.push_back({std::move(decoding), 0, 0});
    while (!branches.empty()) {
        Branch branch = std::move(branches.back());
        branches.pop_back();
        split(sequences, std::move(branch), branches);
    }
}

// Items for what all members have in common from `at` on, and the branches behind it.
void Plan::split(const Sequences& sequences, Branch branch, std::vector<Branch>& rest) {
    std::vector<int32_t>& members = branch.members;
    const int32_t lead = members[0];
    if (members.size() == 1) {
        add_segment(sequences, members, branch.covered, sequences.context_lens[lead]);
        return;
    }
    const int64_t* slots = sequences.context_slots[lead];
    int64_t common = sequences.context_lens[lead] - 1;  // the last slot is the new token's own
    for (size_t i = 1; i < members.size(); ++i) {
        common = std::min(common, sequences.context_lens[members[i]] - 1);
        if (common <= branch.at) break;
        const int64_t* other = sequences.context_slots[members[i]];
        common = std::mismatch(slots + branch.at, slots + common, other + branch.at).first - slots;
    }
    common = std::max(common, branch.at);
    int64_t covered = branch.covered;
    const int64_t end = is_fixed ? common / kRun * kRun : common;
    if (end - covered >= kMinShared) {
        add_segment(sequences, members, covered, end);
        const size_t reads = (members.size() + size_t(max_queries_) - 1) / size_t(max_queries_);
        shared_keys += (end - covered) * int64_t(members.size() - reads);
        covered = end;
    }
    const auto next = [&](int32_t i) { return sequences.context_slots[i][common]; };
    std::stable_sort(members.begin(), members.end(),
                     [&](int32_t a, int32_t b) { return next(a) < next(b); });
    for (size_t begin = 0; begin < members.size();) {
        size_t end = begin + 1;
        while (end < members.size() && next(members[end]) == next(members[begin])) ++end;
        // A sequence that ends here goes on alone: nothing behind its last slot is looked at.
        const auto ends = [&](int32_t i) { return sequences.context_lens[i] == common + 1; };
        const auto first = members.begin() + int64_t(begin), last = members.begin() + int64_t(end);
        const auto longer = std::stable_partition(first, last, ends);
        for (auto member = first; member != longer; ++member)
            rest.push_back({{*member}, covered, common});
        if (longer != last) rest.push_back({{longer, last}, covered, common});
        begin = end;
    }
}

void Plan::add_segment(const Sequences& sequences, const std::vector<int32_t>& members,
                       int64_t begin, int64_t end) {
    const int64_t* slots = sequences.context_slots[members[0]];
    for (size_t start = 0; start < members.size(); start += size_t(max_queries_)) {
        const size_t count = std::min(size_t(max_queries_), members.size() - start);
        const auto first = int32_t(queries.size());
        for (size_t j = start; j < start + count; ++j)
            queries.push_back(
                {first_token_[members[j]], int32_t(sequences.context_lens[members[j]] - 1)});
        const int64_t split = is_fixed ? kRun : count > 1 ? kSplitShared : kSplitKeys;
        for (int64_t at = begin; at < end; at += split) {
            const int64_t stop = std::min(end, at + split);
            items.push_back({slots, first, int32_t(count), int32_t(at), int32_t(stop), 0, true});
            pairs += int64_t(count) * (stop - at);
        }
    }
}

// A query with one item gets its result at once; the others one partial row per item.
void Plan::number_partials() {
    std::vector<int32_t> times(num_tokens_), next(num_tokens_, -1);
    for (const Item& item : items)
        for (int32_t i = 0; i < item.count; ++i) ++times[queries[item.first + i].token];
    for (const Item& item : items) {
        for (int32_t i = 0; i < item.count; ++i) {
            const int32_t token = queries[item.first + i].token;
            if (times[token] == 1 || next[token] >= 0) continue;
            next[token] = merge_starts.empty() ? 0 : merge_starts.back();
            if (merge_starts.empty()) merge_starts.push_back(0);
            merge_starts.push_back(next[token] + times[token]);
            merge_tokens.push_back(token);
        }
    }
    partials.resize(merge_starts.empty() ? 0 : size_t(merge_starts.back()));
    for (Item& item : items) {
        item.partial = times[queries[item.first].token] == 1 ? -1 : num_partials;
        if (item.partial < 0) continue;
        for (int32_t i = 0; i < item.count; ++i)
            partials[next[queries[item.first + i].token]++] = num_partials++;
    }
}
