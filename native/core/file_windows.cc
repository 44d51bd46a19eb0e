// Files on Windows.
#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

#include <algorithm>
#include <cerrno>

#include "file.h"

namespace cryptotensors {
namespace {

constexpr size_t max_transfer = size_t{1} << 30;

int errno_of(DWORD error) noexcept {
  switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
      return ENOENT;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
      return EACCES;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
      return EEXIST;
    case ERROR_TOO_MANY_OPEN_FILES:
      return EMFILE;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
      return ENOSPC;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
      return ENOMEM;
    default:
      return EIO;
  }
}

Fault last_fault(const char* what) { return system_fault(what, errno_of(::GetLastError())); }

class Handle {
 public:
  explicit Handle(HANDLE handle) noexcept : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(other.handle_) { other.handle_ = INVALID_HANDLE_VALUE; }
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    if (handle_ != INVALID_HANDLE_VALUE) ::CloseHandle(handle_);
  }
  HANDLE get() const noexcept { return handle_; }

 private:
  HANDLE handle_;
};

OVERLAPPED at(uint64_t offset) noexcept {
  OVERLAPPED position{};
  position.Offset = static_cast<DWORD>(offset);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return position;
}

struct Version {
  uint64_t size, modified;
  bool operator==(const Version&) const = default;
};

Version version_of(const BY_HANDLE_FILE_INFORMATION& info) noexcept {
  return {uint64_t{info.nFileSizeHigh} << 32 | info.nFileSizeLow,
          uint64_t{info.ftLastWriteTime.dwHighDateTime} << 32 | info.ftLastWriteTime.dwLowDateTime};
}

class FileSource final : public Source {
 public:
  FileSource(Handle file, Version version) noexcept
      : Source(version.size), file_(std::move(file)), version_(version) {}

  Fault read(uint64_t offset, MutableByteSpan out) const override {
    while (!out.empty()) {
      OVERLAPPED position = at(offset);
      DWORD got = 0;
      const auto wanted = static_cast<DWORD>(std::min(out.size(), max_transfer));
      if (!::ReadFile(file_.get(), out.data(), wanted, &got, &position) && ::GetLastError() != ERROR_HANDLE_EOF) {
        return last_fault("cannot read");
      }
      if (got == 0) {
        return {.code = Code::file_changed,
                .message = "it was " + std::to_string(size()) + " bytes long when it was opened and has become shorter"};
      }
      out = out.subspan(got);
      offset += got;
    }
    return {};
  }

  Fault check_unchanged() const override {
    BY_HANDLE_FILE_INFORMATION now{};
    if (!::GetFileInformationByHandle(file_.get(), &now)) return last_fault("cannot get the file's status");
    if (version_of(now) == version_) return {};
    return {.code = Code::file_changed, .message = "its size or modification time is not what it was at opening"};
  }

 private:
  const Handle file_;
  const Version version_;
};

class FileSink final : public Sink {
 public:
  explicit FileSink(Handle file) noexcept : file_(std::move(file)) {}

  Fault allocate(uint64_t size) override {
    FILE_ALLOCATION_INFO allocation{};
    allocation.AllocationSize.QuadPart = static_cast<LONGLONG>(size);
    FILE_END_OF_FILE_INFO end{};
    end.EndOfFile.QuadPart = static_cast<LONGLONG>(size);
    if (::SetFileInformationByHandle(file_.get(), FileAllocationInfo, &allocation, sizeof allocation) &&
        ::SetFileInformationByHandle(file_.get(), FileEndOfFileInfo, &end, sizeof end)) {
      return {};
    }
    return sink_fault("cannot reserve space", errno_of(::GetLastError()));
  }

  Fault write(uint64_t offset, ByteSpan bytes) override {
    while (!bytes.empty()) {
      OVERLAPPED position = at(offset);
      DWORD put = 0;
      const auto wanted = static_cast<DWORD>(std::min(bytes.size(), max_transfer));
      if (!::WriteFile(file_.get(), bytes.data(), wanted, &put, &position)) return sink_fault("cannot write", errno_of(::GetLastError()));
      if (put == 0) return sink_fault("cannot write", ENOSPC);
      bytes = bytes.subspan(put);
      offset += put;
    }
    return {};
  }

  Fault sync() override {
    if (::FlushFileBuffers(file_.get())) return {};
    return sink_fault("cannot flush to disk", errno_of(::GetLastError()));
  }

 private:
  const Handle file_;
};

std::wstring wide(const std::string& utf8) {
  const int length = static_cast<int>(utf8.size());
  const int units = ::MultiByteToWideChar(CP_UTF8, 0, utf8.data(), length, nullptr, 0);
  std::wstring text(static_cast<size_t>(std::max(units, 0)), L'\0');
  ::MultiByteToWideChar(CP_UTF8, 0, utf8.data(), length, text.data(), units);
  return text;
}

}  // namespace

std::variant<std::shared_ptr<Source>, Fault> open_file(const std::string& utf8_path) {
  // Others may rename and delete the file meanwhile, as on other systems.
  constexpr DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  Handle file(::CreateFileW(wide(utf8_path).c_str(), GENERIC_READ, share, nullptr, OPEN_EXISTING,
                            FILE_FLAG_BACKUP_SEMANTICS, nullptr));
  if (file.get() == INVALID_HANDLE_VALUE) return last_fault("cannot open");
  BY_HANDLE_FILE_INFORMATION info{};
  if (!::GetFileInformationByHandle(file.get(), &info)) return last_fault("cannot get the file's status");
  if ((info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) return system_fault("cannot open", EISDIR);
  if (::GetFileType(file.get()) != FILE_TYPE_DISK) {
    return Fault{.code = Code::file_error, .message = "it is not a regular file"};
  }
  return std::make_shared<FileSource>(std::move(file), version_of(info));
}

std::variant<std::shared_ptr<Sink>, Fault> create_file(const std::string& utf8_path, uint32_t mode) {
  const DWORD attributes = (mode & 0200) == 0 ? FILE_ATTRIBUTE_READONLY : FILE_ATTRIBUTE_NORMAL;
  Handle file(::CreateFileW(wide(utf8_path).c_str(), GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
                            CREATE_NEW, attributes, nullptr));
  if (file.get() == INVALID_HANDLE_VALUE) return sink_fault("cannot create", errno_of(::GetLastError()));
  return std::make_shared<FileSink>(std::move(file));
}

const bool locks_files = false;

bool remove_abandoned(const std::string&) { return false; }

}  // namespace cryptotensors

#endif
