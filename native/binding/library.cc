#include "library.h"

#include <cstdlib>

#include "../core/pool.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace cryptotensors::binding {

void stay_loaded() noexcept {
#if defined(_WIN32)
  HMODULE self = nullptr;
  ::GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                       reinterpret_cast<LPCWSTR>(&stay_loaded), &self);
#else
  Dl_info self{};
  if (::dladdr(reinterpret_cast<const void*>(&stay_loaded), &self) != 0) {
    ::dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  }
#endif
}

void stop_threads_at_exit() noexcept {
#if !defined(_WIN32)
  // On Windows the other threads are gone by the time that a library's exit handlers run.
  std::atexit([] { Pool::instance().stop(std::chrono::seconds(2)); });
#endif
}

}  // namespace cryptotensors::binding
