// A job as JavaScript has it in hand, and what it needs of JavaScript's meanwhile.
#pragma once

#include <functional>

#include "../core/pool.h"
#include "handles.h"

namespace cryptotensors::binding {

// Belongs to its environment's thread.
class PendingJob {
 public:
  // Makes what a successful job resolves to.
  using Result = std::function<Napi::Value(Napi::Env)>;

  PendingJob(std::shared_ptr<Job> job, Result result) : job(std::move(job)), result_(std::move(result)) {}

  // To be called right before the job begins: throws Code::detached if what it works on is not there any more.
  void check_memory() const {
    for (const Held& held : memory) {
      if (held) held->check();
    }
  }
  // The result of a job that has ended, or its fault thrown as a Napi::Error.
  Napi::Value outcome(Napi::Env env) const;

  const std::shared_ptr<Job> job;
  // What the job works on: kept from being collected, also when a handle that pointed there is closed.
  std::vector<Held> memory;
  napi_deferred deferred = nullptr;
  bool used = false;

 private:
  const Result result_;
};

// A handle of a new job. `memory`: what it works on, as far as that is JavaScript's.
Napi::Value make_job(Napi::Env env, std::shared_ptr<Job> job, PendingJob::Result result, std::vector<Held> memory);

// For jobs that resolve to nothing.
Napi::Value nothing(Napi::Env env);

}  // namespace cryptotensors::binding
