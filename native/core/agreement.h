// Key agreement by static keys, and the one message that is opened by what comes out of it: the key in a licence.
#pragma once

#include <optional>

#include "secret.h"

namespace cryptotensors {

// X25519 (RFC 7748), or ECDH over P-256.
enum class Curve : uint32_t { x25519 = 0, p256 = 1 };

inline constexpr size_t agreement_secret_bytes = 32;
inline constexpr size_t agreement_public_bytes(Curve curve) noexcept { return curve == Curve::x25519 ? 32 : 64; }
inline constexpr size_t message_iv_bytes = 12;
inline constexpr size_t message_tag_bytes = 16;

// The public key of a private one of 32 bytes, into `agreement_public_bytes`. False for bytes that are no private key.
bool agreement_public(Curve curve, ByteSpan secret, MutableByteSpan out) noexcept;

// Whether the bytes are a public key: on P-256 a point of the curve, on X25519 any 32.
bool is_agreement_public(Curve curve, ByteSpan key) noexcept;

// ECDH-ES (RFC 7518 4.6): 32 bytes by one round of the Concat KDF over `info`. Empty if `peer` is no public key, or one of
// small order, which agrees on the same with everybody. Throws std::bad_alloc.
std::optional<Secret> agree_on_key(Curve curve, ByteSpan secret, ByteSpan peer, ByteSpan info);

// AES-256-GCM with additional data. Empty on a wrong tag. Throws std::bad_alloc.
std::optional<Secret> open_message(ByteSpan key, ByteSpan iv, ByteSpan additional, ByteSpan ciphertext, ByteSpan tag);

}  // namespace cryptotensors
