// Has the system fetch what a job will want next while the job's threads are busy with the cipher. Only for files that turn
// out not to be in the system's cache: for one that is, asking costs a tenth of a read.
#pragma once

#include <algorithm>
#include <atomic>

#include "file.h"

namespace cryptotensors {

// One range of a source after another, merged where they lie behind each other.
class WantedRanges {
 public:
  WantedRanges() = default;
  WantedRanges(const WantedRanges&) = delete;
  WantedRanges& operator=(const WantedRanges&) = delete;
  ~WantedRanges() { flush(); }

  void add(const Source& source, uint64_t offset, uint64_t length) noexcept {
    if (source_ != &source || offset != end_) {
      flush();
      source_ = &source;
      begin_ = offset;
    }
    end_ = offset + length;
  }

 private:
  void flush() noexcept {
    if (source_ != nullptr && end_ > begin_) source_->will_want(begin_, end_ - begin_);
  }

  const Source* source_ = nullptr;
  uint64_t begin_ = 0, end_ = 0;
};

class ReadAhead {
 public:
  // Items that are asked for ahead: enough to keep a disk's queue filled, and little against what else a load needs.
  static constexpr size_t distance = 8;

  // Before a job of `count` items takes up `item`, once it has had to wait for the disk. Calls add(next, ranges) for each of the
  // items behind it that nobody has asked for yet.
  template <typename Add>
  void from(size_t item, size_t count, Add add) {
    const size_t end = std::min(count, item + 1 + distance);
    WantedRanges ranges;
    for (size_t next = next_.load(std::memory_order_relaxed); next < end;) {
      const size_t taken = std::max(next, item + 1);
      if (taken >= end) return;
      if (!next_.compare_exchange_weak(next, taken + 1, std::memory_order_relaxed)) continue;
      add(taken, ranges);
      next = taken + 1;
    }
  }

 private:
  std::atomic<size_t> next_ = 0;
};

}  // namespace cryptotensors
