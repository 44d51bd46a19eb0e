// One JavaScript environment (the main thread's or a worker's): the jobs it has started, how their outcomes get back to
// its thread, and how they end before it does.
#pragma once

#include <condition_variable>
#include <mutex>
#include <unordered_map>

#include "pending_job.h"

namespace cryptotensors::binding {

// Lives on the environment's thread, but for `ended`.
class Environment : public std::enable_shared_from_this<Environment> {
 public:
  // To be called once per environment, before anything else.
  static void set_up(Napi::Env env);
  static Environment& of(Napi::Env env);

  // Withdraws the publication, if it is still there, when the environment goes.
  void keep(const std::shared_ptr<Publication>& publication);
  // A promise of the job's outcome. If it throws, the job has not begun.
  Napi::Value start(Napi::Env env, const std::shared_ptr<PendingJob>& pending);

 private:
  using Shared = std::shared_ptr<Environment>;

  void begin(const std::shared_ptr<PendingJob>& pending);
  void ended(PendingJob& pending) noexcept;
  void deliver(Napi::Env env);
  void close() noexcept;

  // Calls `deliver` on the environment's thread. Keeps the event loop alive while there are jobs.
  napi_threadsafe_function wake_ = nullptr;
  std::unordered_map<PendingJob*, std::shared_ptr<PendingJob>> started_;
  std::vector<std::weak_ptr<Publication>> published_;

  // What pool threads touch.
  std::mutex mutex_;
  std::condition_variable all_ended_;
  size_t running_ = 0;
  std::vector<PendingJob*> ended_;
  bool closed_ = false;
};

}  // namespace cryptotensors::binding
