// The AEADs of ring, linked in as a static library.
#include "aead_provider.h"
#include "cryptotensors_aead.h"
#include "secret.h"

namespace cryptotensors::ring {
namespace {

static_assert(Secret::alignment % CRYPTOTENSORS_AEAD_KEY_ALIGN == 0);
static_assert(static_cast<uint32_t>(Algorithm::aes128gcm) == CRYPTOTENSORS_AES_128_GCM);
static_assert(static_cast<uint32_t>(Algorithm::aes256gcm) == CRYPTOTENSORS_AES_256_GCM);
static_assert(static_cast<uint32_t>(Algorithm::chacha20poly1305) == CRYPTOTENSORS_CHACHA20_POLY1305);

class RingContext final : public AeadContext {
 public:
  explicit RingContext(Algorithm algorithm) : AeadContext(algorithm) {}

 private:
  bool do_set_key(const uint8_t* key) noexcept override {
    return cryptotensors_aead_key_init(schedule_.data(), static_cast<uint32_t>(algorithm()), key,
                                       key_bytes(algorithm()));
  }

  void do_clear_key() noexcept override { wipe(schedule_.span()); }

  bool do_open(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, const uint8_t* tag) noexcept override {
    return cryptotensors_aead_open(schedule_.data(), iv.data(), in, out, length, tag);
  }

  bool do_seal(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, uint8_t* tag) noexcept override {
    return cryptotensors_aead_seal(schedule_.data(), iv.data(), in, out, length, tag);
  }

  // The expanded key. ring does not wipe it; Secret does.
  Secret schedule_{size_t{CRYPTOTENSORS_AEAD_KEY_BYTES}};
};

}  // namespace

std::unique_ptr<AeadContext> make_context(Algorithm algorithm) { return std::make_unique<RingContext>(algorithm); }

}  // namespace cryptotensors::ring
