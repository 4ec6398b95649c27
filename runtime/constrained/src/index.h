// A hash table of numbers; used by machine.h.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace branchline {

constexpr int32_t kNone = -1;

inline uint64_t mixed(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15ull;
    return hash ^ (hash >> 29);
}

// Numbers by hash; who asks compares what they stand for.
class Index {
  public:
    template <typename Same> int32_t find(uint64_t hash, Same same) const {
        for (size_t at = hash & mask_; slots_[at].number >= 0; at = (at + 1) & mask_)
            if (slots_[at].hash == hash && same(slots_[at].number)) return slots_[at].number;
        return kNone;
    }

    void insert(uint64_t hash, int32_t number) {
        if (2 * ++size_ > slots_.size()) grow();
        put({hash, number});
    }

    void clear() {
        slots_.assign(64, {0, kNone});
        mask_ = 63;
        size_ = 0;
    }

    int64_t num_bytes() const { return int64_t(slots_.size() * sizeof(Slot)); }

  private:
    struct Slot {
        uint64_t hash;
        int32_t number;
    };

    void put(Slot slot) {
        size_t at = slot.hash & mask_;
        while (slots_[at].number >= 0) at = (at + 1) & mask_;
        slots_[at] = slot;
    }

    void grow() {
        std::vector<Slot> old(2 * slots_.size(), {0, kNone});
        old.swap(slots_);
        mask_ = slots_.size() - 1;
        for (const Slot &slot : old)
            if (slot.number >= 0) put(slot);
    }

    std::vector<Slot> slots_;
    size_t mask_ = 0, size_ = 0;
};

} // namespace branchline
