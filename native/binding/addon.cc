// The addon: checks itself, then exports its functions, once per environment.
#include <cstdlib>

#include "../core/self_test.h"
#include "environment.h"
#include "exports.h"
#include "library.h"

namespace cryptotensors::binding {
namespace {

// Once per process, at the first environment. Empty, or what is wrong.
const std::string& set_up_process() {
  static const std::string problem = [] {
    stay_loaded();
    stop_threads_at_exit();
    return self_test();
  }();
  return problem;
}

Napi::Object set_up(Napi::Env env, Napi::Object exports) {
  if (const std::string& problem = set_up_process(); !problem.empty()) {
    throw Napi::Error::New(env, "the self-test failed: " + problem);
  }
  Environment::set_up(env);
  export_agreement(exports);
  export_crypto(exports);
  export_deks(exports);
  export_files(exports);
  export_jobs(exports);
  export_memory(exports);
  export_secrets(exports);
  export_shares(exports);
  export_tables(exports);
  return exports;
}

}  // namespace
}  // namespace cryptotensors::binding

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return cryptotensors::binding::set_up(env, exports); }

NODE_API_MODULE(cryptotensors, Init)
