// How a tensor's bytes are cut into chunks, and which IV each chunk has (FORMAT.md §2). Arithmetic only.
#pragma once

#include <algorithm>

#include "aead.h"

namespace cryptotensors {

// Bytes that one work item deals with, about: small enough to stay in a core's cache, large enough to hide the overhead.
inline constexpr uint64_t piece_bytes = uint64_t{2} << 20;

// `length` bytes in chunks of `chunk_bytes`, the last of which may be short. An empty tensor has one empty chunk.
class ChunkGrid {
 public:
  // `chunk_bytes` of 0 means that all is one chunk (version 1). Both are at most 2^53 - 1, so no sum below overflows.
  constexpr ChunkGrid(uint64_t length, uint64_t chunk_bytes) noexcept
      : length_(length), chunk_bytes_(chunk_bytes != 0 ? chunk_bytes : std::max<uint64_t>(length, 1)) {}

  constexpr uint64_t length() const noexcept { return length_; }
  constexpr uint64_t chunk_bytes() const noexcept { return chunk_bytes_; }
  constexpr uint64_t count() const noexcept { return length_ == 0 ? 1 : (length_ - 1) / chunk_bytes_ + 1; }
  constexpr uint64_t index_of(uint64_t offset) const noexcept { return offset / chunk_bytes_; }
  // Bounds of a chunk that exists.
  constexpr uint64_t begin(uint64_t chunk) const noexcept { return chunk * chunk_bytes_; }
  constexpr uint64_t end(uint64_t chunk) const noexcept { return std::min(begin(chunk) + chunk_bytes_, length_); }
  // The longest chunk.
  constexpr uint64_t longest() const noexcept { return std::min(chunk_bytes_, length_); }

 private:
  uint64_t length_, chunk_bytes_;
};

// Whether the IV's 32-bit counter reaches the last of `count` chunks without overflowing.
inline bool counter_has_room(const Iv& base, uint64_t count) noexcept {
  return count - 1 <= UINT64_C(0xFFFFFFFF) - load_be32(base.data() + 8);
}

// iv_i = base[0..8] ‖ be32(be32(base[8..12]) + i). The caller has seen to it that the counter has room.
inline Iv chunk_iv(const Iv& base, uint64_t chunk) noexcept {
  Iv iv = base;
  store_be32(iv.data() + 8, load_be32(base.data() + 8) + static_cast<uint32_t>(chunk));
  return iv;
}

}  // namespace cryptotensors
