// Whether a provider gives the known answers of an algorithm (declared in aead.h).
#include <algorithm>

#include "aead.h"
#include "digest.h"

namespace cryptotensors {
namespace {

// A published message, and a longer one that reaches the kernels for bulk data: its bytes are (31 i + 7) mod 256, its
// key and IV are 0, 1, 2, ..., and its ciphertext is known by its SHA-256.
struct KnownAnswer {
  Algorithm algorithm;
  std::array<uint8_t, 32> key;  // As much of it as the algorithm takes.
  Iv iv;
  std::array<uint8_t, 64> plaintext;
  std::array<uint8_t, 64> ciphertext;
  Tag tag;
  std::array<uint8_t, digest_bytes> bulk_sha256;
  Tag bulk_tag;
};

// McGrew and Viega, "The Galois/Counter Mode of Operation", test case 3.
constexpr KnownAnswer aes128gcm_answer{
    .algorithm = Algorithm::aes128gcm,
    .key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
    .iv = hex("cafebabefacedbaddecaf888"),
    .plaintext = hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"),
    .ciphertext = hex(
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"),
    .tag = hex("4d5c2af327cd64a62cf35abd2ba6fab4"),
    .bulk_sha256 = hex("d4bca0b57f45da2a8c8184869a051cc9234a7c632d8f44fbc57096133a66dac4"),
    .bulk_tag = hex("a39ee08505c0f5fc41591fa79bde38fc"),
};

// The same, test case 15.
constexpr KnownAnswer aes256gcm_answer{
    .algorithm = Algorithm::aes256gcm,
    .key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
    .iv = hex("cafebabefacedbaddecaf888"),
    .plaintext = hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"),
    .ciphertext = hex(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"),
    .tag = hex("b094dac5d93471bdec1a502270e3cc6c"),
    .bulk_sha256 = hex("be6169acf26cfe4ac2881282033d99a729b6706f549b53425b5b655ac24bc69f"),
    .bulk_tag = hex("c4abbdaa93903ddc3e5e144340f8d119"),
};

// Wycheproof, chacha20_poly1305_test.json, test case 72 (that of RFC 8439 has additional data).
constexpr KnownAnswer chacha20poly1305_answer{
    .algorithm = Algorithm::chacha20poly1305,
    .key = hex("5b1d1035c0b17ee0b0444767f80a25b8c1b741f4b50a4d3052226baa1c6fb701"),
    .iv = hex("d61040a313ed492823cc065b"),
    .plaintext = hex(
        "d096803181beef9e008ff85d5ddc38ddacf0f09ee5f7e07f1e4079cb64d0dc8f"
        "5e6711cd4921a7887de76e2678fdc67618f1185586bfea9d4c685d50e4bb9a82"),
    .ciphertext = hex(
        "9a4ef22b181677b5755c08f747c0f8d8e8d4c18a9cc2405c12bb51bb1872c8e8"
        "b877678bec442cfcbb0ff464a64b74332cf072898c7e0eddf6232ea6e27efe50"),
    .tag = hex("9ff3427a0f32fa566d9ca0a78aefc013"),
    .bulk_sha256 = hex("b49007d55c828a51f78cddebcc85b488ee6eef1ab963382b772a42def0efb055"),
    .bulk_tag = hex("8eac64a1c58ad00ad92907729db27a76"),
};

constexpr const KnownAnswer& answer_of(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::aes128gcm:
      return aes128gcm_answer;
    case Algorithm::aes256gcm:
      return aes256gcm_answer;
    default:
      return chacha20poly1305_answer;
  }
}

bool all_zero(ByteSpan bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

bool passes_published(AeadContext& context, const KnownAnswer& answer) {
  context.set_key(ByteSpan(answer.key).first(key_bytes(answer.algorithm)));
  std::array<uint8_t, 64> sealed{};
  std::array<uint8_t, 64> opened{};
  Tag tag{};
  context.seal(answer.iv, answer.plaintext.data(), sealed.data(), sealed.size(), tag.data());
  if (sealed != answer.ciphertext || tag != answer.tag) return false;

  const auto open_into = [&](const uint8_t* in) {
    return context.open(answer.iv, in, opened.data(), opened.size(), tag.data());
  };
  if (!open_into(sealed.data()) || opened != answer.plaintext) return false;
  opened = sealed;
  if (!open_into(opened.data()) || opened != answer.plaintext) return false;

  tag.back() ^= 1;
  opened.fill(0xff);
  if (open_into(sealed.data()) || !all_zero(opened)) return false;
  opened = sealed;
  return !open_into(opened.data()) && all_zero(opened);
}

bool passes_bulk(AeadContext& context, const KnownAnswer& answer) {
  std::array<uint8_t, 32> key;
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  Iv iv;
  std::copy_n(key.begin(), iv.size(), iv.begin());
  std::array<uint8_t, 4099> message;
  for (size_t i = 0; i < message.size(); ++i) message[i] = static_cast<uint8_t>(31 * i + 7);

  context.set_key(ByteSpan(key).first(key_bytes(answer.algorithm)));
  auto bytes = message;
  Tag tag{};
  context.seal(iv, bytes.data(), bytes.data(), bytes.size(), tag.data());
  std::array<uint8_t, digest_bytes> sha256;
  digest(DigestAlgorithm::sha256, bytes, sha256.data());
  if (sha256 != answer.bulk_sha256 || tag != answer.bulk_tag) return false;
  return context.open(iv, bytes.data(), bytes.data(), bytes.size(), tag.data()) && bytes == message;
}

}  // namespace

bool passes_known_answers(Provider provider, Algorithm algorithm) {
  const auto context = make_context(provider, algorithm);
  const KnownAnswer& answer = answer_of(algorithm);
  return passes_published(*context, answer) && passes_bulk(*context, answer);
}

}  // namespace cryptotensors
