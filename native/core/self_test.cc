#include "self_test.h"

#include <exception>

#include "aead.h"
#include "agreement.h"
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

struct AgreementAnswer {
  const char* name;
  Curve curve;
  std::array<uint8_t, 32> secret;
  ByteSpan public_key;
  ByteSpan peer;
  // SHA-256 of 00000001 and what is agreed on.
  std::array<uint8_t, 32> key;
};

// RFC 7748 §5.2, first vector; NIST CAVP ECC CDH on P-256, COUNT 0.
constexpr auto x25519_public_key = hex("1c9fd88f45606d932a80c71824ae151d15d73e77de38e8e000852e614fae7019");
constexpr auto x25519_peer = hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
constexpr auto p256_public_key = hex(
    "ead218590119e8876b29146ff89ca61770c4edbbf97d38ce385ed281d8a6b230"
    "28af61281fd35e2fa7002523acc85a429cb06ee6648325389f59edfce1405141");
constexpr auto p256_peer = hex(
    "700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287"
    "db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac");
constexpr AgreementAnswer agreement_answers[] = {
    {"X25519", Curve::x25519, hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
     x25519_public_key, x25519_peer, hex("4462e47a7b911299d5673890b017534fa0f8098dc80caa931758adbdc4f119a9")},
    {"P-256", Curve::p256, hex("7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534"), p256_public_key,
     p256_peer, hex("1f87a66b8b91bbc593e526668fd7182b8705cc3e553d61bff2cfeae11142ea5b")},
};

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

bool agreement_passes(const AgreementAnswer& answer) {
  std::array<uint8_t, 64> own{};
  const MutableByteSpan found(own.data(), answer.public_key.size());
  if (!agreement_public(answer.curve, answer.secret, found) || !equal_constant_time(found, answer.public_key)) {
    return false;
  }
  const auto key = agree_on_key(answer.curve, answer.secret, answer.peer, {});
  return key && equal_constant_time(key->span(), answer.key);
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
  for (const AgreementAnswer& answer : agreement_answers) {
    if (!agreement_passes(answer)) return answer.name;
  }
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
