// Groups spans of chunks into work items of about piece_bytes each.
#pragma once

#include <span>
#include <vector>

#include "chunks.h"

namespace cryptotensors {

class Batches {
 public:
  // How many chunks of the grid one span should have.
  static constexpr uint64_t chunks_that_fit(const ChunkGrid& grid) noexcept {
    return std::max<uint64_t>(
        std::min(piece_bytes / grid.chunk_bytes(), max_cost / (grid.chunk_bytes() + overhead_bytes)), 1);
  }

  // Adds the next span to the present item, or to a new one when that is full.
  void add(uint64_t bytes, uint64_t chunks) {
    const uint64_t cost = bytes + chunks * overhead_bytes;
    if (first_.empty() || bytes_ + bytes > piece_bytes || cost_ + cost > max_cost) {
      first_.push_back(spans_);
      bytes_ = cost_ = 0;
    }
    bytes_ += bytes;
    cost_ += cost;
    ++spans_;
  }

  size_t count() const noexcept { return first_.size(); }

  // The spans of an item, out of all that were added.
  template <typename Span>
  std::span<const Span> of(const std::vector<Span>& spans, size_t item) const noexcept {
    const size_t end = item + 1 < first_.size() ? first_[item + 1] : spans_;
    return std::span(spans).subspan(first_[item], end - first_[item]);
  }

 private:
  // What setting a key and starting a chunk cost, in bytes that could be decrypted meanwhile.
  static constexpr uint64_t overhead_bytes = 1024;
  static constexpr uint64_t max_cost = piece_bytes + piece_bytes / 8;

  std::vector<size_t> first_;
  size_t spans_ = 0;
  uint64_t bytes_ = 0, cost_ = 0;
};

}  // namespace cryptotensors
