// What a thread brings to a job: AEAD contexts and buffers, kept from item to item and from job to job.
#pragma once

#include <memory>

#include "aead.h"

namespace cryptotensors {

// Page-aligned memory that grows on demand. Its content is wiped before it is given back to the system.
class Buffer {
 public:
  Buffer() noexcept = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }

  // At least `size` bytes of anything, valid until the next call. Throws std::bad_alloc.
  MutableByteSpan take(size_t size);
  // Wipes what was taken since the last call, and gives back what is more than `keep` bytes.
  void rest(size_t keep) noexcept;

 private:
  void release() noexcept;

  uint8_t* data_ = nullptr;
  size_t capacity_ = 0;
  size_t used_ = 0;
};

class Worker {
 public:
  // The thread's context for the algorithm, with whatever key it had last. Throws std::runtime_error.
  AeadContext& context(Provider provider, Algorithm algorithm);
  MutableByteSpan buffer(size_t size) { return buffer_.take(size); }
  // Forgets keys and plaintext, gives back large buffers. To be called when a thread goes idle.
  void rest() noexcept;

 private:
  std::array<std::array<std::unique_ptr<AeadContext>, all_algorithms.size()>, all_providers.size()> contexts_;
  Buffer buffer_;
};

}  // namespace cryptotensors
