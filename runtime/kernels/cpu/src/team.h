// Threads that share the calls of one kernel after another; for api.cpp.
//
// The threads are torch's: OpenMP's pool belongs to the process, and this library is linked to the
// OpenMP runtime that torch has loaded. A team is formed once for all kernels of a step. Between two
// kernels nobody waits for a thread, only for calls that have begun: where another process holds a
// core, the threads that run do all the work, which barriers of OpenMP would forbid. So threads may also
// come and go while a team is at work, as in queue.cpp.
#pragma once

#include <omp.h>
#include <sched.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>

// Raised behind each piece of work, for whoever tells a long step from a hang; bl_count_at (api.cpp) says
// where. That it changes is all that counts: threads may overwrite each other's.
class Progress {
public:
    static void at(std::atomic<uint64_t>* count) { count_ = count; }

    static void note() {
        count_->store(count_->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

private:
    static inline std::atomic<uint64_t> unwatched_{0};
    static inline std::atomic<uint64_t>* count_ = &unwatched_;
};

// A number that changes, and threads that wait for it to: spinning first, as most waits are shorter
// than sleeping and waking, then asleep, as a thread that spins is the first to be taken off its core.
class alignas(64) Watched {
public:
    uint32_t now() const { return value_.load(std::memory_order_acquire); }

    void add(uint32_t n) {
        value_.fetch_add(n);
        if (sleepers_.load() != 0) wake();
    }

    void await_other_than(uint32_t value) {
        for (int spins = 0; spins < kSpins; ++spins) {
            if (now() != value) return;
#ifdef BL_X86
            __builtin_ia32_pause();
#endif
        }
        sleepers_.fetch_add(1);
        while (value_.load() == value) sleep(value);
        sleepers_.fetch_sub(1);
    }

private:
    static constexpr int kSpins = 2'000;

#ifdef __linux__
    void sleep(uint32_t value) { syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, value, nullptr); }
    void wake() { syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, INT_MAX); }
#else
    void sleep(uint32_t) { sched_yield(); }
    void wake() {}
#endif

    std::atomic<uint32_t> value_{0}, sleepers_{0};
};

class Team {
public:
    explicit Team(int threads) : threads_(threads) {}

    int threads() const { return threads_; }

    // Into how many threads' parts kernels are cut from now on. Of the thread that leads.
    void resize(int threads) { threads_ = threads; }

    // call(0) ... call(count - 1), in any order; `work` in multiply-adds (or elements, times 16). Of
    // the thread that leads.
    template <class Call>
    void run(int64_t count, int64_t work, const Call& call) {
        if (threads_ == 1 || count <= 1 || work < kMinWork) {
            for (int64_t i = 0; i < count; ++i) {
                call(i);
                Progress::note();
            }
            return;
        }
        call_ = [](const void* context, int64_t i) { (*static_cast<const Call*>(context))(i); };
        context_ = &call;
        const uint32_t end = done_.now() + uint32_t(count);
        open_.store(uint64_t(count) << 32, std::memory_order_release);
        news_.add(1);
        take_calls();
        for (uint32_t done = done_.now(); done != end; done = done_.now())
            done_.await_other_than(done);
    }

    // The same with call(begin, end) for ranges of [0, count), a few of them for each thread, and
    // none of them long.
    template <class Call>
    void run_ranges(int64_t count, int64_t work, const Call& call) {
        const int64_t few = threads_ == 1 || work < kMinWork ? 1 : threads_ * 2;
        const int64_t parts = std::min(count, std::max(few, work / kMostWork));
        if (parts <= 1) {
            call(int64_t(0), count);
            return Progress::note();
        }
        run(parts, work, [&](int64_t i) { call(count * i / parts, count * (i + 1) / parts); });
    }

    // The same with ranges that get shorter, down to half: of threads that are not equally fast none is
    // left with a long one at the end.
    template <class Call>
    void run_shrinking(int64_t count, int64_t work, const Call& call) {
        if (threads_ == 1 || work < kMinWork) return run_ranges(count, work, call);
        const int64_t parts = threads_ * 2, least = std::max<int64_t>(1, count / (2 * parts));
        std::atomic<int64_t> next{0};
        run(threads_, work, [&](int64_t) {
            for (int64_t begin = next.load(); begin < count;) {
                const int64_t end = std::min(count, begin + std::max(least, (count - begin) / parts));
                if (!next.compare_exchange_weak(begin, end)) continue;
                call(begin, end);
                Progress::note();
                begin = next.load();
            }
        });
    }

    // Takes part until over(), which is asked again after every kernel and every `tell`.
    template <class Over>
    void serve(const Over& over) {
        for (;;) {
            const uint32_t seen = news_.now();
            if (over()) return;
            take_calls();
            news_.await_other_than(seen);
        }
    }

    void tell() { news_.add(1); }

    // Below this other threads cost more than they save.
    static constexpr int64_t kMinWork = 400'000;

    // A range of more (of a product 4 billion multiply-adds) may take some tenths of a second on a slow
    // core.
    static constexpr int64_t kMostWork = 500'000'000;

private:
    void take_calls() {
        uint64_t open = open_.load(std::memory_order_acquire);
        while (uint32_t(open) < open >> 32) {
            if (!open_.compare_exchange_weak(open, open + 1, std::memory_order_acq_rel)) continue;
            call_(context_, uint32_t(open));
            Progress::note();
            done_.add(1);
            open = open_.load(std::memory_order_acquire);
        }
    }

    int threads_;
    void (*call_)(const void* context, int64_t i) = nullptr;
    const void* context_ = nullptr;
    // The number of calls, and in the lower half of them those taken.
    alignas(64) std::atomic<uint64_t> open_{0};
    Watched done_;  // calls, of all kernels
    Watched news_;  // kernels, and what `tell` tells of
};

// lead(team), with the other threads at its service.
template <class Lead>
void with_team(int threads, const Lead& lead) {
    Team team(threads);
    if (threads == 1) {
        lead(team);
        return;
    }
    std::atomic<bool> closed{false};
#pragma omp parallel num_threads(threads)
    {
        if (omp_get_thread_num() == 0) {
            lead(team);
            closed.store(true, std::memory_order_release);
            team.tell();
        } else {
            team.serve([&] { return closed.load(std::memory_order_acquire); });
        }
    }
}
