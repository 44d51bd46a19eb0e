#include "secret.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#if defined(_WIN32)
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "cryptotensors_aead.h"

namespace cryptotensors {
namespace {

size_t page_bytes() noexcept {
#if defined(_WIN32)
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
#else
  return static_cast<size_t>(sysconf(_SC_PAGESIZE));
#endif
}

// Whole pages, or 0 if that does not fit beside two guard pages.
size_t rounded_to_pages(size_t size) noexcept {
  const size_t page = page_bytes();
  if (size > SIZE_MAX / 2 - 3 * page) return 0;
  return (size + page - 1) / page * page;
}

// Zeroed pages between two that cannot be touched, so that an overrun faults instead of reading or spilling a key.
// Locking and the advice are best effort: limits on locked memory are often low.
uint8_t* map_pages(size_t size) {
  const size_t guard = page_bytes();
#if defined(_WIN32)
  auto* base = static_cast<uint8_t*>(VirtualAlloc(nullptr, size + 2 * guard, MEM_RESERVE, PAGE_NOACCESS));
  if (base == nullptr) throw std::bad_alloc();
  if (VirtualAlloc(base + guard, size, MEM_COMMIT, PAGE_READWRITE) == nullptr) {
    VirtualFree(base, 0, MEM_RELEASE);
    throw std::bad_alloc();
  }
  VirtualLock(base + guard, size);
#else
  void* mapped = mmap(nullptr, size + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* base = static_cast<uint8_t*>(mapped);
  if (mprotect(base + guard, size, PROT_READ | PROT_WRITE) != 0) {
    munmap(base, size + 2 * guard);
    throw std::bad_alloc();
  }
  static_cast<void>(mlock(base + guard, size));
#if defined(MADV_DONTDUMP)
  static_cast<void>(madvise(base + guard, size, MADV_DONTDUMP));
#elif defined(MADV_NOCORE)
  static_cast<void>(madvise(base + guard, size, MADV_NOCORE));
#endif
#if defined(MADV_DONTFORK)
  // Not MADV_WIPEONFORK: a child that goes on without exec is to fault, not to go on with a key of zeros.
  static_cast<void>(madvise(base + guard, size, MADV_DONTFORK));
#endif
#endif
  return base + guard;
}

void unmap_pages(uint8_t* pages, size_t size) noexcept {
  const size_t guard = page_bytes();
#if defined(_WIN32)
  VirtualUnlock(pages, size);
  VirtualFree(pages - guard, 0, MEM_RELEASE);
#else
  munmap(pages - guard, size + 2 * guard);
#endif
}

// Small secrets share slabs, so that thousands of keys take few locked pages; large ones have their own mapping.
// What is free is kept apart from the memory itself. Free slots hold zeros.
class Arena {
 public:
  uint8_t* allocate(size_t size) {
    if (size > largest_slot) {
      const size_t mapped = rounded_to_pages(size);
      if (mapped == 0) throw std::bad_alloc();
      return map_pages(mapped);
    }
    const std::lock_guard lock(mutex_);
    SizeClass& slots = classes_[class_of(size)];
    if (slots.free.empty()) add_slab(slots, slot_bytes(class_of(size)));
    uint8_t* slot = slots.free.back();
    slots.free.pop_back();
    return slot;
  }

  void release(uint8_t* memory, size_t size) noexcept {
    wipe(memory, size);
    if (size > largest_slot) {
      unmap_pages(memory, rounded_to_pages(size));
      return;
    }
    const std::lock_guard lock(mutex_);
    // Does not throw: add_slab reserved room for every slot.
    classes_[class_of(size)].free.push_back(memory);
  }

 private:
  static constexpr size_t class_count = 6;
  static constexpr size_t largest_slot = Secret::alignment << (class_count - 1);

  struct SizeClass {
    std::vector<uint8_t*> free;
    size_t total = 0;
  };

  static constexpr size_t slot_bytes(size_t index) noexcept { return Secret::alignment << index; }

  // The smallest class whose slots hold `size`.
  static size_t class_of(size_t size) noexcept {
    return static_cast<size_t>(std::bit_width((size - 1) / Secret::alignment));
  }

  static void add_slab(SizeClass& slots, size_t slot) {
    const size_t slab = rounded_to_pages(size_t{16} << 10);
    const size_t count = slab / slot;
    slots.free.reserve(slots.total + count);
    uint8_t* pages = map_pages(slab);
    slots.total += count;
    for (size_t i = count; i-- > 0;) slots.free.push_back(pages + i * slot);
  }

  std::mutex mutex_;
  std::array<SizeClass, class_count> classes_;
};

Arena& arena() {
  // Never destroyed: a secret in static storage may outlive everything else.
  static Arena& instance = *new Arena;
  return instance;
}

}  // namespace

void random_bytes(MutableByteSpan out) {
  if (!cryptotensors_random(out.data(), out.size())) {
    throw std::runtime_error("the system's random number generator failed");
  }
}

Secret::Secret(size_t size) : data_(size == 0 ? nullptr : arena().allocate(size)), size_(size) {}

Secret::Secret(ByteSpan bytes) : Secret(bytes.size()) { std::copy(bytes.begin(), bytes.end(), data_); }

Secret Secret::random(size_t size) {
  Secret secret(size);
  random_bytes(secret.span());
  return secret;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() { reset(); }

void Secret::reset() noexcept {
  if (data_ != nullptr) arena().release(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace cryptotensors
