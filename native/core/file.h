// Where stored bytes come from and go to: files and caller's memory.
//
// Offsets are absolute and every call names its own, so any number of threads may use one Source or Sink at a time.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "bytes.h"
#include "error.h"

namespace cryptotensors {

// Part of a file as memory of the process. Whatever others write to the file may show in it, until this process writes to
// the page itself; if others cut the file, touching what is gone kills the process (SIGBUS). Nothing that must be verified
// may be read through it.
class Mapping {
 public:
  virtual ~Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  // Of whole pages.
  MutableByteSpan pages() const noexcept { return pages_; }
  // Where in the pages the wanted bytes begin.
  size_t offset() const noexcept { return offset_; }

 protected:
  Mapping(MutableByteSpan pages, size_t offset) noexcept : pages_(pages), offset_(offset) {}

 private:
  const MutableByteSpan pages_;
  const size_t offset_;
};

// What a file is known by, and who may use it: as its descriptor tells, so whatever its path leads to meanwhile.
struct FileStatus {
  uint64_t device, inode;
  // Permissions only, with the set-user-id, set-group-id and sticky bits.
  uint32_t mode;
  uint32_t uid, gid;
  // How many names it has.
  uint64_t links;
};

// Bytes to read. The size is the one at opening.
class Source {
 public:
  virtual ~Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  uint64_t size() const noexcept { return size_; }
  // Whether [offset, offset + length) lies within the size at opening.
  bool contains(uint64_t offset, uint64_t length) const noexcept { return offset <= size_ && length <= size_ - offset; }

  // Copies all of [offset, offset + out.size()) into `out`. Fewer bytes than that is Code::file_changed.
  virtual Fault read(uint64_t offset, MutableByteSpan out) const = 0;
  // Has the system begin to fetch these bytes, without waiting for them. Best effort.
  virtual void will_want(uint64_t, uint64_t) const noexcept {}
  // How many reads have found bytes missing in the system's cache and waited for the disk, as far as the system tells.
  uint64_t waits() const noexcept { return waits_.load(std::memory_order_relaxed); }
  // Code::file_changed if the file was written to or cut since it was opened, as far as the system tells.
  virtual Fault check_unchanged() const = 0;
  // Maps [offset, offset + length), which is not empty and lies within the source, privately. Code::invalid where that is
  // not to be had.
  virtual std::variant<std::unique_ptr<Mapping>, Fault> map(uint64_t offset, uint64_t length) const;
  // Nothing for memory, and where the system does not tell.
  virtual std::optional<FileStatus> status() const { return std::nullopt; }

 protected:
  explicit Source(uint64_t size) noexcept : size_(size) {}
  void count_wait() const noexcept { waits_.fetch_add(1, std::memory_order_relaxed); }

 private:
  const uint64_t size_;
  mutable std::atomic<uint64_t> waits_ = 0;
};

// Somewhere to write.
class Sink {
 public:
  virtual ~Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // Reserves `size` bytes of disk, so that a full disk shows before the work.
  virtual Fault allocate(uint64_t size) = 0;
  virtual Fault write(uint64_t offset, ByteSpan bytes) = 0;
  virtual Fault sync() = 0;
  // Nothing for memory, and where the system does not tell.
  virtual std::optional<FileStatus> status() const { return std::nullopt; }
  // Both go by the descriptor: whatever stands under the path meanwhile is not touched. They do nothing for memory.
  virtual Fault set_mode(uint32_t) { return {}; }
  // An id that is not given stays.
  virtual Fault set_owner(std::optional<uint32_t>, std::optional<uint32_t>) { return {}; }
  // The memory that is written to, empty for a file.
  virtual MutableByteSpan memory() noexcept { return {}; }

 protected:
  Sink() = default;
};

// Opens a regular file for reading; anything else is Code::file_error.
std::variant<std::shared_ptr<Source>, Fault> open_file(const std::string& utf8_path);
// Creates a file that was not there (O_EXCL) for writing. Where files can be locked it stays so as long as the sink is open,
// so that others can tell that somebody is at work.
std::variant<std::shared_ptr<Sink>, Fault> create_file(const std::string& utf8_path, uint32_t mode);
// Whether this system can tell a file that a sink holds from one that a process has left behind.
extern const bool locks_files;
// Removes a regular file of this user's that no sink holds, and says whether it did.
bool remove_abandoned(const std::string& utf8_path);

// The caller keeps the memory alive. It may be written to by others: see Source::read, which copies.
std::shared_ptr<Source> memory_source(ByteSpan bytes);
std::shared_ptr<Sink> memory_sink(MutableByteSpan bytes);

// A Code::file_error with the system's own words: "cannot open: No such file or directory".
Fault system_fault(const char* what, int system_errno);
// The same about a file that is being written.
Fault sink_fault(const char* what, int system_errno);

}  // namespace cryptotensors
