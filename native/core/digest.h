// Digests of `__integrity__` (FORMAT.md §5).
#pragma once

#include "bytes.h"

namespace cryptotensors {

enum class DigestAlgorithm : uint8_t { sha256, blake3 };

inline constexpr size_t digest_bytes = 32;

void digest(DigestAlgorithm algorithm, ByteSpan message, uint8_t out[digest_bytes]) noexcept;

}  // namespace cryptotensors
