#include "signature.h"

#include <stdexcept>

#include "cryptotensors_aead.h"

namespace cryptotensors {

bool ed25519_verify(const uint8_t public_key[ed25519_public_bytes], ByteSpan message,
                    const uint8_t signature[ed25519_signature_bytes]) noexcept {
  return cryptotensors_ed25519_verify(public_key, message.data(), message.size(), signature);
}

void ed25519_sign(const uint8_t seed[ed25519_seed_bytes], ByteSpan message, uint8_t out[ed25519_signature_bytes]) {
  if (!cryptotensors_ed25519_sign(seed, message.data(), message.size(), out)) {
    throw std::runtime_error("signing with Ed25519 failed");
  }
}

void ed25519_public(const uint8_t seed[ed25519_seed_bytes], uint8_t out[ed25519_public_bytes]) {
  if (!cryptotensors_ed25519_public(seed, out)) throw std::runtime_error("deriving an Ed25519 public key failed");
}

}  // namespace cryptotensors
