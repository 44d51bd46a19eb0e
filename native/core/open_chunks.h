// Verifying and decrypting what was fetched.
#pragma once

#include "error.h"
#include "open_plan.h"
#include "worker.h"

namespace cryptotensors {

// Verifies the span's bytes at `in` chunk by chunk and leaves the plaintext at `out`, which may be the same. A tensor that
// nothing protects is copied.
Fault open_chunks(const Table& table, Provider provider, const Span& span, uint8_t* in, uint8_t* out, Worker& worker);

inline void copy_bytes(uint8_t* out, const uint8_t* in, size_t length) noexcept {
  if (length > 0 && in != out) std::memcpy(out, in, length);
}

}  // namespace cryptotensors
