// Sealing and opening end to end, in memory and in files, under contention.
#include <algorithm>
#include <filesystem>
#include <latch>
#include <random>
#include <utility>

#include "../core/open_box_job.h"
#include "../core/open_job.h"
#include "../core/seal_job.h"
#include "check.h"

namespace cryptotensors {
namespace {

std::string base64(ByteSpan bytes) {
  constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < left ? bytes[i + k] : 0U);
    for (size_t k = 0; k < 4; ++k) text += k <= left ? alphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

// Tensors sealed into memory, and the table that their header would make.
struct Sealed {
  std::vector<uint8_t> plaintext, stored;
  std::shared_ptr<Table> table;
};

Sealed seal(const std::vector<uint64_t>& lengths, Algorithm algorithm, unsigned version, uint64_t chunk_bytes) {
  Sealed sealed;
  TableSpec table;
  SealSpec spec;
  for (const uint64_t length : lengths) {
    const uint64_t at = table.end.empty() ? 0 : table.end.back();
    table.begin.push_back(at);
    table.end.push_back(at + length);
    spec.items.push_back({0, at, length, at, SealMode::encrypt});
  }
  sealed.plaintext = checks::noise(static_cast<size_t>(table.end.back()), 1);
  sealed.stored.resize(sealed.plaintext.size());
  const auto master = std::make_shared<Secret>(Secret::random(key_bytes(algorithm)));
  spec.sources = {memory_source(sealed.plaintext)};
  spec.sink = memory_sink(sealed.stored);
  spec.encryption = {algorithm, version, chunk_bytes, master};
  const auto job = std::make_shared<SealJob>(std::move(spec));
  Pool::instance().run(job);
  CHECK(!job->fault());

  std::string document;
  std::vector<int32_t> records;
  ByteSpan packed = job->packed();
  for (size_t i = 0; i < lengths.size(); ++i) {
    records.push_back(static_cast<int32_t>(i));
    const size_t tags = static_cast<size_t>(ChunkGrid(lengths[i], chunk_bytes).count()) * tag_bytes;
    for (const size_t size : {key_bytes(algorithm), iv_bytes, tag_bytes, iv_bytes, tags}) {
      records.push_back(static_cast<int32_t>(document.size()));
      document += base64(packed.first(size));
      records.push_back(static_cast<int32_t>(document.size()));
      packed = packed.subspan(size);
    }
  }
  CHECK(packed.empty());
  table.encryption = {algorithm, version, chunk_bytes, document, records};
  auto made = Table::create(std::move(table));
  CHECK(std::holds_alternative<std::shared_ptr<Table>>(made));
  sealed.table = std::get<std::shared_ptr<Table>>(made);
  CHECK(!sealed.table->unwrap(std::as_const(*master).span()));
  return sealed;
}

std::vector<Copy> everything(const Table& table) {
  std::vector<Copy> copies;
  for (uint32_t i = 0; i < table.tensors(); ++i) copies.push_back({i, 0, table.length(i), table.position(i)});
  return copies;
}

// What destinations hold before a job.
constexpr uint8_t untouched = 0xAA;

// What a job wrote has been wiped, and it wrote nowhere else.
bool wiped_or_untouched(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0 || byte == untouched; });
}

bool all_untouched(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == untouched; });
}

}  // namespace

TEST(what_was_sealed_opens) {
  for (const Algorithm algorithm : all_algorithms) {
    for (const uint64_t chunk : {0, 100, 4096, 1 << 20}) {
      const Sealed sealed = seal({0, 5, 4096, 10000, 0, 3000000, 1}, algorithm, chunk == 0 ? 1 : 2, chunk);
      CHECK(sealed.stored != sealed.plaintext);
      std::vector<uint8_t> out(sealed.stored.size(), untouched);
      const auto job = std::make_shared<OpenJob>(sealed.table, memory_source(sealed.stored), MutableByteSpan(out),
                                                 everything(*sealed.table), 0);
      Pool::instance().run(job);
      CHECK(!job->fault());
      CHECK(out == sealed.plaintext);
      CHECK(job->done() == job->total());
    }
  }
}

TEST(what_was_changed_does_not_open) {
  Sealed sealed = seal({100000, 3000000}, Algorithm::aes256gcm, 2, 50000);
  for (const size_t at : {size_t{0}, size_t{99999}, size_t{100000}, size_t{3099999}}) {
    sealed.stored[at] ^= 1;
    std::vector<uint8_t> out(sealed.stored.size(), untouched);
    const auto job = std::make_shared<OpenJob>(sealed.table, memory_source(sealed.stored), MutableByteSpan(out),
                                               everything(*sealed.table), 0);
    Pool::instance().run(job);
    CHECK(job->fault().code == Code::bad_tag);
    CHECK(job->fault().tensor == (at < 100000 ? 0 : 1));
    CHECK(job->fault().chunk == static_cast<int64_t>((at < 100000 ? at : at - 100000) / 50000));
    CHECK(wiped_or_untouched(out));
    // The item in which it lies had been taken up.
    CHECK(out[at] == 0);
    sealed.stored[at] ^= 1;
  }
}

namespace {

// What a box wants, run by run, of the bytes of its tensor.
std::vector<uint8_t> picked(ByteSpan tensor, const Box& box) {
  const BoxRuns runs(box, tensor.size());
  std::vector<uint8_t> bytes;
  for (uint64_t run = 0; run < runs.count(); ++run) {
    const ByteSpan wanted = tensor.subspan(static_cast<size_t>(runs.start_of(run)), static_cast<size_t>(box.length));
    bytes.insert(bytes.end(), wanted.begin(), wanted.end());
  }
  return bytes;
}

// Of tensor 1: narrow columns, whole rows, every other matrix, runs across chunks, and the last byte.
std::vector<Box> boxes_of(uint64_t length) {
  return {{.tensor = 1, .start = 0, .length = length, .levels = {}},
          {.tensor = 1, .start = length - 1, .length = 1, .levels = {}},
          {.tensor = 1, .start = 3, .length = 4, .levels = {{length / 100 - 1, 100}}},
          {.tensor = 1, .start = 0, .length = 99999, .levels = {{length / 100000, 100000}}},
          {.tensor = 1, .start = 7, .length = 10, .levels = {{3, length / 4}, {20, 1000}, {5, 100}}}};
}

}  // namespace

TEST(boxes_bring_what_was_asked_for) {
  constexpr uint64_t length = 3000000;
  for (const Algorithm algorithm : all_algorithms) {
    for (const uint64_t chunk : {0, 999, 4096, 1 << 20, 1 << 23}) {
      const Sealed sealed = seal({5, length, 77}, algorithm, chunk == 0 ? 1 : 2, chunk);
      for (const Box& box : boxes_of(length)) {
        const std::vector<uint8_t> wanted = picked(ByteSpan(sealed.plaintext).subspan(5, length), box);
        std::vector<uint8_t> out(wanted.size() + 3, untouched);
        const auto job =
            std::make_shared<BoxJob>(sealed.table, memory_source(sealed.stored), MutableByteSpan(out), box, 0);
        Pool::instance().run(job);
        CHECK(!job->fault());
        CHECK(job->total() == wanted.size() && job->done() == wanted.size());
        CHECK(std::equal(wanted.begin(), wanted.end(), out.begin()));
        CHECK(all_untouched(ByteSpan(out).last(3)));
      }
    }
  }
}

TEST(boxes_do_not_open_what_was_changed) {
  constexpr uint64_t length = 3000000, chunk = 50000;
  Sealed sealed = seal({5, length, 77}, Algorithm::aes256gcm, 2, chunk);
  const auto fault_of = [&](const Box& box, std::vector<uint8_t>& out) {
    out.assign(static_cast<size_t>(BoxRuns(box, length).bytes()) + 3, untouched);
    const auto job = std::make_shared<BoxJob>(sealed.table, memory_source(sealed.stored), MutableByteSpan(out), box, 0);
    Pool::instance().run(job);
    return job->fault();
  };
  std::vector<uint8_t> out;
  // A column in every row: each chunk counts, also where the changed byte itself is not asked for.
  const Box column{.tensor = 1, .start = 3, .length = 4, .levels = {{length / 100 - 1, 100}}};
  for (const uint64_t at : {uint64_t{0}, uint64_t{chunk}, length / 2 + 1, length - 1}) {
    sealed.stored[static_cast<size_t>(5 + at)] ^= 1;
    const Fault fault = fault_of(column, out);
    CHECK(fault.code == Code::bad_tag);
    CHECK(fault.tensor == 1);
    CHECK(fault.chunk == static_cast<int64_t>(at / chunk));
    CHECK(wiped_or_untouched(out));
    CHECK(all_untouched(ByteSpan(out).last(3)));
    // The chunk beside it is not affected.
    const uint64_t other = at < chunk ? chunk : 0;
    CHECK(!fault_of({.tensor = 1, .start = other, .length = 100, .levels = {}}, out));
    sealed.stored[static_cast<size_t>(5 + at)] ^= 1;
  }
  CHECK(!fault_of(column, out));
}

TEST(boxes_are_checked) {
  const Sealed sealed = seal({5, 1000, 0}, Algorithm::aes256gcm, 2, 100);
  std::vector<uint8_t> out(1000);
  const auto refused = [&](Box box) {
    try {
      BoxJob(sealed.table, memory_source(sealed.stored), MutableByteSpan(out), std::move(box), 0);
      return false;
    } catch (const std::invalid_argument&) {
      return true;
    }
  };
  CHECK(!refused({.tensor = 1, .start = 0, .length = 1000, .levels = {}}));
  CHECK(refused({.tensor = 3, .start = 0, .length = 1, .levels = {}}));
  CHECK(refused({.tensor = 2, .start = 0, .length = 1, .levels = {}}));
  CHECK(refused({.tensor = 1, .start = 0, .length = 0, .levels = {}}));
  CHECK(refused({.tensor = 1, .start = 1, .length = 1000, .levels = {}}));
  CHECK(refused({.tensor = 1, .start = 0, .length = 10, .levels = {{2, 9}}}));
  CHECK(refused({.tensor = 1, .start = 0, .length = 10, .levels = {{0, 10}}}));
  CHECK(refused({.tensor = 1, .start = 0, .length = 10, .levels = {{UINT64_MAX, 10}}}));
  CHECK(refused({.tensor = 1, .start = 0, .length = 10, .levels = {{2, UINT64_MAX}}}));
  // More than the destination holds.
  out.resize(999);
  CHECK(refused({.tensor = 1, .start = 0, .length = 1000, .levels = {}}));
}

/** Runs jobs at once, a third of them cancelled: each gives what is wanted, or was aborted and leaves nothing of it. */
template <typename Job, typename Make>
void run_side_by_side(size_t jobs, const std::vector<uint8_t>& wanted, const Make& make) {
  std::vector<std::vector<uint8_t>> out(jobs, std::vector<uint8_t>(wanted.size(), untouched));
  std::vector<std::shared_ptr<Job>> running;
  std::latch ended(static_cast<std::ptrdiff_t>(jobs));
  for (size_t i = 0; i < jobs; ++i) {
    std::shared_ptr<Job> job = make(MutableByteSpan(out[i]), static_cast<unsigned>(i % 4));
    job->on_end([&ended] { ended.count_down(); });
    Pool::instance().start(job);
    if (i % 3 == 1) job->cancel();
    running.push_back(std::move(job));
  }
  ended.wait();
  for (size_t i = 0; i < jobs; ++i) {
    if (running[i]->fault()) {
      CHECK(running[i]->fault().code == Code::aborted);
      CHECK(wiped_or_untouched(out[i]));
    } else {
      CHECK(out[i] == wanted);
    }
  }
}

TEST(boxes_share_the_pool_and_are_cancelled) {
  Pool::instance().set_size(4);
  constexpr uint64_t length = 3000000;
  const Sealed sealed = seal({5, length}, Algorithm::chacha20poly1305, 2, 4096);
  const auto source = memory_source(sealed.stored);
  const Box box{.tensor = 1, .start = 3, .length = 40, .levels = {{length / 100 - 1, 100}}};
  const std::vector<uint8_t> wanted = picked(ByteSpan(sealed.plaintext).subspan(5, length), box);
  run_side_by_side<BoxJob>(40, wanted, [&](MutableByteSpan out, unsigned threads) {
    return std::make_shared<BoxJob>(sealed.table, source, out, box, threads);
  });
}

TEST(many_jobs_share_the_pool) {
  Pool::instance().set_size(4);
  const Sealed sealed = seal({0, 5, 4096, 10000, 3000000}, Algorithm::chacha20poly1305, 2, 4096);
  const auto source = memory_source(sealed.stored);
  run_side_by_side<OpenJob>(60, sealed.plaintext, [&](MutableByteSpan out, unsigned threads) {
    return std::make_shared<OpenJob>(sealed.table, source, out, everything(*sealed.table), threads);
  });
}

TEST(files_are_read_written_and_watched) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path();
  const std::string path = (folder / ("cryptotensors-jobs-test-" + std::to_string(std::random_device()()))).string();
  const Sealed sealed = seal({4096, 3000000}, Algorithm::aes128gcm, 2, 1 << 20);
  {
    auto created = create_file(path, 0600);
    const auto sink = std::get<std::shared_ptr<Sink>>(created);
    CHECK(!sink->allocate(sealed.stored.size()));
    CHECK(!sink->write(0, sealed.stored));
    CHECK(!sink->sync());
    CHECK(std::get<Fault>(create_file(path, 0600)).code == Code::file_error);
  }
  const auto source = std::get<std::shared_ptr<Source>>(open_file(path));
  CHECK(source->size() == sealed.stored.size());
  std::vector<uint8_t> out(sealed.stored.size(), untouched);
  const auto open = [&] {
    const auto job = std::make_shared<OpenJob>(sealed.table, source, MutableByteSpan(out), everything(*sealed.table), 0);
    Pool::instance().run(job);
    return job->fault().code;
  };
  CHECK(open() == Code::ok);
  CHECK(out == sealed.plaintext);
  std::filesystem::resize_file(path, sealed.stored.size() - 1);
  CHECK(open() == Code::file_changed);
  CHECK(wiped_or_untouched(out));
  CHECK(source->check_unchanged().code == Code::file_changed);
  std::filesystem::remove(path);
  CHECK(std::get<Fault>(open_file(path)).code == Code::file_error);
}

TEST(base_ivs_have_room) {
  for (int i = 0; i < 200; ++i) {
    // A counter that overflows would be a fault of the table.
    const Sealed sealed = seal({1000}, Algorithm::aes256gcm, 2, 1);
    CHECK(sealed.table->grid(0).count() == 1000);
  }
}

}  // namespace cryptotensors
