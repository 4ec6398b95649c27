// The work of one step, made once and run for every layer; for api.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.h"

// Sequences of one step as the engine describes them.
struct Sequences {
    int64_t count;
    const int64_t* query_lens;
    const int64_t* context_lens;          // new tokens included
    const int64_t* const* context_slots;  // per sequence [context_len]
};

// Which queries meet which keys. Decoding sequences that begin with the same slots share the items
// over these; a query with several items has one partial result per item, merged at the end.
class Plan {
public:
    // fixed: items of decoding sequences are runs, and only whole runs are shared.
    void make(const Sequences& sequences, int heads_per_kv, bool fixed);

    std::vector<Query> queries;
    std::vector<Item> items;
    std::vector<int32_t> partials;      // of the queries that merge, one after another
    std::vector<int32_t> merge_starts;  // into partials, per merging query, and the end
    std::vector<int32_t> merge_tokens;
    int64_t pairs = 0;                  // query-key pairs of all items, per head
    int32_t num_partials = 0;
    int64_t shared_keys = 0;            // key reads saved by sharing
    bool is_fixed = false;
    std::vector<float> partial_out, partial_max, partial_sum;

private:
    struct Branch {
        std::vector<int32_t> members;
        int64_t covered, at;
    };
    void add_decodes(const Sequences& sequences, std::vector<int32_t> decoding);
    void split(const Sequences& sequences, Branch branch, std::vector<Branch>& rest);
    void add_segment(const Sequences& sequences, const std::vector<int32_t>& members,
                     int64_t begin, int64_t end);
    void number_partials();

    std::vector<int32_t> first_token_;
    std::size_t num_tokens_ = 0;
    int max_queries_ = 1;
};
