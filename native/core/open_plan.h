// Which chunks a read touches, and how they are handed to threads. Plain data: nothing is read here.
#pragma once

#include <span>
#include <vector>

#include "batches.h"
#include "table.h"

namespace cryptotensors {

// Bytes of one tensor that are wanted, and where in the destination they go.
struct Copy {
  uint32_t tensor;
  uint64_t start;
  uint64_t length;
  uint64_t destination;
};

// Chunks of one tensor that are fetched together.
struct Span {
  uint32_t tensor;
  // One copy wants all of it: the bytes go straight to `destination`. Else it is a single chunk that is opened aside, and
  // `touches` names the copies that want pieces of it.
  bool whole;
  uint64_t chunk = 0;
  // Bounds in the tensor's bytes: those of the chunks, but for an unprotected tensor just those of the copy.
  uint64_t begin = 0, end = 0;
  uint64_t destination = 0;
  size_t touches_begin = 0, touches_end = 0;

  uint64_t length() const noexcept { return end - begin; }
};

struct OpenPlan {
  std::vector<Span> spans;
  // Indices of copies.
  std::vector<uint32_t> touches;
  Batches batches;
  // Whether bytes are read that neither a tag nor a digest covers.
  bool unchecked = false;
};

// Throws std::invalid_argument unless every copy lies within its tensor and within a destination of `capacity` bytes, and
// the copies are sorted by tensor, then start.
void check_copies(const Table& table, std::span<const Copy> copies, uint64_t capacity);

// Copies of a tensor stand together, sorted by start. They may overlap. Each chunk is opened once.
OpenPlan plan_open(const Table& table, std::span<const Copy> copies);

}  // namespace cryptotensors
