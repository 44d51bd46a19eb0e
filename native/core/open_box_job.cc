#include "open_box_job.h"

#include <stdexcept>

#include "open_chunks.h"

namespace cryptotensors {
namespace {

BoxRuns checked(const Table& table, Box box, uint64_t capacity) {
  if (box.tensor >= table.tensors()) throw std::invalid_argument("the box names a tensor that is not there");
  const uint64_t length = table.length(box.tensor);
  BoxRuns runs(std::move(box), length);
  if (runs.bytes() > capacity) throw std::invalid_argument("the box runs past the end of the destination");
  return runs;
}

}  // namespace

BoxJob::BoxJob(std::shared_ptr<const Table> table, std::shared_ptr<const Source> source, MutableByteSpan destination,
               Box box, unsigned threads)
    : Job(threads),
      table_(std::move(table)),
      source_(std::move(source)),
      memory_(destination),
      runs_(checked(*table_, std::move(box), destination.size())),
      ranges_(runs_.joined()) {}

// Items are windows of the tensor, whole chunks of it where it has such, that begin where the box next wants something.
size_t BoxJob::plan(Worker&) {
  const uint32_t tensor = runs_.box().tensor;
  const Protection protection = table_->protection(tensor);
  if (protection == Protection::sealed) {
    if (!table_->unwrapped()) throw std::logic_error("the data keys have not been unwrapped");
    provider_ = chosen_provider(table_->algorithm());
  }
  const ChunkGrid grid = table_->grid(tensor);
  const bool in_chunks = protection != Protection::none;
  if (in_chunks) slab_bytes_ = Batches::chunks_that_fit(grid) * grid.chunk_bytes();
  uint64_t end = 0;
  for (uint64_t run = 0; run < runs_.count(); run = runs_.first_ending_after(end)) {
    const uint64_t wanted = std::max(runs_.start_of(run), end);
    items_.push_back(in_chunks ? grid.begin(grid.index_of(wanted)) : wanted);
    end = items_.back() + std::min(slab_bytes_, grid.length() - items_.back());
  }
  set_total(runs_.bytes());
  return items_.size();
}

Fault BoxJob::run(size_t item, Worker& worker) {
  const uint32_t tensor = runs_.box().tensor;
  const uint64_t begin = items_[item];
  const uint64_t end = begin + std::min(slab_bytes_, table_->length(tensor) - begin);
  Fault fault = table_->protection(tensor) == Protection::none ? run_unprotected(begin, end, worker)
                                                               : run_protected(begin, end, worker);
  if (fault && fault.tensor < 0) fault.tensor = tensor;
  return fault;
}

// Chunks that follow one another and of which the box wants something are fetched together.
Fault BoxJob::run_protected(uint64_t begin, uint64_t end, Worker& worker) {
  const uint32_t tensor = runs_.box().tensor;
  const ChunkGrid grid = table_->grid(tensor);
  // The next chunk from `offset` on that is wanted.
  const auto next_chunk = [&](uint64_t offset) {
    const uint64_t run = runs_.first_ending_after(offset);
    return run == runs_.count() ? grid.count() : grid.index_of(std::max(runs_.start_of(run), offset));
  };
  const auto is_within = [&](uint64_t chunk) { return chunk < grid.count() && grid.begin(chunk) < end; };
  for (uint64_t chunk = next_chunk(begin); is_within(chunk) && !stopped();) {
    Span span{.tensor = tensor, .whole = false, .chunk = chunk, .begin = grid.begin(chunk), .end = grid.end(chunk)};
    uint64_t next = next_chunk(span.end);
    for (; next == chunk + 1 && is_within(next); next = next_chunk(span.end)) {
      chunk = next;
      span.end = grid.end(chunk);
    }
    if (Fault fault = deliver(span, worker)) return fault;
    chunk = next;
  }
  return {};
}

Fault BoxJob::run_unprotected(uint64_t begin, uint64_t end, Worker& worker) {
  for (uint64_t range = ranges_.first_ending_after(begin); range < ranges_.count() && !stopped(); ++range) {
    const uint64_t start = ranges_.start_of(range);
    if (start >= end) break;
    const Span span{.tensor = runs_.box().tensor,
                    .whole = false,
                    .begin = std::max(start, begin),
                    .end = std::min(start + ranges_.box().length, end)};
    if (Fault fault = deliver(span, worker)) return fault;
  }
  return {};
}

// Nothing of a span reaches the destination before all of it has passed.
Fault BoxJob::deliver(const Span& span, Worker& worker) {
  const MutableByteSpan fetched = worker.buffer(static_cast<size_t>(span.length()));
  if (Fault fault = source_->read(table_->position(span.tensor) + span.begin, fetched)) return fault;
  if (Fault fault = open_chunks(*table_, provider_, span, fetched.data(), fetched.data(), worker)) return fault;
  add_done(runs_.for_each_part(span.begin, span.end, [&](uint64_t from, uint64_t to, uint64_t length) {
    std::memcpy(memory_.data() + to, fetched.data() + (from - span.begin), static_cast<size_t>(length));
  }));
  return {};
}

// The runs lie in the destination in their order, and items are taken in theirs: what was written is where it begins.
uint64_t BoxJob::written() const noexcept {
  if (taken() == 0) return 0;
  const uint64_t begin = items_[taken() - 1];
  const uint64_t end = begin + std::min(slab_bytes_, table_->length(runs_.box().tensor) - begin);
  const uint64_t run = runs_.first_ending_after(end);
  if (run == runs_.count()) return runs_.bytes();
  const uint64_t start = runs_.start_of(run);
  return run * runs_.box().length + (end > start ? end - start : 0);
}

Fault BoxJob::finish(Fault fault) noexcept {
  // What a tag or digest covers needs no other proof; a mismatch may be the file's changing under the reader.
  const bool mismatch = fault.code == Code::bad_tag || fault.code == Code::bad_digest;
  const bool unchecked = table_->protection(runs_.box().tensor) == Protection::none;
  if (mismatch || (!fault && unchecked)) {
    if (Fault changed = source_->check_unchanged()) {
      changed.tensor = fault.tensor;
      changed.chunk = fault.chunk;
      fault = std::move(changed);
    }
  }
  if (fault) wipe(memory_.first(static_cast<size_t>(written())));
  table_.reset();
  source_.reset();
  items_ = {};
  return fault;
}

}  // namespace cryptotensors
