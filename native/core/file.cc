// What is the same on every system: caller's memory, and the wording of errors. The files are in file_posix.cc and
// file_windows.cc.
#include "file.h"

#include <system_error>

namespace cryptotensors {
namespace {

class MemorySource final : public Source {
 public:
  explicit MemorySource(ByteSpan bytes) noexcept : Source(bytes.size()), bytes_(bytes) {}

  Fault read(uint64_t offset, MutableByteSpan out) const override {
    if (!contains(offset, out.size())) {
      return {.code = Code::file_changed, .message = "the bytes end before the range that is to be read"};
    }
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }

  // Memory tells nobody that it was written to.
  Fault check_unchanged() const override { return {}; }

 private:
  const ByteSpan bytes_;
};

class MemorySink final : public Sink {
 public:
  explicit MemorySink(MutableByteSpan bytes) noexcept : bytes_(bytes) {}

  Fault allocate(uint64_t size) override {
    if (size <= bytes_.size()) return {};
    return {.code = Code::invalid,
            .message = std::to_string(size) + " bytes are to be written, but the destination holds " +
                       std::to_string(bytes_.size())};
  }

  Fault write(uint64_t offset, ByteSpan bytes) override {
    if (offset > bytes_.size() || bytes.size() > bytes_.size() - offset) {
      return {.code = Code::invalid, .message = "the destination ends before the range that is to be written"};
    }
    if (!bytes.empty()) std::memcpy(bytes_.data() + offset, bytes.data(), bytes.size());
    return {};
  }

  Fault sync() override { return {}; }
  MutableByteSpan memory() noexcept override { return bytes_; }

 private:
  const MutableByteSpan bytes_;
};

}  // namespace

std::variant<std::unique_ptr<Mapping>, Fault> Source::map(uint64_t, uint64_t) const {
  return Fault{.code = Code::invalid, .message = "only files can be mapped, and not on this system if this is one"};
}

std::shared_ptr<Source> memory_source(ByteSpan bytes) { return std::make_shared<MemorySource>(bytes); }

std::shared_ptr<Sink> memory_sink(MutableByteSpan bytes) { return std::make_shared<MemorySink>(bytes); }

Fault system_fault(const char* what, int system_errno) {
  return {.code = Code::file_error,
          .system_errno = system_errno,
          .message = std::string(what) + ": " + std::generic_category().message(system_errno)};
}

Fault sink_fault(const char* what, int system_errno) {
  Fault fault = system_fault(what, system_errno);
  fault.side = Side::sink;
  return fault;
}

}  // namespace cryptotensors
