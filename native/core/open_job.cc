#include "open_job.h"

#include <stdexcept>

#include "open_chunks.h"

namespace cryptotensors {
namespace {

std::vector<Copy> whole_tensors(const Table& table, const std::vector<std::pair<uint32_t, uint64_t>>& tensors) {
  std::vector<Copy> copies;
  copies.reserve(tensors.size());
  for (const auto& [tensor, offset] : tensors) {
    if (tensor >= table.tensors()) throw std::invalid_argument("there is no tensor " + std::to_string(tensor));
    copies.push_back({tensor, 0, table.length(tensor), offset});
  }
  return copies;
}

}  // namespace

OpenJob::OpenJob(std::shared_ptr<const Table> table, std::shared_ptr<const Source> source, MutableByteSpan destination,
                 std::vector<Copy> copies, unsigned threads)
    : Job(threads),
      table_(std::move(table)),
      source_(std::move(source)),
      memory_(destination),
      copies_(std::move(copies)) {
  check_copies(*table_, copies_, memory_.size());
}

OpenJob::OpenJob(std::shared_ptr<const Table> table, std::shared_ptr<const Source> source, std::shared_ptr<Sink> sink,
                 const std::vector<std::pair<uint32_t, uint64_t>>& tensors, unsigned threads)
    : Job(threads),
      table_(std::move(table)),
      source_(std::move(source)),
      // Memory is written to directly.
      sink_(sink->memory().empty() ? sink : nullptr),
      memory_(sink->memory()),
      copies_(whole_tensors(*table_, tensors)) {
  check_copies(*table_, copies_, sink_ ? UINT64_MAX : memory_.size());
}

size_t OpenJob::plan(Worker&) {
  for (const Copy& copy : copies_) {
    if (table_->protection(copy.tensor) != Protection::sealed) continue;
    if (!table_->unwrapped()) throw std::logic_error("the data keys have not been unwrapped");
    provider_ = chosen_provider(table_->algorithm());
    break;
  }
  plan_ = plan_open(*table_, copies_);
  uint64_t total = 0;
  for (const Copy& copy : copies_) total += copy.length;
  set_total(total);
  waits_before_ = source_->waits();
  return plan_.batches.count();
}

Fault OpenJob::run(size_t item, Worker& worker) {
  if (source_->waits() != waits_before_) {
    ahead_.from(item, plan_.batches.count(), [&](size_t next, WantedRanges& ranges) {
      for (const Span& span : plan_.batches.of(plan_.spans, next)) {
        ranges.add(*source_, table_->position(span.tensor) + span.begin, span.length());
      }
    });
  }
  const std::span<const Span> spans = plan_.batches.of(plan_.spans, item);
  for (size_t i = 0; i < spans.size() && !stopped();) {
    const size_t first = i++;
    uint64_t bytes = spans[first].length();
    if (spans[first].whole) {
      // Small tensors that lie behind one another in the file are fetched together.
      const auto position = [&](const Span& span) { return table_->position(span.tensor) + span.begin; };
      while (i < spans.size() && spans[i].whole && position(spans[i]) == position(spans[first]) + bytes) {
        bytes += spans[i++].length();
      }
    }
    Fault fault = spans[first].whole ? open_together(spans.subspan(first, i - first), worker)
                                     : open_aside(spans[first], worker);
    if (fault) {
      if (fault.tensor < 0) fault.tensor = spans[first].tensor;
      return fault;
    }
    if (spans[first].whole) add_done(bytes);
  }
  return {};
}

// Whether the file's bytes are fetched to where they belong and decrypted there, or fetched into the thread's buffer.
bool OpenJob::goes_in_place(std::span<const Span> spans, uint64_t length) const noexcept {
  if (sink_) return false;
  bool sealed = false;
  uint64_t destination = spans[0].destination;
  for (const Span& span : spans) {
    if (span.destination != destination) return false;
    destination += span.length();
    sealed |= table_->protection(span.tensor) == Protection::sealed;
  }
  // A chunk larger than the buffers would not stay in the cache in any case.
  return !sealed || prefers_in_place(provider_) || length > piece_bytes;
}

// Spans that follow one another in the file.
Fault OpenJob::open_together(std::span<const Span> spans, Worker& worker) {
  const Span& first = spans.front();
  uint64_t length = 0;
  for (const Span& span : spans) length += span.length();
  const MutableByteSpan fetched = goes_in_place(spans, length)
                                      ? memory_.subspan(static_cast<size_t>(first.destination), static_cast<size_t>(length))
                                      : worker.buffer(static_cast<size_t>(length));
  if (Fault fault = source_->read(table_->position(first.tensor) + first.begin, fetched)) return fault;
  uint8_t* in = fetched.data();
  for (const Span& span : spans) {
    uint8_t* out = sink_ ? in : memory_.data() + span.destination;
    if (Fault fault = open_chunks(*table_, provider_, span, in, out, worker)) return fault;
    if (sink_) {
      if (Fault fault = sink_->write(span.destination, {in, static_cast<size_t>(span.length())})) return fault;
    }
    in += span.length();
  }
  return {};
}

// The pieces of a chunk that copies want: use(where they go, where they begin in the chunk).
template <typename Use>
void OpenJob::for_each_touch(const Span& span, Use use) const {
  for (size_t i = span.touches_begin; i < span.touches_end; ++i) {
    const Copy& copy = copies_[plan_.touches[i]];
    const uint64_t begin = std::max(copy.start, span.begin);
    const uint64_t end = std::min(copy.start + copy.length, span.end);
    use(memory_.subspan(static_cast<size_t>(copy.destination + (begin - copy.start)), static_cast<size_t>(end - begin)),
        begin - span.begin);
  }
}

// One chunk, of which the copies want pieces: they are copied out once all of it has passed.
Fault OpenJob::open_aside(const Span& span, Worker& worker) {
  const MutableByteSpan chunk = worker.buffer(static_cast<size_t>(span.length()));
  if (Fault fault = source_->read(table_->position(span.tensor) + span.begin, chunk)) return fault;
  if (Fault fault = open_chunks(*table_, provider_, span, chunk.data(), chunk.data(), worker)) return fault;
  for_each_touch(span, [&](MutableByteSpan wanted, uint64_t offset) {
    copy_bytes(wanted.data(), chunk.data() + offset, wanted.size());
    add_done(wanted.size());
  });
  return {};
}

// Items are taken up in order: what belongs to later ones has not been touched.
void OpenJob::wipe_written() noexcept {
  for (size_t item = 0; item < taken(); ++item) {
    for (const Span& span : plan_.batches.of(plan_.spans, item)) {
      if (span.whole) wipe(memory_.subspan(static_cast<size_t>(span.destination), static_cast<size_t>(span.length())));
      else for_each_touch(span, [](MutableByteSpan wanted, uint64_t) { wipe(wanted); });
    }
  }
}

Fault OpenJob::finish(Fault fault) noexcept {
  // What a tag or digest covers needs no other proof; a mismatch may be the file's changing under the reader.
  const bool mismatch = fault.code == Code::bad_tag || fault.code == Code::bad_digest;
  if (mismatch || (!fault && plan_.unchecked)) {
    if (Fault changed = source_->check_unchanged()) {
      changed.tensor = fault.tensor;
      changed.chunk = fault.chunk;
      fault = std::move(changed);
    }
  }
  if (fault && !sink_) wipe_written();
  table_.reset();
  source_.reset();
  sink_.reset();
  plan_ = {};
  return fault;
}

}  // namespace cryptotensors
