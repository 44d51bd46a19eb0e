#include "digest.h"

#include <cstdlib>

#include "cryptotensors_aead.h"

namespace cryptotensors {

void digest(DigestAlgorithm algorithm, ByteSpan message, uint8_t out[digest_bytes]) noexcept {
  const bool done = algorithm == DigestAlgorithm::sha256
                        ? cryptotensors_sha256(message.data(), message.size(), out)
                        : cryptotensors_blake3(message.data(), message.size(), out);
  // Only a panic inside the library gets here. Going on without a digest is no option.
  if (!done) std::abort();
}

}  // namespace cryptotensors
