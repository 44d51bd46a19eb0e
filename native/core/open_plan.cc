#include "open_plan.h"

#include <stdexcept>
#include <string>

namespace cryptotensors {
namespace {

class Planner {
 public:
  Planner(const Table& table, std::span<const Copy> copies) : table_(table), copies_(copies) {
    if (copies.size() > UINT32_MAX) throw std::invalid_argument("a read has at most 2^32 - 1 copies");
  }

  OpenPlan plan() {
    for (size_t i = 0; i < copies_.size();) {
      const size_t first = i;
      while (i < copies_.size() && copies_[i].tensor == copies_[first].tensor) ++i;
      plan_tensor(first, i);
    }
    return std::move(plan_);
  }

 private:
  void plan_tensor(size_t first, size_t last) {
    const uint32_t tensor = copies_[first].tensor;
    if (table_.length(tensor) == 0) {
      add({.tensor = tensor, .whole = true, .destination = copies_[first].destination}, 1);
    } else if (table_.protection(tensor) == Protection::none) {
      for (size_t i = first; i < last; ++i) plan_unprotected(copies_[i]);
    } else {
      plan_chunks(table_.grid(tensor), first, last);
    }
  }

  void plan_unprotected(const Copy& copy) {
    plan_.unchecked |= copy.length > 0;
    for (uint64_t done = 0; done < copy.length; done += piece_bytes) {
      const uint64_t begin = copy.start + done;
      const uint64_t end = begin + std::min(copy.length - done, piece_bytes);
      add({.tensor = copy.tensor, .whole = true, .begin = begin, .end = end, .destination = copy.destination + done}, 1);
    }
  }

  // Goes through the tensor's chunks with the copies that reach into the present one.
  void plan_chunks(const ChunkGrid& grid, size_t first, size_t last) {
    std::vector<uint32_t> active;
    uint64_t chunk = 0;
    for (size_t next = first; next < last || !active.empty();) {
      std::erase_if(active, [&](uint32_t i) { return copies_[i].start + copies_[i].length <= grid.begin(chunk); });
      if (active.empty()) {
        while (next < last && copies_[next].length == 0) ++next;
        if (next == last) return;
        chunk = grid.index_of(copies_[next].start);
      }
      for (; next < last && copies_[next].start < grid.end(chunk); ++next) {
        if (copies_[next].length > 0) active.push_back(static_cast<uint32_t>(next));
      }
      const uint64_t limit = next < last ? grid.index_of(copies_[next].start) : grid.count();
      const uint64_t whole = active.size() == 1 ? whole_chunks(grid, copies_[active[0]], chunk, limit) : 0;
      if (whole > 0) add_whole(grid, copies_[active[0]], chunk, whole);
      else add_partial(grid, copies_[first].tensor, chunk, active);
      chunk += std::max<uint64_t>(whole, 1);
      if (chunk == grid.count()) return;
    }
  }

  // How many chunks from `chunk` on, below `limit`, the copy covers.
  static uint64_t whole_chunks(const ChunkGrid& grid, const Copy& copy, uint64_t chunk, uint64_t limit) {
    if (copy.start > grid.begin(chunk)) return 0;
    const uint64_t end = copy.start + copy.length;
    const uint64_t covered = end == grid.length() ? grid.count() : grid.index_of(end);
    return std::min(covered, limit) - chunk;
  }

  void add_whole(const ChunkGrid& grid, const Copy& copy, uint64_t chunk, uint64_t count) {
    const uint64_t per_span = Batches::chunks_that_fit(grid);
    for (const uint64_t stop = chunk + count; chunk < stop;) {
      const uint64_t chunks = std::min(per_span, stop - chunk);
      const uint64_t begin = grid.begin(chunk);
      add({.tensor = copy.tensor,
           .whole = true,
           .chunk = chunk,
           .begin = begin,
           .end = grid.end(chunk + chunks - 1),
           .destination = copy.destination + (begin - copy.start)},
          chunks);
      chunk += chunks;
    }
  }

  void add_partial(const ChunkGrid& grid, uint32_t tensor, uint64_t chunk, const std::vector<uint32_t>& touching) {
    const size_t touches = plan_.touches.size();
    plan_.touches.insert(plan_.touches.end(), touching.begin(), touching.end());
    add({.tensor = tensor,
         .whole = false,
         .chunk = chunk,
         .begin = grid.begin(chunk),
         .end = grid.end(chunk),
         .touches_begin = touches,
         .touches_end = plan_.touches.size()},
        1);
  }

  void add(const Span& span, uint64_t chunks) {
    plan_.batches.add(span.length(), chunks);
    plan_.spans.push_back(span);
  }

  const Table& table_;
  const std::span<const Copy> copies_;
  OpenPlan plan_;
};

void require(bool condition, size_t index, const char* problem) {
  if (!condition) throw std::invalid_argument("copy " + std::to_string(index) + " " + problem);
}

}  // namespace

void check_copies(const Table& table, std::span<const Copy> copies, uint64_t capacity) {
  const auto within = [](uint64_t start, uint64_t length, uint64_t limit) {
    return start <= limit && length <= limit - start;
  };
  for (size_t i = 0; i < copies.size(); ++i) {
    const Copy& copy = copies[i];
    require(copy.tensor < table.tensors(), i, "names a tensor that is not there");
    require(within(copy.start, copy.length, table.length(copy.tensor)), i, "runs past the end of its tensor");
    require(within(copy.destination, copy.length, capacity), i, "runs past the end of the destination");
    if (i == 0) continue;
    const Copy& previous = copies[i - 1];
    require(copy.tensor != previous.tensor ? copy.tensor > previous.tensor : copy.start >= previous.start, i,
            "is out of order: copies go by tensor, then start");
  }
}

OpenPlan plan_open(const Table& table, std::span<const Copy> copies) { return Planner(table, copies).plan(); }

}  // namespace cryptotensors
