// A hash table of numbers; used by machine.h.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "held.h"

namespace branchline {

constexpr int32_t kNone = -1;

inline uint64_t mixed(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15ull;
    return hash ^ (hash >> 29);
}

// Numbers by hash; who asks compares what they stand for. A large table that has become too small moves
// into one of twice its size a few numbers at a time: to move half a million at once took 3 ms, for
// which no token can wait.
class Index {
  public:
    template <typename Same> int32_t find(uint64_t hash, Same same) const {
        if (!now_.size) return kNone; // most grammars need some tables only
        int32_t found = within(now_, hash, same);
        return found == kNone && before_.slots ? within(before_, hash, same) : found;
    }

    void insert(uint64_t hash, int32_t number) {
        if (2 * ++size_ > now_.size) grow();
        put({hash, number + 1});
        move(kMoved);
    }

    void clear() {
        before_ = Table();
        now_ = Table();
        size_ = moved_ = 0;
    }

    int64_t num_bytes() const {
        return held(now_.size * sizeof(Slot)) + held(before_.size * sizeof(Slot));
    }

  private:
    static constexpr size_t kLeast = 64, kMoved = 4, kAtOnce = 1 << 15;

    struct Slot {
        uint64_t hash;
        int32_t number; // and one; 0 where there is none
    };

    // Memory that the kernel hands out, and clears, page by page as it is used.
    struct Table {
        Table() = default;
        explicit Table(size_t count)
            : slots(static_cast<Slot *>(std::calloc(count, sizeof(Slot)))), size(count) {
            if (!slots) throw std::bad_alloc();
        }
        struct Free {
            void operator()(Slot *slots) const { std::free(slots); }
        };
        std::unique_ptr<Slot[], Free> slots;
        size_t size = 0;
    };

    template <typename Same> static int32_t within(const Table &table, uint64_t hash, Same same) {
        const size_t mask = table.size - 1;
        for (size_t at = hash & mask; table.slots[at].number; at = (at + 1) & mask)
            if (table.slots[at].hash == hash && same(table.slots[at].number - 1))
                return table.slots[at].number - 1;
        return kNone;
    }

    void put(Slot slot) {
        const size_t mask = now_.size - 1;
        size_t at = slot.hash & mask;
        while (now_.slots[at].number) at = (at + 1) & mask;
        now_.slots[at] = slot;
    }

    void grow() {
        move(before_.size); // done long since: a table is full when as many came as it moved
        before_ = std::move(now_);
        now_ = Table(std::max(kLeast, 2 * before_.size));
        moved_ = 0;
        if (before_.size <= kAtOnce) move(before_.size); // one table is found in faster than two
    }

    // What was moved stays where it was, too, so that chains of others do not break.
    void move(size_t count) {
        for (; count && moved_ < before_.size; count--, moved_++)
            if (before_.slots[moved_].number) put(before_.slots[moved_]);
        if (before_.slots && moved_ == before_.size) before_ = Table();
    }

    Table now_, before_;
    size_t size_ = 0, moved_ = 0;
};

} // namespace branchline
