#include "../core/signature.h"

#include <algorithm>

#include "../core/digest.h"
#include "check.h"

using namespace cryptotensors;

namespace {

using Seed = std::array<uint8_t, ed25519_seed_bytes>;
using PublicKey = std::array<uint8_t, ed25519_public_bytes>;
using Signature = std::array<uint8_t, ed25519_signature_bytes>;

Seed seed_of(uint64_t number) {
  const auto bytes = checks::noise(ed25519_seed_bytes, number);
  Seed seed{};
  std::copy(bytes.begin(), bytes.end(), seed.begin());
  return seed;
}

PublicKey public_of(const Seed& seed) {
  PublicKey key{};
  ed25519_public(seed.data(), key.data());
  return key;
}

Signature sign(const Seed& seed, ByteSpan message) {
  Signature signature{};
  ed25519_sign(seed.data(), message, signature.data());
  return signature;
}

std::array<uint8_t, digest_bytes> digest_of(DigestAlgorithm algorithm, ByteSpan message) {
  std::array<uint8_t, digest_bytes> out{};
  digest(algorithm, message, out.data());
  return out;
}

// L, the order of the group, little-endian (RFC 8032 §5.1).
constexpr auto group_order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");

}  // namespace

TEST(ed25519_of_rfc_8032) {
  // §7.1, test 1: the empty message.
  constexpr Seed seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  constexpr PublicKey key = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  constexpr Signature signature = hex(
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
      "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
  CHECK(public_of(seed) == key);
  CHECK(sign(seed, {}) == signature);
  CHECK(ed25519_verify(key.data(), {}, signature.data()));
}

TEST(ed25519_signs_and_verifies_at_many_lengths) {
  for (const size_t length : {0, 1, 63, 64, 65, 127, 128, 1000, 100000}) {
    const Seed seed = seed_of(length);
    const PublicKey key = public_of(seed);
    const auto message = checks::noise(length, length);
    const Signature signature = sign(seed, message);
    CHECK(sign(seed, message) == signature);
    CHECK(ed25519_verify(key.data(), message, signature.data()));
    CHECK(!ed25519_verify(public_of(seed_of(length + 1)).data(), message, signature.data()));

    for (size_t bit = 0; bit < signature.size() * 8; bit += 13) {
      Signature altered = signature;
      altered[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      CHECK(!ed25519_verify(key.data(), message, altered.data()));
    }
    if (length == 0) continue;
    auto altered = message;
    altered[length / 2] ^= 1;
    CHECK(!ed25519_verify(key.data(), altered, signature.data()));
    CHECK(!ed25519_verify(key.data(), ByteSpan(message).first(length - 1), signature.data()));
  }
}

// S + L would verify where S is not checked to be canonical, and one signature could be turned into another.
TEST(ed25519_refuses_a_malleated_signature) {
  const Seed seed = seed_of(11);
  const auto message = checks::noise(20, 11);
  Signature signature = sign(seed, message);
  unsigned carry = 0;
  for (size_t i = 0; i < group_order.size(); ++i) {
    carry += unsigned{signature[32 + i]} + group_order[i];
    signature[32 + i] = static_cast<uint8_t>(carry);
    carry >>= 8;
  }
  CHECK(carry == 0);
  CHECK(!ed25519_verify(public_of(seed).data(), message, signature.data()));
}

TEST(digests_of_published_messages) {
  // FIPS 180-2 §B and the empty message; BLAKE3's own test vectors: bytes i mod 251 of lengths 0, 1 and 1025.
  CHECK(digest_of(DigestAlgorithm::sha256, {}) ==
        hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  const std::string_view two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  CHECK(digest_of(DigestAlgorithm::sha256, {reinterpret_cast<const uint8_t*>(two_blocks.data()), two_blocks.size()}) ==
        hex("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));

  std::vector<uint8_t> pattern(1025);
  for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<uint8_t>(i % 251);
  const auto blake3 = [&](size_t length) {
    return digest_of(DigestAlgorithm::blake3, ByteSpan(pattern).first(length));
  };
  CHECK(blake3(0) == hex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"));
  CHECK(blake3(1) == hex("2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"));
  CHECK(blake3(1025) == hex("d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"));
}
