#include "agreement.h"

#include "cryptotensors_aead.h"

namespace cryptotensors {

static_assert(static_cast<uint32_t>(Curve::x25519) == CRYPTOTENSORS_X25519);
static_assert(static_cast<uint32_t>(Curve::p256) == CRYPTOTENSORS_P256);

bool agreement_public(Curve curve, ByteSpan secret, MutableByteSpan out) noexcept {
  return secret.size() == agreement_secret_bytes &&
         cryptotensors_agreement_public(static_cast<uint32_t>(curve), secret.data(), out.data(), out.size());
}

bool is_agreement_public(Curve curve, ByteSpan key) noexcept {
  return cryptotensors_agreement_is_public(static_cast<uint32_t>(curve), key.data(), key.size());
}

std::optional<Secret> agree_on_key(Curve curve, ByteSpan secret, ByteSpan peer, ByteSpan info) {
  if (secret.size() != agreement_secret_bytes) return std::nullopt;
  Secret key(32);
  if (!cryptotensors_agreement_key(static_cast<uint32_t>(curve), secret.data(), peer.data(), peer.size(), info.data(),
                                   info.size(), key.data())) {
    return std::nullopt;
  }
  return key;
}

std::optional<Secret> open_message(ByteSpan key, ByteSpan iv, ByteSpan additional, ByteSpan ciphertext, ByteSpan tag) {
  if (key.size() != 32 || iv.size() != message_iv_bytes || tag.size() != message_tag_bytes) return std::nullopt;
  // A copy in private memory before it is verified: what was given may be shared.
  Secret plain(ciphertext);
  if (!cryptotensors_message_open(key.data(), iv.data(), additional.data(), additional.size(), plain.data(),
                                  plain.data(), plain.size(), tag.data())) {
    return std::nullopt;
  }
  return plain;
}

}  // namespace cryptotensors
