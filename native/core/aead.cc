#include "aead.h"

#include <stdexcept>

#include "aead_provider.h"

namespace cryptotensors {

const char* algorithm_name(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::aes128gcm:
      return "aes128gcm";
    case Algorithm::aes256gcm:
      return "aes256gcm";
    case Algorithm::chacha20poly1305:
      return "chacha20poly1305";
  }
  return "unknown";
}

const char* provider_name(Provider provider) noexcept { return provider == Provider::openssl ? "openssl" : "ring"; }

bool provider_supports(Provider provider, Algorithm algorithm) {
  return provider == Provider::ring || openssl::supports(algorithm);
}

std::unique_ptr<AeadContext> make_context(Provider provider, Algorithm algorithm) {
  if (!provider_supports(provider, algorithm)) {
    throw std::runtime_error(std::string(provider_name(provider)) + " does not provide " + algorithm_name(algorithm) +
                             " in this process");
  }
  return provider == Provider::ring ? ring::make_context(algorithm) : openssl::make_context(algorithm);
}

void AeadContext::set_key(ByteSpan key) {
  if (key.size() != key_bytes(algorithm_)) {
    throw std::invalid_argument(std::string(algorithm_name(algorithm_)) + " takes a key of " +
                                std::to_string(key_bytes(algorithm_)) + " bytes, not " + std::to_string(key.size()));
  }
  has_key_ = do_set_key(key.data());
  if (!has_key_) throw std::runtime_error(std::string("setting a key for ") + algorithm_name(algorithm_) + " failed");
}

void AeadContext::clear_key() noexcept {
  if (has_key_) do_clear_key();
  has_key_ = false;
}

bool AeadContext::open(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length,
                       const uint8_t tag[tag_bytes]) noexcept {
  if (has_key_ && length <= max_message_bytes(algorithm_) && do_open(iv, in, out, length, tag)) return true;
  // OpenSSL leaves the unverified plaintext behind.
  wipe(out, length);
  return false;
}

void AeadContext::seal(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, uint8_t tag[tag_bytes]) {
  if (!has_key_) throw std::invalid_argument("seal needs a key");
  if (length > max_message_bytes(algorithm_)) {
    throw std::invalid_argument(std::string(algorithm_name(algorithm_)) + " seals at most " +
                                std::to_string(max_message_bytes(algorithm_)) + " bytes under one IV, not " +
                                std::to_string(length));
  }
  if (do_seal(iv, in, out, length, tag)) return;
  wipe(out, length);
  throw std::runtime_error(std::string("sealing with ") + algorithm_name(algorithm_) + " failed");
}

}  // namespace cryptotensors
