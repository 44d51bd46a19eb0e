#include "pool.h"

#include <algorithm>
#include <new>
#include <stdexcept>

#if defined(__linux__)
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <pthread.h>
#include <signal.h>
#endif

namespace cryptotensors {
namespace {

// The memory's bandwidth is used up long before there are this many.
constexpr unsigned max_threads = 64;

unsigned usable_cores() noexcept {
#if defined(__linux__)
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) == 0) return static_cast<unsigned>(CPU_COUNT(&cores));
#endif
  return std::thread::hardware_concurrency();
}

// Threads of the pool give way to the event loop, and leave signals to it.
void become_background_thread() noexcept {
#if defined(_WIN32)
  ::SetThreadPriority(::GetCurrentThread(), THREAD_PRIORITY_BELOW_NORMAL);
#else
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
#endif
#if defined(__linux__)
  ::pthread_setname_np(::pthread_self(), "cryptotensors");
  // On Linux a thread has a nice value of its own.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 10);
#elif defined(__APPLE__)
  ::pthread_setname_np("cryptotensors");
#endif
}

bool earlier(const Fault& a, const Fault& b) noexcept {
  return a.tensor >= 0 && b.tensor >= 0 && (a.tensor != b.tensor ? a.tensor < b.tensor : a.chunk < b.chunk);
}

}  // namespace

// Of several faults the first one counts, or the one of the lowest chunk.
void Job::fail(Fault fault) noexcept {
  const std::lock_guard lock(fault_mutex_);
  if (decided_) return;
  if (!fault_ || earlier(fault, fault_)) fault_ = std::move(fault);
  stopped_.store(true, std::memory_order_relaxed);
}

template <typename Step>
void Job::guarded(Step step) noexcept {
  try {
    step();
  } catch (const std::bad_alloc&) {
    fail({.code = Code::no_memory, .message = "there is not enough memory"});
  } catch (const std::exception& error) {
    fail({.code = Code::invalid, .message = error.what()});
  }
}

void Job::end() noexcept {
  Fault outcome;
  {
    const std::lock_guard lock(fault_mutex_);
    decided_ = true;
    outcome = std::move(fault_);
  }
  fault_ = finish(std::move(outcome));
}

Pool& Pool::instance() {
  static Pool* const pool = new Pool();
  return *pool;
}

unsigned Pool::size_locked() {
  if (size_ == 0) size_ = std::clamp(usable_cores(), 1U, max_threads);
  return size_;
}

void Pool::set_size(unsigned threads) {
  const std::lock_guard lock(mutex_);
  size_ = std::clamp(threads, 1U, max_threads);
}

unsigned Pool::size() {
  const std::lock_guard lock(mutex_);
  return size_locked();
}

void Pool::start(std::shared_ptr<Job> job) {
  const std::lock_guard lock(mutex_);
  wake(1);
  if (live_ == 0) throw std::runtime_error("the system gives this process no more threads");
  queue(std::move(job));
}

void Pool::run(std::shared_ptr<Job> job) {
  Lock lock(mutex_);
  // The only thing that can fail, and before anything was begun.
  std::unique_ptr<Worker> worker = borrow_worker(lock);
  // The caller plans by itself: for a single item no other thread needs to wake up.
  Task task;
  if (take(job, task)) perform(task, *worker, lock);
  if (job->phase_ == Job::Phase::running && job->items_ - job->next_ > 1 && job->thread_limit_ > 1) {
    try {
      queue(job);
      wake(job->items_ - job->next_ - 1);
    } catch (const std::bad_alloc&) {
      // The caller does all of it.
    }
  }
  while (job->phase_ != Job::Phase::ended) {
    if (take(job, task)) perform(task, *worker, lock);
    else job_ended_.wait(lock);
  }
  return_worker(std::move(worker), lock);
}

void Pool::stop(std::chrono::milliseconds patience) {
  Lock lock(mutex_);
  stopping_ = true;
  work_there_.notify_all();
  const bool all = thread_ended_.wait_for(lock, patience, [&] { return live_ == 0; });
  idle_workers_.clear();
  lock.unlock();
  for (std::thread& thread : threads_) {
    if (all) thread.join();
    else thread.detach();
  }
}

void Pool::queue(std::shared_ptr<Job> job) {
  jobs_.push_back(job);
  job->queued_ = true;
}

// Threads come to life when there is work that no sleeping one takes. One that was called for other work is not counted upon.
void Pool::wake(size_t tasks) noexcept {
  const auto called = static_cast<unsigned>(std::min<size_t>(tasks, sleeping_));
  sleeping_ -= called;
  called_ += called;
  for (unsigned i = 0; i < called; ++i) work_there_.notify_one();
  if (stopping_) return;
  try {
    for (size_t i = called; i < tasks && live_ < size_locked(); ++i) {
      threads_.emplace_back([this] { work(); });
      ++live_;
    }
  } catch (const std::exception&) {
    // The threads that there are do the work.
  }
}

void Pool::work() {
  become_background_thread();
  {
    Worker worker;
    Lock lock(mutex_);
    Task task;
    bool rested = true;
    while (!stopping_) {
      if (take_any(task)) {
        rested = false;
        perform(task, worker, lock);
        task.job.reset();
      } else if (!rested) {
        lock.unlock();
        worker.rest();
        rested = true;
        lock.lock();
      } else {
        ++sleeping_;
        work_there_.wait(lock, [this] { return called_ > 0 || stopping_; });
        if (called_ > 0) --called_;
        else --sleeping_;
      }
    }
  }
  const std::lock_guard lock(mutex_);
  --live_;
  thread_ended_.notify_all();
}

bool Pool::take_any(Task& task) {
  for (size_t i = jobs_.size(); i > 0; --i) {
    jobs_.push_back(std::move(jobs_.front()));
    jobs_.pop_front();
    if (take(jobs_.back(), task)) return true;
  }
  return false;
}

bool Pool::take(const std::shared_ptr<Job>& job, Task& task) {
  using Phase = Job::Phase;
  Job& j = *job;
  if (j.phase_ == Phase::waiting) {
    j.phase_ = Phase::planning;
    task = {job, Phase::planning, 0};
  } else if (j.phase_ == Phase::running && !j.stopped() && j.next_ < j.items_) {
    if (j.threads_ == j.thread_limit_) return false;
    task = {job, Phase::running, j.next_++};
  } else if (j.phase_ == Phase::running && j.threads_ == 0) {
    j.phase_ = Phase::finishing;
    task = {job, Phase::finishing, 0};
  } else {
    return false;
  }
  ++j.threads_;
  return true;
}

void Pool::perform(const Task& task, Worker& worker, Lock& lock) {
  using Phase = Job::Phase;
  Job& job = *task.job;
  size_t items = 0;
  lock.unlock();
  switch (task.phase) {
    case Phase::planning:
      if (!job.stopped()) job.guarded([&] { items = job.plan(worker); });
      break;
    case Phase::running:
      job.guarded([&] {
        if (Fault fault = job.run(task.item, worker)) job.fail(std::move(fault));
      });
      break;
    default:
      job.end();
      break;
  }
  lock.lock();
  --job.threads_;
  if (task.phase == Phase::planning) {
    job.items_ = items;
    job.phase_ = Phase::running;
    if (job.queued_ && items > 1) wake(std::min<size_t>(items, job.thread_limit_) - 1);
  }
  if (task.phase == Phase::finishing) {
    job.phase_ = Phase::ended;
    std::erase_if(jobs_, [&](const auto& other) { return other.get() == &job; });
    job_ended_.notify_all();
    if (job.on_end_) {
      lock.unlock();
      job.on_end_();
      lock.lock();
    }
    return;
  }
  // Whoever leaves last finishes at once, so that no other job comes in between.
  if (Task finish; (job.stopped() || job.next_ == job.items_) && job.threads_ == 0 && take(task.job, finish)) {
    perform(finish, worker, lock);
  }
}

std::unique_ptr<Worker> Pool::borrow_worker(Lock& lock) {
  if (!idle_workers_.empty()) {
    std::unique_ptr<Worker> worker = std::move(idle_workers_.back());
    idle_workers_.pop_back();
    return worker;
  }
  lock.unlock();
  auto worker = std::make_unique<Worker>();
  lock.lock();
  return worker;
}

void Pool::return_worker(std::unique_ptr<Worker> worker, Lock& lock) {
  lock.unlock();
  worker->rest();
  lock.lock();
  if (idle_workers_.size() < size_locked()) idle_workers_.push_back(std::move(worker));
}

}  // namespace cryptotensors
