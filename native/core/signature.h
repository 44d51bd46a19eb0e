// Ed25519 (RFC 8032, pure).
#pragma once

#include "bytes.h"

namespace cryptotensors {

inline constexpr size_t ed25519_seed_bytes = 32;
inline constexpr size_t ed25519_public_bytes = 32;
inline constexpr size_t ed25519_signature_bytes = 64;

// Strict: S must be canonical (RFC 8032 §5.1.7), so that a signature cannot be altered into another valid one.
bool ed25519_verify(const uint8_t public_key[ed25519_public_bytes], ByteSpan message,
                    const uint8_t signature[ed25519_signature_bytes]) noexcept;

// Throws std::runtime_error if the provider fails.
void ed25519_sign(const uint8_t seed[ed25519_seed_bytes], ByteSpan message, uint8_t out[ed25519_signature_bytes]);

// Throws std::runtime_error if the provider fails.
void ed25519_public(const uint8_t seed[ed25519_seed_bytes], uint8_t out[ed25519_public_bytes]);

}  // namespace cryptotensors
