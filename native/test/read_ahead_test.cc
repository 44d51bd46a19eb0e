// Reading ahead: what is asked for, how often, and that a file outside the system's cache is noticed.
#include <algorithm>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "../core/read_ahead.h"
#include "check.h"

namespace cryptotensors {
namespace {

// Remembers what it was asked for.
class Recorder final : public Source {
 public:
  Recorder() : Source(1'000'000) {}
  Fault read(uint64_t, MutableByteSpan) const override { return {}; }
  Fault check_unchanged() const override { return {}; }
  void will_want(uint64_t offset, uint64_t length) const noexcept override { asked.emplace_back(offset, length); }

  mutable std::vector<std::pair<uint64_t, uint64_t>> asked;
};

TEST(neighbouring_ranges_are_asked_for_together) {
  using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;
  const Recorder source, other;
  {
    WantedRanges ranges;
    ranges.add(source, 10, 5);
    ranges.add(source, 15, 5);
    ranges.add(source, 30, 1);
    ranges.add(other, 31, 4);
    ranges.add(other, 35, 0);
  }
  CHECK((source.asked == Ranges{{10, 10}, {30, 1}}));
  CHECK((other.asked == Ranges{{31, 4}}));
}

TEST(nothing_is_asked_for_twice_nor_too_far_ahead) {
  constexpr size_t count = 100;
  ReadAhead ahead;
  std::vector<size_t> asked;
  const auto take = [&](size_t item) {
    ahead.from(item, count, [&](size_t next, WantedRanges&) {
      CHECK(next > item && next <= item + ReadAhead::distance && next < count);
      asked.push_back(next);
    });
  };
  take(3);
  CHECK((asked == std::vector<size_t>{4, 5, 6, 7, 8, 9, 10, 11}));
  take(2);
  CHECK(asked.size() == 8);
  take(5);
  CHECK(asked.size() == 10 && asked.back() == 13);
  // One that left the others far behind.
  take(90);
  CHECK((asked.size() == 18 && asked[10] == 91 && asked.back() == 98));
  take(99);
  CHECK(asked.size() == 18);
  take(96);
  CHECK(asked.size() == 19 && asked.back() == 99);
}

TEST(threads_share_what_is_asked_for) {
  constexpr size_t count = 20'000;
  ReadAhead ahead;
  std::atomic<size_t> item = 0;
  std::mutex mutex;
  std::vector<size_t> asked;
  const auto work = [&] {
    for (size_t i = item++; i < count; i = item++) {
      ahead.from(i, count, [&](size_t next, WantedRanges&) {
        const std::lock_guard lock(mutex);
        asked.push_back(next);
      });
    }
  };
  std::thread first(work), second(work);
  first.join();
  second.join();
  std::sort(asked.begin(), asked.end());
  CHECK(std::adjacent_find(asked.begin(), asked.end()) == asked.end());
  CHECK(!asked.empty() && asked.back() == count - 1);
}

#if defined(__linux__)
bool is_cached(int fd, size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  CHECK(memory != MAP_FAILED);
  std::vector<unsigned char> pages((size + 4095) / 4096);
  CHECK(::mincore(memory, size, pages.data()) == 0);
  ::munmap(memory, size);
  return std::all_of(pages.begin(), pages.end(), [](unsigned char page) { return (page & 1) != 0; });
}

TEST(a_file_outside_the_cache_is_noticed) {
  std::string path = "/var/tmp/cryptotensors-check-XXXXXX";
  const int fd = ::mkstemp(path.data());
  CHECK(fd >= 0);
  const std::vector<uint8_t> bytes = checks::noise(3 << 20, 7);
  CHECK(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  CHECK(::fsync(fd) == 0);

  auto opened = open_file(path);
  CHECK(std::holds_alternative<std::shared_ptr<Source>>(opened));
  const auto source = std::get<std::shared_ptr<Source>>(opened);
  std::vector<uint8_t> out(bytes.size());
  CHECK(!source->read(0, out));
  CHECK(out == bytes);
  const uint64_t cached = source->waits();

  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  // A file system that is a cache itself (tmpfs) forgets nothing.
  const bool forgotten = !is_cached(fd, bytes.size());
  std::fill(out.begin(), out.end(), uint8_t{0});
  CHECK(!source->read(0, out));
  CHECK(out == bytes);
  CHECK((source->waits() > cached) == forgotten);
  source->will_want(0, out.size());
  // Past the end the answer is the same as without the short cut.
  CHECK(source->read(out.size() - 10, MutableByteSpan(out).first(20)).code == Code::file_changed);
  ::close(fd);
  ::unlink(path.c_str());
}
#endif

}  // namespace
}  // namespace cryptotensors
