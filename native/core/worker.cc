#include "worker.h"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(_WIN32)
#include <malloc.h>
#endif

namespace cryptotensors {
namespace {

constexpr size_t page_bytes = 4096;
constexpr size_t huge_page_bytes = size_t{2} << 20;
// Kept by an idle thread.
constexpr size_t kept_bytes = size_t{2} << 20;

size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

}  // namespace

MutableByteSpan Buffer::take(size_t size) {
  if (size > capacity_) {
    release();
    const size_t alignment = size < huge_page_bytes ? page_bytes : huge_page_bytes;
    if (size > SIZE_MAX - alignment) throw std::bad_alloc();
    const size_t capacity = round_up(size, alignment);
#if defined(_WIN32)
    void* memory = ::_aligned_malloc(capacity, alignment);
#else
    void* memory = std::aligned_alloc(alignment, capacity);
#endif
    if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    // Fewer page faults and TLB misses; best effort.
    if (alignment == huge_page_bytes) ::madvise(memory, capacity, MADV_HUGEPAGE);
#endif
    data_ = static_cast<uint8_t*>(memory);
    capacity_ = capacity;
  }
  if (size > used_) used_ = size;
  return {data_, size};
}

void Buffer::rest(size_t keep) noexcept {
  if (capacity_ > keep) {
    release();
  } else {
    wipe(data_, used_);
    used_ = 0;
  }
}

void Buffer::release() noexcept {
  wipe(data_, used_);
#if defined(_WIN32)
  ::_aligned_free(data_);
#else
  std::free(data_);
#endif
  data_ = nullptr;
  capacity_ = 0;
  used_ = 0;
}

AeadContext& Worker::context(Provider provider, Algorithm algorithm) {
  auto& slot = contexts_[static_cast<size_t>(provider)][static_cast<size_t>(algorithm)];
  if (!slot) slot = make_context(provider, algorithm);
  return *slot;
}

void Worker::rest() noexcept {
  for (auto& by_algorithm : contexts_) {
    for (auto& context : by_algorithm) {
      if (context) context->clear_key();
    }
  }
  buffer_.rest(kept_bytes);
}

}  // namespace cryptotensors
