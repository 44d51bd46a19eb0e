// Which provider serves which algorithm (declared in aead.h). No provider wins everywhere: it depends on the algorithm,
// the CPU and the version of OpenSSL.
#include <algorithm>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "aead.h"
#include "aead_provider.h"
#include "cryptotensors_aead.h"

namespace cryptotensors {
namespace {

// The best of a few rounds, taken in turns, so that a moment's noise hits every provider. 256 KiB stays in the cache,
// as a chunk that was just read does.
constexpr size_t timed_bytes = size_t{256} << 10;
constexpr int timed_rounds = 8;

using Speeds = std::array<double, all_providers.size()>;

struct Choice {
  Provider provider;
  Speeds gigabytes_per_second{};
};

struct State {
  std::mutex mutex;
  std::optional<Provider> forced;
  std::array<std::optional<Choice>, all_algorithms.size()> choices;
};

State& state() {
  static State instance;
  return instance;
}

constexpr size_t index_of(Provider provider) noexcept { return static_cast<size_t>(provider); }
constexpr size_t index_of(Algorithm algorithm) noexcept { return static_cast<size_t>(algorithm); }

class Timing {
 public:
  Timing(Provider provider, Algorithm algorithm) : provider_(provider), context_(make_context(provider, algorithm)) {
    const std::array<uint8_t, 32> key{};
    context_->set_key(ByteSpan(key).first(key_bytes(algorithm)));
  }

  // As a job would use the provider: in place, or from one buffer to another. The key and the data mean nothing.
  void run_once(std::vector<uint8_t>& from, std::vector<uint8_t>& to) {
    Tag tag;
    uint8_t* out = prefers_in_place(provider_) ? from.data() : to.data();
    const auto start = std::chrono::steady_clock::now();
    context_->seal(Iv{}, from.data(), out, from.size(), tag.data());
    const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
    best_nanoseconds_ = std::min(best_nanoseconds_, elapsed.count());
  }

  Provider provider() const noexcept { return provider_; }
  double gigabytes_per_second() const noexcept { return timed_bytes / std::max(best_nanoseconds_, 1.0); }

 private:
  Provider provider_;
  std::unique_ptr<AeadContext> context_;
  double best_nanoseconds_ = 1e18;
};

Choice fastest(const std::vector<Provider>& candidates, Algorithm algorithm) {
  std::vector<Timing> timings;
  for (const Provider provider : candidates) timings.emplace_back(provider, algorithm);
  std::vector<uint8_t> from(timed_bytes);
  std::vector<uint8_t> to(timed_bytes);
  for (int round = 0; round < timed_rounds; ++round) {
    for (Timing& timing : timings) timing.run_once(from, to);
  }
  Choice choice{.provider = candidates.front()};
  for (const Timing& timing : timings) {
    choice.gigabytes_per_second[index_of(timing.provider())] = timing.gigabytes_per_second();
  }
  for (const Provider provider : candidates) {
    if (choice.gigabytes_per_second[index_of(provider)] > choice.gigabytes_per_second[index_of(choice.provider)]) {
      choice.provider = provider;
    }
  }
  return choice;
}

Choice choose(Algorithm algorithm) {
  std::vector<Provider> candidates;
  for (const Provider provider : all_providers) {
    if (provider_supports(provider, algorithm) && passes_known_answers(provider, algorithm)) {
      candidates.push_back(provider);
    }
  }
  if (candidates.empty()) {
    throw std::runtime_error(std::string("no provider gives the known answers for ") + algorithm_name(algorithm));
  }
  if (candidates.size() == 1) return {.provider = candidates.front()};
  return fastest(candidates, algorithm);
}

}  // namespace

Provider chosen_provider(Algorithm algorithm) {
  State& shared = state();
  const std::lock_guard lock(shared.mutex);
  if (shared.forced && provider_supports(*shared.forced, algorithm)) return *shared.forced;
  std::optional<Choice>& choice = shared.choices[index_of(algorithm)];
  if (!choice) choice = choose(algorithm);
  return choice->provider;
}

void force_provider(std::optional<Provider> provider) {
  if (provider && std::none_of(all_algorithms.begin(), all_algorithms.end(), [&](Algorithm algorithm) {
        return provider_supports(*provider, algorithm);
      })) {
    throw std::runtime_error(std::string(provider_name(*provider)) + " was asked for, but this process has none");
  }
  State& shared = state();
  const std::lock_guard lock(shared.mutex);
  shared.forced = provider;
}

ProviderInfo provider_info() {
  ProviderInfo info;
  info.openssl = openssl::version();
  info.ring = cryptotensors_ring_version();
  info.blake3 = cryptotensors_blake3_version();
  State& shared = state();
  const std::lock_guard lock(shared.mutex);
  for (const Algorithm algorithm : all_algorithms) {
    if (const auto& choice = shared.choices[index_of(algorithm)]) {
      info.gigabytes_per_second[index_of(algorithm)] = choice->gigabytes_per_second;
    }
  }
  return info;
}

}  // namespace cryptotensors
