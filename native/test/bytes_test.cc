#include "../core/bytes.h"

#include <algorithm>

#include "check.h"

using namespace cryptotensors;

TEST(bytes_are_loaded_and_stored_in_a_fixed_order) {
  constexpr auto bytes = hex("0123456789abcdef");
  CHECK(load_be32(bytes.data()) == 0x01234567);
  CHECK(load_be64(bytes.data()) == 0x0123456789abcdef);
  CHECK(load_le32(bytes.data()) == 0x67452301);
  CHECK(load_le64(bytes.data()) == 0xefcdab8967452301);

  std::array<uint8_t, 8> stored{};
  store_le64(stored.data(), 0xefcdab8967452301);
  CHECK(stored == bytes);
  store_be32(stored.data(), 0xdeadbeef);
  CHECK(load_be32(stored.data()) == 0xdeadbeef);
  store_le32(stored.data(), 0xdeadbeef);
  CHECK(load_be32(stored.data()) == 0xefbeadde);
}

TEST(sums_and_products_that_do_not_fit_are_empty) {
  constexpr uint64_t largest = UINT64_MAX;
  CHECK(checked_add(largest, 0) == largest);
  CHECK(checked_add(largest - 1, 1) == largest);
  CHECK(!checked_add(largest, 1));
  CHECK(!checked_add(1, largest));
  CHECK(checked_mul(0, largest) == uint64_t{0});
  CHECK(checked_mul(largest, 0) == uint64_t{0});
  CHECK(checked_mul(largest, 1) == largest);
  CHECK(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1) == ((uint64_t{1} << 32) - 1) << 32);
  CHECK(!checked_mul(uint64_t{1} << 32, uint64_t{1} << 32));
  CHECK(!checked_mul(largest, 2));
}

TEST(wipe_leaves_zeros_and_nothing_beyond) {
  std::vector<uint8_t> bytes(100, 0xff);
  wipe(bytes.data() + 1, 98);
  CHECK(bytes.front() == 0xff && bytes.back() == 0xff);
  CHECK(std::count(bytes.begin(), bytes.end(), 0) == 98);
  wipe(nullptr, 0);
}

TEST(constant_time_comparison_sees_every_byte) {
  const auto bytes = checks::noise(67, 1);
  CHECK(equal_constant_time(bytes, bytes));
  CHECK(equal_constant_time({}, {}));
  CHECK(!equal_constant_time(bytes, ByteSpan(bytes).first(66)));
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto other = bytes;
    other[i] ^= 0x80;
    CHECK(!equal_constant_time(bytes, other));
  }
}
