#include "environment.h"

namespace cryptotensors::binding {
namespace {

void check(Napi::Env env, napi_status status) {
  if (status != napi_ok) throw Napi::Error::New(env);
}

void settle(Napi::Env env, const PendingJob& pending) {
  napi_value value = nullptr;
  try {
    value = pending.outcome(env);
  } catch (const Napi::Error& error) {
    napi_reject_deferred(env, pending.deferred, error.Value());
    return;
  }
  napi_resolve_deferred(env, pending.deferred, value);
}

}  // namespace

void Environment::set_up(Napi::Env env) {
  auto self = std::make_unique<Shared>(std::make_shared<Environment>());
  Environment& environment = **self;
  const auto forget = [](napi_env, void* shared, void*) { delete static_cast<Shared*>(shared); };

  const auto call = [](napi_env env, napi_value, void* context, void*) {
    // Without an environment the queue is only being emptied.
    if (env != nullptr) (*static_cast<Shared*>(context))->deliver(env);
  };
  auto context = std::make_unique<Shared>(*self);
  check(env, napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "cryptotensors"), 0, 1,
                                             context.get(), forget, context.get(), call, &environment.wake_));
  context.release();
  check(env, napi_unref_threadsafe_function(env, environment.wake_));
  // Hooks run in reverse order: this one before the one that takes the function above away.
  check(env, napi_add_env_cleanup_hook(env, [](void* e) { static_cast<Environment*>(e)->close(); }, &environment));
  check(env, napi_set_instance_data(env, self.get(), forget, nullptr));
  self.release();
}

Environment& Environment::of(Napi::Env env) {
  void* shared = nullptr;
  check(env, napi_get_instance_data(env, &shared));
  return **static_cast<Shared*>(shared);
}

void Environment::keep(const std::shared_ptr<Publication>& publication) {
  std::erase_if(published_, [](const std::weak_ptr<Publication>& past) { return past.expired(); });
  published_.push_back(publication);
}

Napi::Value Environment::start(Napi::Env env, const std::shared_ptr<PendingJob>& pending) {
  napi_value promise = nullptr;
  check(env, napi_create_promise(env, &pending->deferred, &promise));
  if (started_.empty()) check(env, napi_ref_threadsafe_function(env, wake_));
  try {
    begin(pending);
  } catch (const std::exception&) {
    started_.erase(pending.get());
    if (started_.empty()) napi_unref_threadsafe_function(env, wake_);
    // Nobody has the promise, but it must be settled to be freed.
    napi_resolve_deferred(env, pending->deferred, env.Undefined());
    throw;
  }
  return {env, promise};
}

// The job is counted last, when nothing but the pool can fail any more: one that was counted and never began would have
// `close` wait for it for ever.
void Environment::begin(const std::shared_ptr<PendingJob>& pending) {
  started_.emplace(pending.get(), pending);
  pending->job->on_end([self = shared_from_this(), &pending = *pending] { self->ended(pending); });
  {
    const std::lock_guard lock(mutex_);
    ended_.reserve(running_ + 1);
    ++running_;
  }
  try {
    Pool::instance().start(pending->job);
  } catch (const std::exception&) {
    // No thread could be had: the work is done here rather than not at all.
    try {
      Pool::instance().run(pending->job);
    } catch (const std::exception&) {
      const std::lock_guard lock(mutex_);
      --running_;
      throw;
    }
  }
}

// On a pool thread, as the last thing that it does for the job.
void Environment::ended(PendingJob& pending) noexcept {
  const std::lock_guard lock(mutex_);
  ended_.push_back(&pending);
  // One call delivers all that have ended by then.
  if (!closed_ && ended_.size() == 1) napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
  if (--running_ == 0) all_ended_.notify_all();
}

void Environment::deliver(Napi::Env env) {
  std::vector<PendingJob*> ended;
  {
    const std::lock_guard lock(mutex_);
    ended.swap(ended_);
    ended_.reserve(running_);
  }
  for (PendingJob* job : ended) {
    const Napi::HandleScope scope(env);
    const std::shared_ptr<PendingJob> pending = std::move(started_.extract(job).mapped());
    pending->memory.clear();
    try {
      settle(env, *pending);
    } catch (const std::exception&) {
      // The environment is being torn down: nobody waits for the promise any more.
    }
  }
  if (started_.empty()) napi_unref_threadsafe_function(env, wake_);
}

// The environment is going away: its memory must not be touched any more once this has returned.
void Environment::close() noexcept {
  // Not every runtime collects the handles of a worker that ends.
  for (const std::weak_ptr<Publication>& published : published_) {
    if (const auto publication = published.lock()) publication->withdraw();
  }
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (const auto& [key, pending] : started_) pending->job->cancel();
  std::unique_lock lock(mutex_);
  all_ended_.wait(lock, [&] { return running_ == 0; });
  started_.clear();
}

}  // namespace cryptotensors::binding
