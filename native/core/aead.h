// Authenticated encryption: one interface, two providers (the host process's OpenSSL, and ring).
//
// The additional data is empty everywhere (FORMAT.md §2). Whoever seals sees to it that no IV repeats under one key.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "bytes.h"

namespace cryptotensors {

enum class Algorithm : uint8_t { aes128gcm, aes256gcm, chacha20poly1305 };
inline constexpr std::array all_algorithms{Algorithm::aes128gcm, Algorithm::aes256gcm, Algorithm::chacha20poly1305};

enum class Provider : uint8_t { openssl, ring };
inline constexpr std::array all_providers{Provider::openssl, Provider::ring};

inline constexpr size_t iv_bytes = 12;
inline constexpr size_t tag_bytes = 16;

using Iv = std::array<uint8_t, iv_bytes>;
using Tag = std::array<uint8_t, tag_bytes>;

constexpr size_t key_bytes(Algorithm algorithm) noexcept { return algorithm == Algorithm::aes128gcm ? 16 : 32; }

// The longest message that the algorithm's 32-bit block counter allows (NIST SP 800-38D §5.2.1.1, RFC 8439 §2.8).
constexpr uint64_t max_message_bytes(Algorithm algorithm) noexcept {
  return algorithm == Algorithm::chacha20poly1305 ? ((uint64_t{1} << 32) - 1) * 64 : (uint64_t{1} << 36) - 32;
}

// The format's own names: aes128gcm, aes256gcm, chacha20poly1305.
const char* algorithm_name(Algorithm algorithm) noexcept;
// openssl, ring.
const char* provider_name(Provider provider) noexcept;

// One per thread and algorithm, reused from key to key. The key schedule is wiped on destruction, by `clear_key`, and
// when the next key takes its place.
class AeadContext {
 public:
  virtual ~AeadContext() = default;
  AeadContext(const AeadContext&) = delete;
  AeadContext& operator=(const AeadContext&) = delete;

  Algorithm algorithm() const noexcept { return algorithm_; }

  // Throws std::invalid_argument if the key's length is not key_bytes(algorithm()).
  void set_key(ByteSpan key);
  // Forgets the key. To be called when a thread goes idle, so that no key outlives its job.
  void clear_key() noexcept;

  // Verifies and decrypts `length` bytes. `in` and `out` are the same or do not overlap. When the tag is wrong (or no
  // key is set, or the message is too long) it returns false and `out` has been wiped.
  bool open(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, const uint8_t tag[tag_bytes]) noexcept;
  // Encrypts. Throws std::invalid_argument without a key or for too long a message, std::runtime_error if the provider
  // fails; `out` has then been wiped.
  void seal(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, uint8_t tag[tag_bytes]);

 protected:
  explicit AeadContext(Algorithm algorithm) noexcept : algorithm_(algorithm) {}

 private:
  // What a provider does. Arguments have been checked. False on any failure; `out` may then hold anything.
  virtual bool do_set_key(const uint8_t* key) noexcept = 0;
  virtual void do_clear_key() noexcept = 0;
  virtual bool do_open(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, const uint8_t* tag) noexcept = 0;
  virtual bool do_seal(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, uint8_t* tag) noexcept = 0;

  const Algorithm algorithm_;
  bool has_key_ = false;
};

// ring supports every algorithm. OpenSSL those that the process's own library has, none where it exports no OpenSSL 3.
bool provider_supports(Provider provider, Algorithm algorithm);
// Throws std::runtime_error if the provider does not support the algorithm.
std::unique_ptr<AeadContext> make_context(Provider provider, Algorithm algorithm);

// How a provider wants to be fed when opening a file. ring works in place: read into the destination, decrypt it there.
// OpenSSL is faster from one buffer to another: read into a buffer that stays in the cache, decrypt to the destination.
constexpr bool prefers_in_place(Provider provider) noexcept { return provider == Provider::ring; }

// Whether the provider gives the known answers for the algorithm, both ways, and refuses a wrong tag.
bool passes_known_answers(Provider provider, Algorithm algorithm);

// Which provider serves the algorithm: the forced one if it supports it, else the fastest of those that pass the known
// answers, timed for a few milliseconds at the first call. Thread-safe. Throws std::runtime_error if none passes.
Provider chosen_provider(Algorithm algorithm);

// Forces a provider for whatever it supports, or none (nullopt). Throws std::runtime_error if it supports nothing here.
void force_provider(std::optional<Provider> provider);

struct ProviderInfo {
  // Version text of the process's OpenSSL; empty where there is none to use.
  std::string openssl;
  // Versions of the crates that are linked in.
  std::string ring;
  std::string blake3;
  // Measured GB/s per thread, by [Algorithm][Provider]; 0 where nothing was measured (yet).
  std::array<std::array<double, all_providers.size()>, all_algorithms.size()> gigabytes_per_second{};
};

// What is known so far; measures nothing itself.
ProviderInfo provider_info();

}  // namespace cryptotensors
