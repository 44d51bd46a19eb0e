#include "pending_job.h"

namespace cryptotensors::binding {

Napi::Value PendingJob::outcome(Napi::Env env) const {
  if (job->fault()) throw to_error(env, job->fault());
  return result_(env);
}

Napi::Value make_job(Napi::Env env, std::shared_ptr<Job> job, PendingJob::Result result, std::vector<Held> memory) {
  auto pending = std::make_shared<PendingJob>(std::move(job), std::move(result));
  pending->memory = std::move(memory);
  return make_handle(env, std::move(pending));
}

Napi::Value nothing(Napi::Env env) { return env.Undefined(); }

}  // namespace cryptotensors::binding
