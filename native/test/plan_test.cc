// Chunks, work items and read plans.
#include <algorithm>
#include <stdexcept>

#include "../core/open_plan.h"
#include "check.h"

namespace cryptotensors {
namespace {

constexpr uint64_t max_exact = (uint64_t{1} << 53) - 1;

std::shared_ptr<Table> digested_table(const std::vector<uint64_t>& lengths, uint64_t chunk_bytes) {
  TableSpec spec;
  std::string document;
  std::vector<int32_t> records;
  uint64_t at = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    spec.begin.push_back(at);
    at += lengths[i];
    spec.end.push_back(at);
    const size_t bytes = static_cast<size_t>(ChunkGrid(lengths[i], chunk_bytes).count()) * digest_bytes;
    records.push_back(static_cast<int32_t>(i));
    records.push_back(static_cast<int32_t>(document.size()));
    // Zeros, in base64.
    document.append((bytes + 2) / 3 * 4, 'A');
    for (size_t pad = (3 - bytes % 3) % 3; pad > 0; --pad) document[document.size() - pad] = '=';
    records.push_back(static_cast<int32_t>(document.size()));
  }
  spec.integrity = {DigestAlgorithm::sha256, chunk_bytes, document, records};
  auto table = Table::create(std::move(spec));
  CHECK(std::holds_alternative<std::shared_ptr<Table>>(table));
  return std::get<std::shared_ptr<Table>>(table);
}

// Whether the plan brings every byte that the copies ask for, and opens no chunk twice.
bool is_right(const Table& table, const std::vector<Copy>& copies, const OpenPlan& plan) {
  std::vector<std::vector<int>> opened(table.tensors());
  std::vector<uint64_t> wanted, brought;
  const auto bytes = [](std::vector<uint64_t>& list, uint32_t tensor, uint64_t start, uint64_t length, uint64_t to) {
    for (uint64_t i = 0; i < length; ++i) list.push_back((to + i) << 40 | uint64_t{tensor} << 24 | (start + i));
  };
  for (const Copy& copy : copies) bytes(wanted, copy.tensor, copy.start, copy.length, copy.destination);
  for (size_t item = 0; item < plan.batches.count(); ++item) {
    for (const Span& span : plan.batches.of(plan.spans, item)) {
      const ChunkGrid grid = table.grid(span.tensor);
      opened[span.tensor].resize(grid.count());
      if (span.begin != grid.begin(span.chunk)) return false;
      for (uint64_t chunk = span.chunk; chunk < grid.count() && grid.begin(chunk) < std::max(span.end, span.begin + 1);
           ++chunk) {
        if (++opened[span.tensor][chunk] > 1 || grid.end(chunk) > span.end) return false;
      }
      if (span.whole) bytes(brought, span.tensor, span.begin, span.length(), span.destination);
      for (size_t i = span.touches_begin; i < span.touches_end; ++i) {
        const Copy& copy = copies[plan.touches[i]];
        const uint64_t begin = std::max(copy.start, span.begin);
        const uint64_t end = std::min(copy.start + copy.length, span.end);
        bytes(brought, span.tensor, begin, end - begin, copy.destination + begin - copy.start);
      }
    }
  }
  std::sort(wanted.begin(), wanted.end());
  std::sort(brought.begin(), brought.end());
  return wanted == brought;
}

}  // namespace

TEST(chunks_cover_a_tensor) {
  for (const uint64_t chunk : {uint64_t{1}, uint64_t{7}, uint64_t{64}, max_exact}) {
    for (const uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{6}, uint64_t{7}, uint64_t{8}, uint64_t{1000}}) {
      const ChunkGrid grid(length, chunk);
      CHECK(grid.count() == std::max<uint64_t>(1, (length + chunk - 1) / chunk));
      CHECK(grid.begin(0) == 0);
      CHECK(grid.end(grid.count() - 1) == length);
      for (uint64_t i = 1; i < grid.count(); ++i) CHECK(grid.begin(i) == grid.end(i - 1));
    }
  }
  // Version 1: all of it is one chunk, and an empty tensor has one too.
  CHECK(ChunkGrid(max_exact, 0).count() == 1);
  CHECK(ChunkGrid(max_exact, 0).end(0) == max_exact);
  CHECK(ChunkGrid(0, 0).count() == 1);
  CHECK(ChunkGrid(max_exact, max_exact).count() == 1);
}

TEST(counters_do_not_overflow) {
  Iv base{1, 2, 3, 4, 5, 6, 7, 8, 0xFF, 0xFF, 0xFF, 0xFE};
  CHECK(counter_has_room(base, 1));
  CHECK(counter_has_room(base, 2));
  CHECK(!counter_has_room(base, 3));
  CHECK((chunk_iv(base, 1) == Iv{1, 2, 3, 4, 5, 6, 7, 8, 0xFF, 0xFF, 0xFF, 0xFF}));
  base[10] = 0;
  CHECK((chunk_iv(base, 2) == Iv{1, 2, 3, 4, 5, 6, 7, 8, 0xFF, 0xFF, 1, 0}));
  const Iv zero{};
  CHECK(counter_has_room(zero, uint64_t{1} << 32));
  CHECK(!counter_has_room(zero, (uint64_t{1} << 32) + 1));
}

TEST(batches_hold_about_one_piece) {
  Batches batches;
  std::vector<int> spans;
  for (int i = 0; i < 100; ++i) {
    batches.add(300 << 10, 1);
    spans.push_back(i);
  }
  int next = 0;
  for (size_t item = 0; item < batches.count(); ++item) {
    const auto of = batches.of(spans, item);
    CHECK(!of.empty() && of.size() <= 6);
    for (const int span : of) CHECK(span == next++);
  }
  CHECK(next == 100);
  Batches large;
  large.add(uint64_t{1} << 40, 1);
  large.add(uint64_t{1} << 40, 1);
  CHECK(large.count() == 2);
  CHECK(Batches::chunks_that_fit({max_exact, max_exact}) == 1);
  CHECK(Batches::chunks_that_fit({max_exact, 2 << 20}) == 1);
  CHECK(Batches::chunks_that_fit({max_exact, 1 << 20}) == 2);
  CHECK(Batches::chunks_that_fit({max_exact, 64 << 10}) == 32);
}

TEST(plans_bring_what_was_asked_for) {
  const auto table = digested_table({0, 1, 99, 100, 101, 1000, 5}, 100);
  uint64_t state = 1;
  const auto random = [&](uint64_t limit) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (state >> 33) % (limit + 1);
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<Copy> copies;
    uint64_t to = 0;
    for (uint32_t tensor = 0; tensor < table->tensors(); ++tensor) {
      const uint64_t length = table->length(tensor);
      // Copies of one tensor overlap in some rounds, and not in others.
      for (uint64_t start = random(50); random(3) > 0 && start <= length; start += random(round % 2 == 0 ? 40 : 250)) {
        const uint64_t count = random(3) == 0 ? length - start : random(std::min<uint64_t>(length - start, 240));
        copies.push_back({tensor, start, count, to});
        to += count;
      }
    }
    check_copies(*table, copies, to);
    CHECK(is_right(*table, copies, plan_open(*table, copies)));
  }
}

TEST(plans_check_empty_tensors_too) {
  const auto table = digested_table({0, 0}, 100);
  const std::vector<Copy> copies{{0, 0, 0, 0}, {1, 0, 0, 0}};
  CHECK(plan_open(*table, copies).spans.size() == 2);
  CHECK(plan_open(*table, {}).batches.count() == 0);
}

TEST(copies_are_checked) {
  const auto table = digested_table({10, 20}, 100);
  const auto refused = [&](const std::vector<Copy>& copies) {
    try {
      check_copies(*table, copies, 100);
      return false;
    } catch (const std::invalid_argument&) {
      return true;
    }
  };
  CHECK(!refused({{0, 0, 10, 90}, {1, 5, 15, 0}, {1, 5, 0, 100}}));
  CHECK(refused({{2, 0, 0, 0}}));
  CHECK(refused({{0, 0, 11, 0}}));
  CHECK(refused({{0, 11, 0, 0}}));
  CHECK(refused({{0, max_exact, max_exact, 0}}));
  CHECK(refused({{0, 0, 10, 91}}));
  CHECK(refused({{0, 0, 1, UINT64_MAX}}));
  CHECK(refused({{1, 0, 1, 0}, {0, 0, 1, 1}}));
  CHECK(refused({{1, 1, 1, 0}, {1, 0, 1, 1}}));
}

}  // namespace cryptotensors
