// Memory for keys: locked and kept out of core dumps where the system lets it, wiped on release.
#pragma once

#include "bytes.h"

namespace cryptotensors {

// Fills `out` from the system's CSPRNG. Throws std::runtime_error if that fails.
void random_bytes(MutableByteSpan out);

// Owns bytes in the secret arena, aligned to 64. Movable, never copied by accident.
class Secret {
 public:
  static constexpr size_t alignment = 64;

  Secret() noexcept = default;
  // `size` zero bytes. Throws std::bad_alloc.
  explicit Secret(size_t size);
  // A copy of `bytes`; the caller wipes the original.
  explicit Secret(ByteSpan bytes);
  // Fresh from the CSPRNG.
  static Secret random(size_t size);

  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  uint8_t* data() noexcept { return data_; }
  const uint8_t* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  MutableByteSpan span() noexcept { return {data_, size_}; }
  ByteSpan span() const noexcept { return {data_, size_}; }

  // Wipes and releases; the secret is empty afterwards. Idempotent.
  void reset() noexcept;

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace cryptotensors
