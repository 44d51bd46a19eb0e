// Data keys (DEKs) and their wrapping: each is encrypted by itself under the master key (FORMAT.md §2).
#pragma once

#include <variant>
#include <vector>

#include "aead.h"
#include "secret.h"

namespace cryptotensors {

// A wrapped DEK is a row: as many bytes as the key has, the IV, the tag.
constexpr size_t wrapped_dek_bytes(Algorithm algorithm) noexcept {
  return key_bytes(algorithm) + iv_bytes + tag_bytes;
}

// Wraps each of the concatenated `deks`, each under an IV of its own, fresh from the CSPRNG: whatever was wrapped before, no IV
// is used for two DEKs. Throws std::invalid_argument if a length does not fit, std::runtime_error if the provider fails.
std::vector<uint8_t> wrap_deks(Algorithm algorithm, ByteSpan master, ByteSpan deks);

// The concatenated DEKs, or the first row that does not unwrap. `rows` must not change meanwhile. Throws
// std::invalid_argument if a length does not fit.
std::variant<Secret, size_t> unwrap_deks(Algorithm algorithm, ByteSpan master, ByteSpan rows);

}  // namespace cryptotensors
