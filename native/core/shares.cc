#include "shares.h"

#include <map>
#include <mutex>

#include "secret.h"

namespace cryptotensors {
namespace {

constexpr size_t token_bytes = 16;

struct Registry {
  std::mutex mutex;
  std::map<std::string, Share, std::less<>> shares;
};

// Never destroyed: at exit other threads may still be in it.
Registry& registry() {
  static Registry* const registry = new Registry();
  return *registry;
}

std::string random_token() {
  std::array<uint8_t, token_bytes> random;
  random_bytes(random);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string token;
  for (const uint8_t byte : random) {
    token += digits[byte >> 4];
    token += digits[byte & 15];
  }
  return token;
}

}  // namespace

Publication::Publication(Share share) : token_(random_token()) {
  const std::lock_guard lock(registry().mutex);
  registry().shares.emplace(token_, std::move(share));
}

Share find_share(std::string_view token) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().shares.find(token);
  return found == registry().shares.end() ? Share{} : found->second;
}

void Publication::withdraw() const noexcept {
  // Taken out under the lock, let go of after it: closing a file can take a while.
  Share last;
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().shares.find(token_);
  if (found == registry().shares.end()) return;
  last = std::move(found->second);
  registry().shares.erase(found);
}

}  // namespace cryptotensors
