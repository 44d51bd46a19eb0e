// The runs of a box in a tensor, counted but not listed: a narrow column of a long tensor has as many as it has rows.
// Arithmetic only.
#pragma once

#include <cstdint>
#include <vector>

#include "bytes.h"

namespace cryptotensors {

// For each combination of indices below the levels' counts, the last level running fastest, `length` bytes from
// start + sum of index * stride of the tensor, one after another in the destination.
struct Box {
  struct Level {
    uint64_t count, stride;
  };
  uint32_t tensor = 0;
  uint64_t start = 0;
  uint64_t length = 0;
  std::vector<Level> levels;
};

// The runs of a box, numbered in the order of the tensor.
class BoxRuns {
 public:
  // Throws std::invalid_argument unless the runs are neither empty, nor overlap, nor go backwards, nor run past the end of
  // a tensor of `limit` bytes, 2^53 - 1 at the most.
  BoxRuns(Box box, uint64_t limit);

  const Box& box() const noexcept { return box_; }
  uint64_t count() const noexcept { return count_; }
  // Bytes of all runs.
  uint64_t bytes() const noexcept { return count_ * box_.length; }
  // Where the run begins in the tensor.
  uint64_t start_of(uint64_t run) const noexcept;
  // The first run that ends behind `offset`; count() if there is none.
  uint64_t first_ending_after(uint64_t offset) const noexcept;
  // The same runs, those joined that lie close together: what to fetch of a tensor whose bytes are not verified in chunks.
  BoxRuns joined() const;

  // Calls `copy` with position in the tensor, position in the destination and length of all that the box wants of
  // [begin, end) of the tensor. Returns how many bytes that are.
  template <typename CopyPart>
  uint64_t for_each_part(uint64_t begin, uint64_t end, CopyPart copy) const {
    const uint64_t inner = box_.levels.empty() ? 1 : box_.levels.back().count;
    const uint64_t stride = box_.levels.empty() ? 0 : box_.levels.back().stride;
    uint64_t bytes = 0;
    for (uint64_t run = first_ending_after(begin); run < count_;) {
      // The runs of the innermost level are told apart by adding.
      uint64_t start = start_of(run);
      for (uint64_t left = inner - run % inner; left > 0; --left, ++run, start += stride) {
        if (start >= end) return bytes;
        const uint64_t from = start > begin ? start : begin;
        const uint64_t to = start + box_.length < end ? start + box_.length : end;
        copy(from, run * box_.length + (from - start), to - from);
        bytes += to - from;
      }
    }
    return bytes;
  }

 private:
  Box box_;
  uint64_t count_ = 1;
  // Per level: how many runs one step of it has, and how many bytes that step spans.
  std::vector<uint64_t> runs_, spans_;
};

}  // namespace cryptotensors
