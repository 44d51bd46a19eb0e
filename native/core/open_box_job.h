// Reading a box of one tensor, whose runs are never listed: neither time nor memory before the work depend on their number.
#pragma once

#include "box.h"
#include "file.h"
#include "open_plan.h"
#include "pool.h"

namespace cryptotensors {

class BoxJob final : public Job {
 public:
  // Into memory. On failure what had been written has been wiped, and nothing beside it. Throws std::invalid_argument for a box that
  // is not within its tensor and the destination.
  BoxJob(std::shared_ptr<const Table> table, std::shared_ptr<const Source> source, MutableByteSpan destination, Box box,
         unsigned threads);

 protected:
  size_t plan(Worker& worker) override;
  Fault run(size_t item, Worker& worker) override;
  Fault finish(Fault fault) noexcept override;

 private:
  Fault run_protected(uint64_t begin, uint64_t end, Worker& worker);
  Fault run_unprotected(uint64_t begin, uint64_t end, Worker& worker);
  Fault deliver(const Span& span, Worker& worker);
  // For `finish`: how many bytes at the beginning of the destination may have been written to.
  uint64_t written() const noexcept;

  std::shared_ptr<const Table> table_;
  std::shared_ptr<const Source> source_;
  const MutableByteSpan memory_;
  const BoxRuns runs_;
  // What to fetch where nothing is verified.
  const BoxRuns ranges_;
  Provider provider_ = Provider::ring;
  // Where each item begins in the tensor; it ends slab_bytes_ behind.
  std::vector<uint64_t> items_;
  uint64_t slab_bytes_ = piece_bytes;
};

}  // namespace cryptotensors
