// What one thread of the process has opened and others may use: a file and its table of DEKs, by an unguessable token.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "file.h"
#include "table.h"

namespace cryptotensors {

struct Share {
  // Null for a file in memory: each thread opens that for itself.
  std::shared_ptr<Source> source;
  std::shared_ptr<Table> table;
};

// Keeps what is shared until the token is withdrawn. Returns the token: 32 hexadecimal digits. Throws std::runtime_error.
std::string publish(Share share);
// Without a table: there is no such token (any more).
Share find_share(std::string_view token);
void withdraw(std::string_view token);

}  // namespace cryptotensors
