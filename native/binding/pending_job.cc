#include "pending_job.h"

namespace cryptotensors::binding {
namespace {

// A handle does not keep its memory when it is closed, but the job still needs it.
template <typename T>
Napi::Value memory_of(const Napi::Value& value) {
  bool matches = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(value.Env(), value, &HandleType<T>::tag, &matches) != napi_ok || !matches ||
      napi_unwrap(value.Env(), value, &data) != napi_ok) {
    return {};
  }
  const auto& memory = static_cast<Handle<T>*>(data)->memory;
  return memory.IsEmpty() ? Napi::Value() : memory.Value();
}

}  // namespace

Napi::Value PendingJob::outcome(Napi::Env env) const {
  if (job->fault()) throw to_error(env, job->fault());
  return result_(env);
}

Napi::Value make_job(Napi::Env env, std::shared_ptr<Job> job, PendingJob::Result result,
                     std::initializer_list<Napi::Value> memory) {
  Napi::Array kept = Napi::Array::New(env);
  for (const Napi::Value& value : memory) {
    kept.Set(kept.Length(), value);
    for (const Napi::Value& behind : {memory_of<Source>(value), memory_of<Sink>(value)}) {
      if (!behind.IsEmpty()) kept.Set(kept.Length(), behind);
    }
  }
  auto pending = std::make_shared<PendingJob>(std::move(job), std::move(result));
  pending->memory = Napi::Reference<Napi::Array>::New(kept, 1);
  return make_handle(env, std::move(pending));
}

Napi::Value nothing(Napi::Env env) { return env.Undefined(); }

}  // namespace cryptotensors::binding
