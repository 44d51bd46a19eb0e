// Files on Linux and macOS.
#if !defined(_WIN32)

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "file.h"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace cryptotensors {
namespace {

// Linux transfers at most 0x7ffff000 bytes a call, macOS refuses more than INT_MAX.
constexpr size_t max_transfer = size_t{1} << 30;

// Runs a system call again when a signal interrupted it.
template <typename Call>
auto retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// What changes when somebody writes to the file or cuts it. The change time is left out: a rename changes it too.
struct Version {
  int64_t size, seconds, nanoseconds;
  bool operator==(const Version&) const = default;
};

Version version_of(const struct stat& status) noexcept {
#if defined(__APPLE__)
  const struct timespec& modified = status.st_mtimespec;
#else
  const struct timespec& modified = status.st_mtim;
#endif
  return {int64_t{status.st_size}, int64_t{modified.tv_sec}, int64_t{modified.tv_nsec}};
}

std::optional<FileStatus> status_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return std::nullopt;
  return FileStatus{.device = static_cast<uint64_t>(status.st_dev),
                    .inode = static_cast<uint64_t>(status.st_ino),
                    .mode = static_cast<uint32_t>(status.st_mode & 07777),
                    .uid = static_cast<uint32_t>(status.st_uid),
                    .gid = static_cast<uint32_t>(status.st_gid),
                    .links = static_cast<uint64_t>(status.st_nlink)};
}

class FileMapping final : public Mapping {
 public:
  FileMapping(MutableByteSpan pages, size_t offset) noexcept : Mapping(pages, offset) {}
  ~FileMapping() override { ::munmap(pages().data(), pages().size()); }
};

class FileSource final : public Source {
 public:
  FileSource(Descriptor file, const struct stat& status)
      : Source(static_cast<uint64_t>(status.st_size)), file_(std::move(file)), version_(version_of(status)) {}

  Fault read(uint64_t offset, MutableByteSpan out) const override {
    const size_t cached = read_cached(offset, out);
    out = out.subspan(cached);
    offset += cached;
    while (!out.empty()) {
      const size_t wanted = std::min(out.size(), max_transfer);
      const ssize_t got =
          retry([&] { return ::pread(file_.get(), out.data(), wanted, static_cast<off_t>(offset)); });
      if (got < 0) return system_fault("cannot read", errno);
      if (got == 0) {
        return {.code = Code::file_changed,
                .message = "it was " + std::to_string(size()) + " bytes long when it was opened and has become shorter"};
      }
      out = out.subspan(static_cast<size_t>(got));
      offset += static_cast<uint64_t>(got);
    }
    return {};
  }

  void will_want(uint64_t offset, uint64_t length) const noexcept override {
#if defined(__linux__)
    ::posix_fadvise(file_.get(), static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
#else
    (void)offset, (void)length;
#endif
  }

  std::optional<FileStatus> status() const override { return status_of(file_.get()); }

  Fault check_unchanged() const override {
    struct stat now {};
    if (::fstat(file_.get(), &now) != 0) return system_fault("cannot get the file's status", errno);
    if (version_of(now) == version_) return {};
    return {.code = Code::file_changed, .message = "its size or modification time is not what it was at opening"};
  }

  std::variant<std::unique_ptr<Mapping>, Fault> map(uint64_t offset, uint64_t length) const override {
    if (Fault changed = check_unchanged()) return changed;
    static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    const auto within = static_cast<size_t>(offset % page);
    const size_t size = within + static_cast<size_t>(length);
    // Writable, because JavaScript writes where it likes; private, so that no write reaches the file.
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file_.get(), static_cast<off_t>(offset - within));
    if (memory == MAP_FAILED) return system_fault("cannot map", errno);
    return std::make_unique<FileMapping>(MutableByteSpan{static_cast<uint8_t*>(memory), size}, within);
  }

 private:
  // What of the range is to be had without waiting for the disk, in bytes from its start.
  size_t read_cached(uint64_t offset, MutableByteSpan out) const noexcept {
    size_t done = 0;
#if defined(__linux__) && defined(RWF_NOWAIT) && defined(SYS_preadv2) && defined(__LP64__)
    const iovec wanted{out.data(), std::min(out.size(), max_transfer)};
    // The call itself: C libraries have a function for it since glibc 2.26 and musl 1.2.5 only, and the addon loads on older ones.
    const long position = static_cast<long>(offset);
    const ssize_t got = retry(
        [&] { return ::syscall(SYS_preadv2, long{file_.get()}, &wanted, 1L, position, 0L, long{RWF_NOWAIT}); });
    // Some file systems do not know the flag; then nothing is known.
    if (got >= 0 || errno == EAGAIN) done = static_cast<size_t>(std::max<ssize_t>(got, 0));
    else return 0;
    if (done < wanted.iov_len) count_wait();
#else
    (void)offset, (void)out;
#endif
    return done;
  }

  const Descriptor file_;
  const Version version_;
};

class FileSink final : public Sink {
 public:
  explicit FileSink(Descriptor file) noexcept : file_(std::move(file)) {}

  Fault allocate(uint64_t size) override {
#if defined(__linux__)
    // Not posix_fallocate: where the file system cannot reserve space, that writes to every block instead.
    if (size == 0) return {};
    if (retry([&] { return ::fallocate(file_.get(), 0, 0, static_cast<off_t>(size)); }) == 0) return {};
    if (errno != EOPNOTSUPP && errno != ENOSYS) return sink_fault("cannot reserve space", errno);
#elif defined(__APPLE__)
    fstore_t store{F_ALLOCATEALL, F_PEOFPOSMODE, 0, static_cast<off_t>(size), 0};
    if (::fcntl(file_.get(), F_PREALLOCATE, &store) != 0 && errno == ENOSPC) {
      return sink_fault("cannot reserve space", errno);
    }
#endif
    if (retry([&] { return ::ftruncate(file_.get(), static_cast<off_t>(size)); }) == 0) return {};
    return sink_fault("cannot set the file's size", errno);
  }

  Fault write(uint64_t offset, ByteSpan bytes) override {
    while (!bytes.empty()) {
      const size_t wanted = std::min(bytes.size(), max_transfer);
      const ssize_t put =
          retry([&] { return ::pwrite(file_.get(), bytes.data(), wanted, static_cast<off_t>(offset)); });
      if (put < 0) return sink_fault("cannot write", errno);
      if (put == 0) return sink_fault("cannot write", ENOSPC);
      bytes = bytes.subspan(static_cast<size_t>(put));
      offset += static_cast<uint64_t>(put);
    }
    return {};
  }

  Fault sync() override {
#if defined(__APPLE__)
    // On macOS fsync does not reach the disk; file systems that know no F_FULLFSYNC still know fsync.
    if (::fcntl(file_.get(), F_FULLFSYNC) == 0) return {};
#endif
    if (retry([&] { return ::fsync(file_.get()); }) == 0) return {};
    return sink_fault("cannot flush to disk", errno);
  }

  std::optional<FileStatus> status() const override { return status_of(file_.get()); }

  Fault set_mode(uint32_t mode) override {
    if (retry([&] { return ::fchmod(file_.get(), static_cast<mode_t>(mode)); }) == 0) return {};
    return sink_fault("cannot set the permissions", errno);
  }

  Fault set_owner(std::optional<uint32_t> uid, std::optional<uint32_t> gid) override {
    const uid_t owner = uid ? static_cast<uid_t>(*uid) : static_cast<uid_t>(-1);
    const gid_t group = gid ? static_cast<gid_t>(*gid) : static_cast<gid_t>(-1);
    if (retry([&] { return ::fchown(file_.get(), owner, group); }) == 0) return {};
    return sink_fault("cannot set the owner", errno);
  }

 private:
  const Descriptor file_;
};

}  // namespace

std::variant<std::shared_ptr<Source>, Fault> open_file(const std::string& utf8_path) {
  // O_NONBLOCK: opening a FIFO would otherwise wait for its writer. It means nothing for a regular file.
  const int fd = retry([&] { return ::open(utf8_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (fd < 0) return system_fault("cannot open", errno);
  Descriptor file(fd);
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_fault("cannot get the file's status", errno);
  if (S_ISDIR(status.st_mode)) return system_fault("cannot open", EISDIR);
  if (!S_ISREG(status.st_mode)) return Fault{.code = Code::file_error, .message = "it is not a regular file"};
  return std::make_shared<FileSource>(std::move(file), status);
}

std::variant<std::shared_ptr<Sink>, Fault> create_file(const std::string& utf8_path, uint32_t mode) {
  const int fd = retry(
      [&] { return ::open(utf8_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, static_cast<mode_t>(mode)); });
  if (fd < 0) return sink_fault("cannot create", errno);
  Descriptor file(fd);
  // Between the two calls somebody could take the file for an abandoned one: then it is as if the name had been taken. Where
  // a file system knows no locks nobody takes it for one.
  const bool busy = ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  const auto status = status_of(fd);
  if (busy || (status && status->links == 0)) return sink_fault("cannot create", EEXIST);
  return std::make_shared<FileSink>(std::move(file));
}

const bool locks_files = true;

bool remove_abandoned(const std::string& utf8_path) {
  constexpr int flags = O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
  // To write, because some network file systems lock nothing that is open for reading only.
  int fd = retry([&] { return ::open(utf8_path.c_str(), O_RDWR | flags); });
  if (fd < 0 && errno == EACCES) fd = retry([&] { return ::open(utf8_path.c_str(), O_RDONLY | flags); });
  if (fd < 0) return false;
  const Descriptor file(fd);
  struct stat own {}, found {};
  if (::fstat(fd, &own) != 0 || !S_ISREG(own.st_mode) || own.st_uid != ::geteuid()) return false;
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return false;
  if (::lstat(utf8_path.c_str(), &found) != 0 || found.st_ino != own.st_ino || found.st_dev != own.st_dev) return false;
  return ::unlink(utf8_path.c_str()) == 0;
}

}  // namespace cryptotensors

#endif
