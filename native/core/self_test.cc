#include "self_test.h"

#include <exception>

#include "aead.h"
#include "digest.h"
#include "signature.h"

namespace cryptotensors {
namespace {

// RFC 8032 §7.1, test 2.
constexpr auto ed25519_seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
constexpr auto ed25519_public_key = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
constexpr auto ed25519_message = hex("72");
constexpr auto ed25519_signature = hex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");

// FIPS 180-2 §B.1; BLAKE3 as its own program prints it.
constexpr auto digest_message = hex("616263");
constexpr auto sha256_answer = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
constexpr auto blake3_answer = hex("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");

bool ed25519_passes() {
  std::array<uint8_t, ed25519_public_bytes> public_key{};
  ed25519_public(ed25519_seed.data(), public_key.data());
  std::array<uint8_t, ed25519_signature_bytes> signature{};
  ed25519_sign(ed25519_seed.data(), ed25519_message, signature.data());
  if (public_key != ed25519_public_key || signature != ed25519_signature) return false;
  if (!ed25519_verify(public_key.data(), ed25519_message, signature.data())) return false;
  signature.front() ^= 1;
  return !ed25519_verify(public_key.data(), ed25519_message, signature.data());
}

bool digest_passes(DigestAlgorithm algorithm, const std::array<uint8_t, digest_bytes>& answer) {
  std::array<uint8_t, digest_bytes> found{};
  digest(algorithm, digest_message, found.data());
  return found == answer;
}

std::string first_failure() {
  for (const Provider provider : all_providers) {
    for (const Algorithm algorithm : all_algorithms) {
      if (provider_supports(provider, algorithm) && !passes_known_answers(provider, algorithm)) {
        return std::string(algorithm_name(algorithm)) + " of " + provider_name(provider);
      }
    }
  }
  if (!ed25519_passes()) return "Ed25519";
  if (!digest_passes(DigestAlgorithm::sha256, sha256_answer)) return "SHA-256";
  if (!digest_passes(DigestAlgorithm::blake3, blake3_answer)) return "BLAKE3";
  return {};
}

}  // namespace

std::string self_test() {
  try {
    const std::string failed = first_failure();
    return failed.empty() ? failed : failed + " does not give its known answer";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace cryptotensors
