// Tests without a framework: TEST(name) { CHECK(...); } in any file; main.cc runs them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace checks {

struct Test {
  std::string_view name;
  void (*run)();
};

std::vector<Test>& tests();
// Says that the running test was not asked for.
void skip();
void record_failure(const char* file, int line, std::string_view what);

struct Registration {
  Registration(std::string_view name, void (*run)()) { tests().push_back({name, run}); }
};

// What the command line asked for.
struct Options {
  // --without-openssl: as in a process that exports none.
  bool with_openssl = true;
  // --large: also what takes gigabytes.
  bool large = false;
};
extern Options options;

// Reproducible bytes that look random (SplitMix64).
std::vector<uint8_t> noise(size_t size, uint64_t seed);

}  // namespace checks

#define TEST(name)                                           \
  static void name();                                        \
  static const checks::Registration name##_test(#name, name); \
  static void name()

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) checks::record_failure(__FILE__, __LINE__, #condition); \
  } while (false)

#define CHECK_THROWS(exception, expression)                                                    \
  do {                                                                                         \
    bool thrown = false;                                                                       \
    try {                                                                                      \
      static_cast<void>(expression);                                                           \
    } catch (const exception&) {                                                               \
      thrown = true;                                                                           \
    }                                                                                          \
    if (!thrown) checks::record_failure(__FILE__, __LINE__, #expression " throws " #exception); \
  } while (false)
