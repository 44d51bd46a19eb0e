// A job as JavaScript has it in hand, and what it needs of JavaScript's meanwhile.
#pragma once

#include <functional>
#include <initializer_list>

#include "../core/pool.h"
#include "handles.h"

namespace cryptotensors::binding {

// Belongs to its environment's thread.
class PendingJob {
 public:
  // Makes what a successful job resolves to.
  using Result = std::function<Napi::Value(Napi::Env)>;

  PendingJob(std::shared_ptr<Job> job, Result result) : job(std::move(job)), result_(std::move(result)) {}

  // The result of a job that has ended, or its fault thrown as a Napi::Error.
  Napi::Value outcome(Napi::Env env) const;

  const std::shared_ptr<Job> job;
  // Keeps what the job works on from being collected.
  Napi::Reference<Napi::Array> memory;
  napi_deferred deferred = nullptr;
  bool used = false;

 private:
  const Result result_;
};

// A handle of a new job. `memory`: typed arrays that it works on, and handles that may refer to such.
Napi::Value make_job(Napi::Env env, std::shared_ptr<Job> job, PendingJob::Result result,
                     std::initializer_list<Napi::Value> memory);

// For jobs that resolve to nothing.
Napi::Value nothing(Napi::Env env);

}  // namespace cryptotensors::binding
