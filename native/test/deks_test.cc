// Wrapping data keys.
#include "../core/deks.h"

#include <set>
#include <stdexcept>
#include <utility>

#include "check.h"

namespace cryptotensors {
namespace {

Secret unwrapped(std::variant<Secret, size_t> result) {
  CHECK(std::holds_alternative<Secret>(result));
  return std::holds_alternative<Secret>(result) ? std::get<Secret>(std::move(result)) : Secret();
}

}  // namespace

TEST(wrapped_deks_unwrap_with_every_provider) {
  for (const Algorithm algorithm : all_algorithms) {
    const size_t key = key_bytes(algorithm);
    const size_t row_bytes = wrapped_dek_bytes(algorithm);
    const Secret master = Secret::random(key);
    const Secret deks = Secret::random(50 * key);
    const std::vector<uint8_t> rows = wrap_deks(algorithm, master.span(), deks.span());
    CHECK(rows.size() == 50 * row_bytes);
    CHECK(equal_constant_time(unwrapped(unwrap_deks(algorithm, master.span(), rows)).span(), deks.span()));
    for (const Provider provider : all_providers) {
      if (!provider_supports(provider, algorithm)) continue;
      const auto context = make_context(provider, algorithm);
      context->set_key(master.span());
      for (size_t i = 0; i < 50; ++i) {
        const uint8_t* row = &rows[i * row_bytes];
        Iv iv;
        std::memcpy(iv.data(), row + key, iv_bytes);
        Secret dek(key);
        CHECK(context->open(iv, row, dek.data(), key, row + key + iv_bytes));
        CHECK(equal_constant_time(dek.span(), deks.span().subspan(i * key, key)));
      }
    }
  }
}

TEST(no_iv_wraps_two_deks) {
  const Secret master = Secret::random(32);
  const Secret same(32 * 1000);
  std::set<std::vector<uint8_t>> ivs;
  for (int round = 0; round < 3; ++round) {
    const std::vector<uint8_t> rows = wrap_deks(Algorithm::aes256gcm, master.span(), same.span());
    for (size_t at = 32; at < rows.size(); at += 60) ivs.emplace(rows.begin() + at, rows.begin() + at + iv_bytes);
  }
  CHECK(ivs.size() == 3000);
}

TEST(the_first_row_that_does_not_unwrap_is_named) {
  for (const Algorithm algorithm : all_algorithms) {
    const Secret master = Secret::random(key_bytes(algorithm));
    const Secret deks = Secret::random(4 * key_bytes(algorithm));
    const std::vector<uint8_t> rows = wrap_deks(algorithm, master.span(), deks.span());
    for (size_t bit = 0; bit < rows.size() * 8; ++bit) {
      std::vector<uint8_t> changed = rows;
      changed[bit / 8] = static_cast<uint8_t>(changed[bit / 8] ^ 1 << bit % 8);
      const auto result = unwrap_deks(algorithm, master.span(), changed);
      CHECK(std::holds_alternative<size_t>(result) &&
            std::get<size_t>(result) == bit / 8 / wrapped_dek_bytes(algorithm));
    }
    const auto result = unwrap_deks(algorithm, Secret::random(key_bytes(algorithm)).span(), rows);
    CHECK(std::holds_alternative<size_t>(result) && std::get<size_t>(result) == 0);
  }
}

TEST(a_hundred_thousand_deks_are_wrapped) {
  const Secret master = Secret::random(32);
  const Secret deks = Secret::random(100000 * 32);
  const std::vector<uint8_t> rows = wrap_deks(Algorithm::aes256gcm, master.span(), deks.span());
  CHECK(equal_constant_time(unwrapped(unwrap_deks(Algorithm::aes256gcm, master.span(), rows)).span(), deks.span()));
}

TEST(lengths_of_deks_are_checked) {
  const Secret master = Secret::random(32);
  const Secret other = Secret::random(16);
  CHECK(wrap_deks(Algorithm::aes256gcm, master.span(), {}).empty());
  CHECK(unwrapped(unwrap_deks(Algorithm::aes256gcm, master.span(), {})).size() == 0);
  CHECK_THROWS(std::invalid_argument, wrap_deks(Algorithm::aes256gcm, other.span(), master.span()));
  CHECK_THROWS(std::invalid_argument, wrap_deks(Algorithm::aes256gcm, master.span(), other.span()));
  CHECK_THROWS(std::invalid_argument, unwrap_deks(Algorithm::aes256gcm, other.span(), {}));
  const std::vector<uint8_t> part(59);
  CHECK_THROWS(std::invalid_argument, unwrap_deks(Algorithm::aes256gcm, master.span(), part));
}

}  // namespace cryptotensors
