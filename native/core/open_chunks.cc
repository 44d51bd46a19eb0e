#include "open_chunks.h"

namespace cryptotensors {
namespace {

// `context` is null for a chunk with a digest.
Fault open_chunk(const Table& table, size_t tensor, uint64_t chunk, const uint8_t* in, uint8_t* out, size_t length,
                 AeadContext* context) {
  const auto fault = [&](Code code, const char* message) {
    return Fault{.code = code,
                 .tensor = static_cast<int64_t>(tensor),
                 .chunk = static_cast<int64_t>(chunk),
                 .message = message};
  };
  if (context != nullptr) {
    const uint8_t* tag = table.tag(tensor, chunk);
    if (tag == nullptr || context->open(table.iv(tensor, chunk), in, out, length, tag)) return {};
    return fault(Code::bad_tag, "the authentication tag does not match");
  }
  const uint8_t* expected = table.digest(tensor, chunk);
  if (expected == nullptr) return {};
  std::array<uint8_t, digest_bytes> found;
  digest(table.digest_algorithm(), {in, length}, found.data());
  if (std::memcmp(found.data(), expected, digest_bytes) != 0) {
    return fault(Code::bad_digest, "the digest does not match");
  }
  copy_bytes(out, in, length);
  return {};
}

}  // namespace

Fault open_chunks(const Table& table, Provider provider, const Span& span, uint8_t* in, uint8_t* out, Worker& worker) {
  AeadContext* context = nullptr;
  switch (table.protection(span.tensor)) {
    case Protection::none:
      copy_bytes(out, in, static_cast<size_t>(span.length()));
      return {};
    case Protection::sealed:
      context = &worker.context(provider, table.algorithm());
      context->set_key(table.dek(span.tensor));
      break;
    case Protection::digested:
      break;
  }
  const ChunkGrid grid = table.grid(span.tensor);
  uint64_t chunk = span.chunk;
  do {
    const uint64_t offset = grid.begin(chunk) - span.begin;
    const auto length = static_cast<size_t>(grid.end(chunk) - grid.begin(chunk));
    if (Fault fault = open_chunk(table, span.tensor, chunk, in + offset, out + offset, length, context)) return fault;
  } while (grid.end(chunk++) < span.end);
  return {};
}

}  // namespace cryptotensors
