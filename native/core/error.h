// The outcome of byte work. Threads report a Fault; they never let an exception out.
#pragma once

#include <cstdint>
#include <string>

namespace cryptotensors {

enum class Code : uint8_t {
  ok,
  bad_tag,
  bad_digest,
  file_changed,
  file_error,
  closed,
  aborted,
  no_memory,
  // Memory that was to be worked on went away before.
  detached,
  invalid,
};

// What byte work was at when the system refused: what it reads or what it writes.
enum class Side : uint8_t { source, sink };

struct Fault {
  Code code = Code::ok;
  // Index of the tensor concerned and of the chunk within it, or -1.
  int64_t tensor = -1;
  int64_t chunk = -1;
  // errno (GetLastError on Windows) for Code::file_error, else 0.
  int system_errno = 0;
  Side side = Side::source;
  // For people. Never a key, never plaintext.
  std::string message;

  explicit operator bool() const noexcept { return code != Code::ok; }
};

}  // namespace cryptotensors
