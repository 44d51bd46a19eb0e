#include "deks.h"

#include <stdexcept>

namespace cryptotensors {
namespace {

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

std::unique_ptr<AeadContext> context_of(Algorithm algorithm, ByteSpan master) {
  require(master.size() == key_bytes(algorithm), "the master key's length does not fit the algorithm");
  auto context = make_context(chosen_provider(algorithm), algorithm);
  context->set_key(master);
  return context;
}

}  // namespace

std::vector<uint8_t> wrap_deks(Algorithm algorithm, ByteSpan master, ByteSpan deks) {
  const size_t key = key_bytes(algorithm);
  require(deks.size() % key == 0, "the data keys' length does not fit the algorithm");
  const auto context = context_of(algorithm, master);
  const size_t count = deks.size() / key;
  std::vector<Iv> ivs(count);
  if (count > 0) random_bytes({ivs.data()->data(), count * iv_bytes});
  std::vector<uint8_t> rows(count * wrapped_dek_bytes(algorithm));
  uint8_t* row = rows.data();
  for (size_t i = 0; i < count; ++i, row += wrapped_dek_bytes(algorithm)) {
    std::memcpy(row + key, ivs[i].data(), iv_bytes);
    context->seal(ivs[i], deks.data() + i * key, row, key, row + key + iv_bytes);
  }
  return rows;
}

std::variant<Secret, size_t> unwrap_deks(Algorithm algorithm, ByteSpan master, ByteSpan rows) {
  const size_t key = key_bytes(algorithm);
  const size_t row_bytes = wrapped_dek_bytes(algorithm);
  require(rows.size() % row_bytes == 0, "the wrapped data keys do not come in whole rows");
  const auto context = context_of(algorithm, master);
  Secret deks(rows.size() / row_bytes * key);
  for (size_t i = 0; i < rows.size() / row_bytes; ++i) {
    const uint8_t* row = rows.data() + i * row_bytes;
    Iv iv;
    std::memcpy(iv.data(), row + key, iv_bytes);
    // The secret is wiped when it goes.
    if (!context->open(iv, row, deks.data() + i * key, key, row + key + iv_bytes)) return i;
  }
  return deks;
}

}  // namespace cryptotensors
