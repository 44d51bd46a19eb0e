// One pool of threads for the process, and the jobs that they share.
//
// A job is a whole request, cut into items. Threads take one item at a time, from each active job in turn, so that a small
// read does not wait for a large one.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "error.h"
#include "worker.h"

namespace cryptotensors {

class Job {
 public:
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Ends the job with Code::aborted, once the items under way have ended.
  void cancel() { fail({.code = Code::aborted, .message = "The operation was aborted"}); }
  // For progress: bytes done so far and in all (0 until the job has been planned).
  uint64_t done() const noexcept { return done_.load(std::memory_order_relaxed); }
  uint64_t total() const noexcept { return total_.load(std::memory_order_relaxed); }
  // The outcome, once the job has ended.
  const Fault& fault() const noexcept { return fault_; }
  // Called when the job has ended and no thread touches what it works on any more. To be set before the job is started.
  void on_end(std::function<void()> callback) { on_end_ = std::move(callback); }

 protected:
  // `threads`: how many may work on it at a time; 0 for any number.
  explicit Job(unsigned threads) noexcept : thread_limit_(threads == 0 ? ~0U : threads) {}

  // In this order, on any thread: `plan` once, unless the job was cancelled before; `run` for each item below the number
  // that `plan` returned, concurrently, until one fails; `finish` once, with the outcome so far, to clean up after a
  // failure and to say what the outcome is. What the first two throw becomes a fault.
  virtual size_t plan(Worker& worker) = 0;
  virtual Fault run(size_t item, Worker& worker) = 0;
  virtual Fault finish(Fault fault) noexcept { return fault; }

  void set_total(uint64_t bytes) noexcept { total_.store(bytes, std::memory_order_relaxed); }
  // How many items were taken up, from the first on. For `finish`: nobody takes one any more.
  size_t taken() const noexcept { return next_; }
  void add_done(uint64_t bytes) noexcept { done_.fetch_add(bytes, std::memory_order_relaxed); }
  // Whether an item under way may as well stop.
  bool stopped() const noexcept { return stopped_.load(std::memory_order_relaxed); }

 private:
  friend class Pool;
  enum class Phase : uint8_t { waiting, planning, running, finishing, ended };

  void fail(Fault fault) noexcept;
  template <typename Step>
  void guarded(Step step) noexcept;
  void end() noexcept;

  const unsigned thread_limit_;
  std::function<void()> on_end_;
  std::atomic<bool> stopped_ = false;
  std::atomic<uint64_t> done_ = 0, total_ = 0;
  std::mutex fault_mutex_;
  Fault fault_;
  // The outcome stands: a later cancel() changes nothing.
  bool decided_ = false;

  // Guarded by the pool's mutex.
  Phase phase_ = Phase::waiting;
  size_t items_ = 0, next_ = 0;
  unsigned threads_ = 0;
  // Whether the pool's threads may take it; else only the caller of Pool::run.
  bool queued_ = false;
};

// `count` calls of a function.
class FunctionJob final : public Job {
 public:
  FunctionJob(size_t count, std::function<Fault(size_t)> function)
      : Job(0), count_(count), function_(std::move(function)) {}

 protected:
  size_t plan(Worker&) override { return count_; }
  Fault run(size_t item, Worker&) override { return function_(item); }
  // What the function holds is let go of when the job ends.
  Fault finish(Fault fault) noexcept override {
    function_ = nullptr;
    return fault;
  }

 private:
  const size_t count_;
  std::function<Fault(size_t)> function_;
};

class Pool {
 public:
  // The process's pool. It is never destroyed: at exit its threads may still be in it.
  static Pool& instance();

  // Threads to have at the most; at first as many as the process may use cores. Applies to threads started from now on.
  void set_size(unsigned threads);
  unsigned size();

  // Works on the job on the pool's threads. Throws std::runtime_error if no thread can be had.
  void start(std::shared_ptr<Job> job);
  // The same, with the calling thread's help; returns when the job has ended.
  void run(std::shared_ptr<Job> job);

  // For the process's exit: lets the items under way end, takes up no more, and joins the threads, unless that takes
  // longer than `patience`. Jobs that have not ended stay so.
  void stop(std::chrono::milliseconds patience);

 private:
  // Something to do for a job: to plan it, to run an item of it, or to finish it.
  struct Task {
    std::shared_ptr<Job> job;
    Job::Phase phase = Job::Phase::waiting;
    size_t item = 0;
  };
  using Lock = std::unique_lock<std::mutex>;

  Pool() = default;
  void work();
  // All below need the mutex; those that let go of it meanwhile are given the lock.
  unsigned size_locked();
  bool take(const std::shared_ptr<Job>& job, Task& task);
  bool take_any(Task& task);
  void perform(const Task& task, Worker& worker, Lock& lock);
  void queue(std::shared_ptr<Job> job);
  void wake(size_t tasks) noexcept;
  std::unique_ptr<Worker> borrow_worker(Lock& lock);
  void return_worker(std::unique_ptr<Worker> worker, Lock& lock);

  std::mutex mutex_;
  std::condition_variable work_there_, job_ended_, thread_ended_;
  // In turn: a job that was served goes to the end.
  std::deque<std::shared_ptr<Job>> jobs_;
  std::vector<std::thread> threads_;
  std::vector<std::unique_ptr<Worker>> idle_workers_;
  // 0: not determined yet.
  unsigned size_ = 0;
  // `called_`: sleepers that were told to wake up and have not done so yet; they are no longer counted in `sleeping_`.
  unsigned live_ = 0, sleeping_ = 0, called_ = 0;
  bool stopping_ = false;
};

}  // namespace cryptotensors
