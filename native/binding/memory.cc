// Memory that JavaScript allocated.
#include <algorithm>

#include "../core/chunks.h"
#include "exports.h"
#include "pending_job.h"

#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
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

// Gives the whole pages among the bytes back to the system; they read as zeros, or as what they were, from then on.
void release_pages(MutableByteSpan bytes) noexcept {
#if defined(__linux__) || defined(__APPLE__)
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t first = round_up(begin, page);
  const uintptr_t last = (begin + bytes.size()) / page * page;
  if (first >= last) return;
#if defined(__linux__)
  ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
#else
  ::madvise(reinterpret_cast<void*>(first), last - first, MADV_FREE);
#endif
#else
  (void)bytes;
#endif
}

// bytes, release. A job that overwrites them with zeros and then, if told so, gives their pages back to the system. That is for
// memory that JavaScript allocated: a mapping of a file would show the file again.
Napi::Value wipe_job(const Napi::CallbackInfo& info) {
  const Held held = hold(info[0], "bytes");
  const MutableByteSpan bytes = held->bytes();
  const bool release = info[1].ToBoolean();
  const size_t pieces = bytes.size() / piece_bytes + (bytes.size() % piece_bytes != 0);
  auto job = std::make_shared<FunctionJob>(pieces, [=](size_t piece) {
    const size_t at = piece * piece_bytes;
    const MutableByteSpan part = bytes.subspan(at, std::min<size_t>(piece_bytes, bytes.size() - at));
    wipe(part);
    if (release) release_pages(part);
    return Fault{};
  });
  return make_job(info.Env(), std::move(job), nothing, {held});
}

// bytes. Gives their pages back to the system as they are, for memory that nobody looks at any more.
Napi::Value release_bytes(const Napi::CallbackInfo& info) {
  release_pages(bytes_argument(info[0], "bytes"));
  return info.Env().Undefined();
}

Napi::Value wipe_bytes(const Napi::CallbackInfo& info) {
  wipe(bytes_argument(info[0], "bytes"));
  return info.Env().Undefined();
}

}  // namespace

void export_memory(Napi::Object exports) {
  export_function<align>(exports, "align");
  export_function<release_bytes>(exports, "release");
  export_function<wipe_bytes>(exports, "wipe");
  export_function<wipe_job>(exports, "wipeJob");
}

}  // namespace cryptotensors::binding
