// Memory that JavaScript allocated.
#include "exports.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace cryptotensors::binding {
namespace {

// As x86-64 and most of arm64 have them.
[[maybe_unused]] constexpr uintptr_t huge_page_bytes = uintptr_t{2} << 20;

uintptr_t round_up(uintptr_t address, uintptr_t unit) noexcept { return (address + unit - 1) / unit * unit; }

// buffer (a Uint8Array over all of it), alignment. Returns the first offset whose address is a multiple of the alignment.
// If that is a huge page's, asks for huge pages from there on: fresh pages of 4 KiB cost five to ten times as much. To be
// called before the memory is first touched.
Napi::Value align(const Napi::CallbackInfo& info) {
  const MutableByteSpan buffer = bytes_argument(info[0], "buffer");
  const uint64_t alignment = integer_argument(info[1], "alignment");
  if (alignment == 0 || alignment > buffer.size()) throw std::invalid_argument("the buffer is smaller than its alignment");
  const auto address = reinterpret_cast<uintptr_t>(buffer.data());
  const uintptr_t aligned = round_up(address, static_cast<uintptr_t>(alignment));
  const uintptr_t offset = aligned - address;
  if (offset > buffer.size()) throw std::invalid_argument("the buffer is smaller than its alignment");
#if defined(__linux__)
  if (alignment == huge_page_bytes) {
    const size_t length = (buffer.size() - offset) / huge_page_bytes * huge_page_bytes;
    // Best effort: without huge pages it is merely slower.
    ::madvise(buffer.data() + offset, length, MADV_HUGEPAGE);
  }
#endif
  return Napi::Number::New(info.Env(), static_cast<double>(offset));
}

Napi::Value wipe_bytes(const Napi::CallbackInfo& info) {
  wipe(bytes_argument(info[0], "bytes"));
  return info.Env().Undefined();
}

}  // namespace

void export_memory(Napi::Object exports) {
  export_function<align>(exports, "align");
  export_function<wipe_bytes>(exports, "wipe");
}

}  // namespace cryptotensors::binding
