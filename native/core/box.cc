#include "box.h"

#include <algorithm>
#include <stdexcept>

namespace cryptotensors {
namespace {

// What lies at most this far apart is better fetched at once than piece by piece.
constexpr uint64_t max_gap_bytes = 16 * 1024;

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

}  // namespace

BoxRuns::BoxRuns(Box box, uint64_t limit)
    : box_(std::move(box)), runs_(box_.levels.size()), spans_(box_.levels.size()) {
  require(box_.length > 0, "the box has empty runs");
  uint64_t span = box_.length;
  for (size_t i = box_.levels.size(); i-- > 0;) {
    const auto [count, stride] = box_.levels[i];
    require(count > 0, "the box is empty");
    require(stride >= span, "the runs of the box overlap");
    // Then no product below overflows: as many bytes as the box has, and more, lie in the tensor.
    require(span <= limit && (count - 1) <= (limit - span) / stride, "the box runs past the end of its tensor");
    runs_[i] = count_;
    spans_[i] = span;
    count_ *= count;
    span += (count - 1) * stride;
  }
  require(span <= limit && box_.start <= limit - span, "the box runs past the end of its tensor");
}

uint64_t BoxRuns::start_of(uint64_t run) const noexcept {
  uint64_t at = box_.start;
  for (size_t i = 0; i < box_.levels.size(); ++i) {
    at += run / runs_[i] * box_.levels[i].stride;
    run %= runs_[i];
  }
  return at;
}

uint64_t BoxRuns::first_ending_after(uint64_t offset) const noexcept {
  if (offset < box_.start) return 0;
  uint64_t rest = offset - box_.start;
  uint64_t run = 0;
  for (size_t i = 0; i < box_.levels.size(); ++i) {
    const uint64_t index = std::min(rest / box_.levels[i].stride, box_.levels[i].count - 1);
    run += index * runs_[i];
    rest -= index * box_.levels[i].stride;
    // Between two steps of this level: the next step is the first that ends behind.
    if (rest >= spans_[i]) return run + runs_[i];
  }
  return rest < box_.length ? run : run + 1;
}

BoxRuns BoxRuns::joined() const {
  Box box = box_;
  while (!box.levels.empty() && box.levels.back().stride - box.length <= max_gap_bytes) {
    box.length += (box.levels.back().count - 1) * box.levels.back().stride;
    box.levels.pop_back();
  }
  return {std::move(box), UINT64_MAX >> 1};
}

}  // namespace cryptotensors
