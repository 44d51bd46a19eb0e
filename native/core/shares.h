// What one thread of the process has opened and others may use: a file and its table of DEKs, by an unguessable token.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "file.h"
#include "table.h"

namespace cryptotensors {

struct Share {
  // Null for a file in memory: each thread opens that for itself.
  std::shared_ptr<Source> source;
  std::shared_ptr<Table> table;
  // What its opening found out and decided, for JavaScript to read back. In here nobody can change it.
  std::shared_ptr<const std::vector<uint8_t>> facts;
};

// Keeps what is shared until it is withdrawn or goes away itself.
class Publication {
 public:
  // Throws std::runtime_error.
  explicit Publication(Share share);
  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;
  ~Publication() { withdraw(); }

  // 32 hexadecimal digits.
  const std::string& token() const noexcept { return token_; }
  // Nobody attaches any more. Idempotent, on any thread.
  void withdraw() const noexcept;

 private:
  const std::string token_;
};

// Without a table: there is no such token (any more).
Share find_share(std::string_view token);

}  // namespace cryptotensors
