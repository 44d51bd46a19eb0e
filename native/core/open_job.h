// Reading: fetch, verify, decrypt and copy byte ranges of tensors.
#pragma once

#include "file.h"
#include "open_plan.h"
#include "pool.h"
#include "read_ahead.h"

namespace cryptotensors {

class OpenJob final : public Job {
 public:
  // Into memory. On failure all that had been written there has been wiped. Throws std::invalid_argument for copies that
  // check_copies refuses.
  OpenJob(std::shared_ptr<const Table> table, std::shared_ptr<const Source> source, MutableByteSpan destination,
          std::vector<Copy> copies, unsigned threads);
  // Whole tensors into a sink; no byte of a chunk is written before the chunk has passed. `tensors` are pairs of tensor
  // index and offset in the sink.
  OpenJob(std::shared_ptr<const Table> table, std::shared_ptr<const Source> source, std::shared_ptr<Sink> sink,
          const std::vector<std::pair<uint32_t, uint64_t>>& tensors, unsigned threads);

 protected:
  size_t plan(Worker& worker) override;
  Fault run(size_t item, Worker& worker) override;
  Fault finish(Fault fault) noexcept override;

 private:
  void wipe_written() noexcept;
  Fault open_together(std::span<const Span> spans, Worker& worker);
  Fault open_aside(const Span& span, Worker& worker);
  template <typename Use>
  void for_each_touch(const Span& span, Use use) const;
  bool goes_in_place(std::span<const Span> spans, uint64_t length) const noexcept;

  // Let go of when the job ends, so that a file that was closed meanwhile is closed then.
  std::shared_ptr<const Table> table_;
  std::shared_ptr<const Source> source_;
  // Null when the destination is memory.
  std::shared_ptr<Sink> sink_;
  const MutableByteSpan memory_;
  const std::vector<Copy> copies_;
  OpenPlan plan_;
  Provider provider_ = Provider::ring;
  uint64_t waits_before_ = 0;
  ReadAhead ahead_;
};

}  // namespace cryptotensors
