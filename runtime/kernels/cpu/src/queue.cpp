// Work that the host has asked for and need not wait for; kernels/cpu/queue.py calls it.
//
// One thread does the work in order, without the interpreter. Whoever waits for it helps: the host is
// the second thread of the team then, and torch's other threads follow it, so that computing takes no
// more threads than without a queue. Where one thread is enough, and the queue's own has not begun, as
// it has to wait for a core, say, the host does the work itself. Work behind some that failed is not done, until somebody has
// waited and heard of it.
#include <chrono>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "pass.h"

namespace {

struct Job {
    enum Kind { kPick, kPass, kDraw } kind;
    const Level* level;
    int threads;
    // kPick: to[i] = from[which[i]].
    const int64_t *from, *which;
    int64_t count;
    int64_t* to;
    // kPass
    Plan* plan;
    Pass pass;
    // kDraw: to[i] of draws[i].
    const Draw* draws;
    int vocab;
};

int do_job(Team& team, const Job& job) {
    switch (job.kind) {
    case Job::kPick:
        for (int64_t i = 0; i < job.count; ++i) job.to[i] = job.from[job.which[i]];
        return kDone;
    case Job::kPass:
        team.resize(threads_for(pass_work(job.pass, *job.plan), job.threads));
        return run_pass(team, *job.level, *job.plan, job.pass);
    default:
        team.resize(threads_for(draw_work(job.count, job.vocab), job.threads));
        return draw(team, *job.level, job.count, job.draws, job.vocab, job.to) ? kDone : kNoMemory;
    }
}

using Clock = std::chrono::steady_clock;

class Queue {
public:
    Queue() : thread_([this] { work(); }) {}

    // What is queued is done first.
    ~Queue() {
        {
            const std::lock_guard<std::mutex> guard(lock_);
            ended_ = true;
        }
        added_.add(1);
        thread_.join();
    }

    // Its number, from 1; 0 when memory ran out.
    int64_t add(const Job& job) {
        try {
            const std::lock_guard<std::mutex> guard(lock_);
            jobs_.push_back(job);
        } catch (const std::exception&) {
            return 0;
        }
        added_.add(1);
        return ++num_added_;
    }

    // For the host: whether something that it added is not done yet.
    bool is_busy() const { return num_done_.load(std::memory_order_acquire) < num_added_; }

    // Of its thread, in all.
    int64_t idle_ns() const { return idle_ns_; }

    // Jobs that were done by who waited for them.
    int64_t num_taken() const { return num_taken_; }

    // Until job `number` is done: 0, or what the first that failed returned; then no work is left.
    int wait(int64_t number, int threads) {
        help(number, threads);
        if (failed_.load() == kDone) return kDone;
        help(num_added_, threads);
        return failed_.exchange(kDone);
    }

private:
    void help(int64_t number, int threads) {
        const auto over = [&] { return num_done_.load(std::memory_order_acquire) >= number; };
        while (!over() && take_one()) ++num_taken_;
        if (over()) return;
        if (threads <= 2) return team_.serve(over);
#pragma omp parallel num_threads(threads - 1)
        team_.serve(over);
    }

    void work() {
        for (;;) {
            const uint32_t seen = added_.now();
            {
                const std::lock_guard<std::mutex> turn(turn_);
                if (do_next([](const Job&) { return true; })) continue;
            }
            {
                const std::lock_guard<std::mutex> guard(lock_);
                if (ended_ && jobs_.empty()) return;
            }
            const auto begun = Clock::now();
            added_.await_other_than(seen);
            idle_ns_ += std::chrono::nanoseconds(Clock::now() - begun).count();
        }
    }

    // For the host: false where a job is being done, or is for several threads.
    bool take_one() {
        const std::unique_lock<std::mutex> turn(turn_, std::try_to_lock);
        return turn.owns_lock() && do_next([](const Job& job) {
                   return job.kind != Job::kPass || job.threads == 1;
               });
    }

    // Of who has `turn_`: do the job that is next, if there is one and it fits.
    template <class Fits>
    bool do_next(const Fits& fits) {
        std::unique_lock<std::mutex> guard(lock_);
        if (jobs_.empty() || !fits(jobs_.front())) return false;
        const Job job = jobs_.front();
        jobs_.pop_front();
        guard.unlock();
        if (failed_.load() == kDone)
            if (const int result = do_job(team_, job); result != kDone) failed_.store(result);
        num_done_.fetch_add(1, std::memory_order_release);
        team_.tell();
        return true;
    }

    Team team_{1};
    std::mutex turn_;  // to do a job, one at a time
    std::mutex lock_;
    std::deque<Job> jobs_;
    bool ended_ = false;
    Watched added_;
    int64_t num_added_ = 0, num_taken_ = 0;  // of the host's thread
    std::atomic<int64_t> num_done_{0};
    std::atomic<int> failed_{kDone};
    std::atomic<int64_t> idle_ns_{0};
    std::thread thread_;  // last: it uses all others
};

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// Null when there can be no other thread.
Queue* bl_queue_new() {
    try {
        return new Queue;
    } catch (const std::exception&) {
        return nullptr;
    }
}

// Waits for what is queued.
void bl_queue_delete(Queue* queue) { delete queue; }

// 0, or what the first work that failed since the last call returned: 1 for no memory, 2 for a token or
// position that there is not.
int bl_queue_wait(Queue* queue, int64_t number, int threads) { return queue->wait(number, threads); }

// Whether work is left or being done.
int bl_queue_is_busy(const Queue* queue) { return queue->is_busy(); }

// Nanoseconds for which there was nothing to do.
int64_t bl_queue_idle_ns(const Queue* queue) { return queue->idle_ns(); }

// Work that was done by who waited for it, as nobody else had begun.
int64_t bl_queue_num_taken(const Queue* queue) { return queue->num_taken(); }

// to[i] = from[which[i]]. This and the following return the number of the work, or 0 for no memory.
int64_t bl_queue_pick(Queue* queue, const int64_t* from, const int64_t* which, int64_t count,
                      int64_t* to) {
    Job job{};
    job.kind = Job::kPick;
    job.from = from;
    job.which = which;
    job.count = count;
    job.to = to;
    return queue->add(job);
}

// As bl_pass; the pass itself may be gone before it is done, not what it points to.
int64_t bl_queue_pass(Queue* queue, const Level* level, Plan* plan, const Pass* pass, int threads) {
    Job job{};
    job.kind = Job::kPass;
    job.level = level;
    job.plan = plan;
    job.pass = *pass;
    job.threads = threads;
    return queue->add(job);
}

// As bl_draw.
int64_t bl_queue_draw(Queue* queue, const Level* level, int64_t rows, const Draw* draws, int vocab,
                      int64_t* tokens, int threads) {
    Job job{};
    job.kind = Job::kDraw;
    job.level = level;
    job.count = rows;
    job.draws = draws;
    job.vocab = vocab;
    job.to = tokens;
    job.threads = threads;
    return queue->add(job);
}

}  // extern "C"
#pragma GCC visibility pop
