#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

#include "check.h"

namespace checks {

Options options;

namespace {
std::atomic<int> failures = 0;
bool skipped = false;
}

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void record_failure(const char* file, int line, std::string_view what) {
  // The first few say enough; a broken loop would say the same thousands of times.
  if (++failures <= 20) std::fprintf(stderr, "%s:%d: %.*s\n", file, line, static_cast<int>(what.size()), what.data());
}

void skip() { skipped = true; }

std::vector<uint8_t> noise(size_t size, uint64_t seed) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; i += 8) {
    uint64_t z = (seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    for (size_t j = i; j < size && j < i + 8; ++j, z >>= 8) bytes[j] = static_cast<uint8_t>(z);
  }
  return bytes;
}

namespace {

// Stands in for the host process, which exports its OpenSSL to the addon.
bool export_openssl() {
#if defined(_WIN32)
  return false;
#else
  for (const char* name : {"libcrypto.so.3", "libcrypto.3.dylib"}) {
    if (dlopen(name, RTLD_NOW | RTLD_GLOBAL) != nullptr) return true;
  }
  return false;
#endif
}

int run(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--without-openssl") == 0) {
      options.with_openssl = false;
    } else if (std::strcmp(argv[i], "--large") == 0) {
      options.large = true;
    } else {
      std::fprintf(stderr, "usage: %s [--without-openssl] [--large]\n", argv[0]);
      return 2;
    }
  }
  if (options.with_openssl && !export_openssl()) {
    std::fprintf(stderr, "libcrypto of OpenSSL 3 was not found: install it, or pass --without-openssl\n");
    return 2;
  }
  for (const Test& test : tests()) {
    const int before = failures;
    skipped = false;
    try {
      test.run();
    } catch (const std::exception& error) {
      record_failure(test.name.data(), 0, error.what());
    }
    std::printf("%s %s\n", failures != before ? "FAIL" : skipped ? "skip" : "ok  ", test.name.data());
  }
  std::printf("%zu tests%s, %d failed checks\n", tests().size(), options.with_openssl ? "" : " without OpenSSL",
              failures.load());
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace checks

int main(int argc, char** argv) { return checks::run(argc, argv); }
