// Ways through a text that differ only in what follows, as one; included by machine.h.

#pragma once

#include "machine.h"

namespace branchline {

// Frames in order, joined: of two ways to have come to a place the rest is read once, and the number
// of ways does not double with each of them.
inline void Machine::join(std::vector<int32_t> &frames) {
    auto in_order = [&] {
        std::sort(frames.begin(), frames.end());
        frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
    };
    in_order();
    if (frames.size() < 2) return;
    auto place = [&](int32_t index) {
        const Frame &f = frames_[index];
        return std::tie(f.node, f.low, f.high, f.depth);
    };
    std::vector<int32_t> alike(frames);
    std::sort(alike.begin(), alike.end(),
              [&](int32_t one, int32_t other) { return place(one) < place(other); });
    bool joined = false;
    for (size_t i = 0, end; i < alike.size(); i = end) {
        for (end = i + 1; end < alike.size() && place(alike[i]) == place(alike[end]);) end++;
        if (end == i + 1) continue;
        std::vector<int32_t> following;
        for (size_t k = i; k < end; k++) following.push_back(frames_[alike[k]].following);
        const int32_t rest = either(following);
        const Frame first = frames_[alike[i]];
        const int32_t one = made(first.node, first.low, first.high, first.depth, rest);
        std::fill(alike.begin() + int64_t(i), alike.begin() + int64_t(end), one);
        joined = true;
    }
    if (!joined) return;
    frames = std::move(alike);
    in_order();
}

// One frame for several that may follow; kNone only where all are the end.
inline int32_t Machine::either(const std::vector<int32_t> &frames) {
    std::vector<int32_t> flat;
    for (int32_t one : frames) {
        if (one == kNone || frames_[one].node != kSeveral) {
            flat.push_back(one);
            continue;
        }
        const std::vector<int32_t> &others = others_[size_t(frames_[one].depth)];
        flat.insert(flat.end(), others.begin(), others.end());
    }
    const bool ends = std::count(flat.begin(), flat.end(), kNone) > 0;
    flat.erase(std::remove(flat.begin(), flat.end(), kNone), flat.end());
    join(flat);
    int32_t cost = ends ? 0 : kInfinite, least = kInfinite;
    for (int32_t part : flat) {
        cost = std::min(cost, frames_[part].cost);
        least = std::min(least, frames_[part].least);
    }
    if (ends) flat.push_back(kNone);
    if (flat.size() == 1) return flat[0];
    uint64_t key = 5;
    for (int32_t part : flat) key = mixed(key, uint64_t(uint32_t(part)));
    int32_t known = others_index_.find(key, [&](int32_t number) {
        return others_[size_t(frames_[number].depth)] == flat;
    });
    if (known != kNone) return known;
    const int32_t index = int32_t(frames_.size());
    frames_.push_back({kSeveral, kNone, 0, 0, int32_t(others_.size()), cost, least});
    seen_.push_back(0);
    alone_.push_back(kNotYet);
    others_bytes_ += held(flat);
    others_.push_back(std::move(flat));
    others_index_.insert(key, index);
    return index;
}

} // namespace branchline
