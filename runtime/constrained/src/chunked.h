// A vector that grows without moving what it holds; used by machine.h.

#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "held.h"

namespace branchline {

// To move a hundred thousand places at once takes a millisecond or two, for which no token can wait.
template <typename T> class Chunked {
  public:
    T &operator[](size_t index) { return chunks_[index / kSize][index % kSize]; }
    const T &operator[](size_t index) const { return chunks_[index / kSize][index % kSize]; }

    size_t size() const { return size_; }

    int64_t num_bytes() const {
        return int64_t(chunks_.size()) * held(kSize * sizeof(T)) + held(chunks_);
    }

    void push_back(const T &value) {
        if (size_ == chunks_.size() * kSize) chunks_.emplace_back(new T[kSize]);
        chunks_.back()[size_++ % kSize] = value;
    }

    void clear() {
        chunks_.clear();
        size_ = 0;
    }

  private:
    // A grammar has five of these and most have few states: chunks of 1,024 took 100 KiB of each.
    static constexpr size_t kSize = 64;
    std::vector<std::unique_ptr<T[]>> chunks_;
    size_t size_ = 0;
};

} // namespace branchline
