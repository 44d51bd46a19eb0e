#include "../core/secret.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "check.h"

using namespace cryptotensors;

namespace {

bool all_zero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

TEST(secrets_are_aligned_zeroed_and_apart) {
  std::vector<Secret> secrets;
  for (const size_t size : {1, 16, 32, 63, 64, 65, 127, 128, 129, 640, 2048, 2049, 4096, 4097, 65536, 100000 * 32}) {
    for (int copy = 0; copy < 3; ++copy) {
      Secret& secret = secrets.emplace_back(size);
      CHECK(secret.size() == size);
      CHECK(reinterpret_cast<uintptr_t>(secret.data()) % Secret::alignment == 0);
      CHECK(all_zero(secret.span()));
      std::fill_n(secret.data(), size, static_cast<uint8_t>(secrets.size()));
    }
  }
  for (size_t i = 0; i < secrets.size(); ++i) {
    const auto expected = static_cast<uint8_t>(i + 1);
    const ByteSpan bytes = std::as_const(secrets[i]).span();
    CHECK(std::all_of(bytes.begin(), bytes.end(), [&](uint8_t byte) { return byte == expected; }));
  }
}

TEST(thousands_of_secrets_are_reused_zeroed) {
  for (int round = 0; round < 3; ++round) {
    std::vector<Secret> secrets;
    for (size_t i = 0; i < 5000; ++i) {
      Secret& secret = secrets.emplace_back(size_t{32});
      CHECK(all_zero(secret.span()));
      std::fill_n(secret.data(), 32, uint8_t{0xff});
    }
  }
}

TEST(a_released_secret_is_wiped) {
  const auto bytes = checks::noise(48, 2);
  // Small secrets share a slab that stays mapped, so what is left of them can be looked at.
  const uint8_t* place = nullptr;
  {
    const Secret secret{ByteSpan(bytes)};
    place = secret.data();
    CHECK(equal_constant_time(secret.span(), bytes));
  }
  CHECK(all_zero({place, bytes.size()}));

  Secret secret{ByteSpan(bytes)};
  place = secret.data();
  secret.reset();
  CHECK(all_zero({place, bytes.size()}));
  CHECK(secret.data() == nullptr && secret.size() == 0);
  secret.reset();
}

TEST(a_secret_moves_and_leaves_nothing) {
  const auto bytes = checks::noise(32, 3);
  Secret first{ByteSpan(bytes)};
  const uint8_t* place = first.data();
  Secret second(std::move(first));
  CHECK(second.data() == place && second.size() == 32);
  CHECK(first.data() == nullptr && first.size() == 0);  // NOLINT: what moving leaves is what is tested

  Secret third{ByteSpan(checks::noise(32, 4))};
  const uint8_t* replaced = third.data();
  third = std::move(second);
  CHECK(third.data() == place);
  CHECK(all_zero({replaced, 32}));
  Secret& same = third;
  third = std::move(same);
  CHECK(equal_constant_time(third.span(), bytes));
}

TEST(an_empty_secret_takes_nothing) {
  CHECK(Secret().data() == nullptr);
  CHECK(Secret(size_t{0}).data() == nullptr);
  CHECK(Secret(ByteSpan{}).size() == 0);
  CHECK(Secret::random(0).size() == 0);
}

TEST(impossible_sizes_are_refused) {
  CHECK_THROWS(std::bad_alloc, Secret(SIZE_MAX));
  CHECK_THROWS(std::bad_alloc, Secret(SIZE_MAX / 2));
}

TEST(random_secrets_differ) {
  const Secret a = Secret::random(32);
  const Secret b = Secret::random(32);
  CHECK(!all_zero(a.span()));
  CHECK(!equal_constant_time(a.span(), b.span()));
}

#if defined(__linux__)
namespace {

// The VmFlags that /proc/self/smaps has for the mapping that holds `address`.
std::string mapping_flags(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    char dash = 0;
    std::istringstream range(line);
    if (range >> std::hex >> begin >> dash >> end && dash == '-') inside = begin <= wanted && wanted < end;
    if (inside && line.starts_with("VmFlags:")) return line + " ";
  }
  return {};
}

}  // namespace

TEST(secrets_stay_out_of_core_dumps_and_of_children) {
  const Secret small(size_t{32});
  const Secret large(size_t{1} << 16);
  for (const Secret* secret : {&small, &large}) {
    const std::string flags = mapping_flags(secret->data());
    CHECK(flags.find(" dd ") != std::string::npos);
    CHECK(flags.find(" dc ") != std::string::npos);
  }
  // The guard pages: no readable mapping touches a secret's.
  const std::string after = mapping_flags(large.data() + large.size());
  CHECK(!after.empty() && after.find(" rd ") == std::string::npos);
  const std::string before = mapping_flags(large.data() - 1);
  CHECK(!before.empty() && before.find(" rd ") == std::string::npos);
}
#endif
