#include "../core/base64.h"

#include <algorithm>
#include <optional>
#include <string>

#include "check.h"

using namespace cryptotensors;

namespace {

using Decoded = std::optional<std::vector<uint8_t>>;

template <typename Size, typename Decode>
Decoded decode_with(Size size_of, Decode decode, std::string_view text) {
  const size_t size = size_of(text);
  if (size == std::string_view::npos) return std::nullopt;
  std::vector<uint8_t> bytes(size, 0xaa);
  if (decode(text, MutableByteSpan(bytes))) return bytes;
  return std::nullopt;
}

Decoded strict(std::string_view text) { return decode_with(decoded_size_standard, decode_standard, text); }
Decoded lenient(std::string_view text) { return decode_with(decoded_size_lenient, decode_lenient, text); }

constexpr std::string_view standard_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string encode(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? bytes[i + j] : 0u);
    for (size_t j = 0; j < 4; ++j) text += j <= count ? standard_alphabet[group >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

std::string url_safe(std::string text) {
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

std::string unpadded(std::string text) { return text.substr(0, text.find('=')); }

Decoded bytes_of(std::string_view text) { return std::vector<uint8_t>(text.begin(), text.end()); }

}  // namespace

TEST(base64_of_rfc_4648) {
  const std::pair<std::string_view, std::string_view> answers[] = {
      {"", ""},           {"Zg==", "f"},         {"Zm8=", "fo"},         {"Zm9v", "foo"},
      {"Zm9vYg==", "foob"}, {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"},
  };
  for (const auto& [text, plain] : answers) {
    CHECK(strict(text) == bytes_of(plain));
    CHECK(lenient(text) == bytes_of(plain));
    CHECK(lenient(unpadded(std::string(text))) == bytes_of(plain));
  }
}

TEST(base64_round_trips_at_every_length) {
  for (size_t size = 0; size < 300; ++size) {
    const auto bytes = checks::noise(size, size);
    const std::string text = encode(bytes);
    CHECK(strict(text) == bytes);
    for (const std::string& form : {text, unpadded(text), url_safe(text), unpadded(url_safe(text))}) {
      CHECK(lenient(form) == bytes);
    }
  }
}

TEST(base64_refuses_malformed_text) {
  // Neither decoder takes these.
  for (const std::string_view text : {
           "A", "=", "==", "===", "====", "A===", "A=", "AA=A", "=AAA", "AA==AAAA", "AAAA=", "AAAA====", "AAA==",
           "AAAAA", "Zg= =", " Zg==", "Zg==\n", "Zm\n9v", "Zm9v ", "Zm9v\t", "Zm9v====", "AA*A", "\xc3\xa4=A", "\xc3\xa4==",
           "Zh==", "Zm9=", "AB==", "AAB=", "Zm+v_w==", "-/AA",
       }) {
    CHECK(!strict(text));
    CHECK(!lenient(text));
  }
  // Strict is stricter.
  for (const std::string_view text : {"Zg", "Zm8", "-_-_", "_w==", "Zg="}) CHECK(!strict(text));
  CHECK(lenient("-_-_").has_value());
  CHECK(!lenient("Zg="));
  CHECK(!strict(std::string_view("AA\0A", 4)) && !lenient(std::string_view("AA\0A", 4)));
}

TEST(base64_knows_each_character_at_each_place) {
  // 3 and 4 characters reach every code path: whole groups and both kinds of rest.
  for (const std::string_view start : {"AAAA", "AAAAAAA=", "AAAAAA=="}) {
    const size_t content = start.substr(0, start.find('=')).size();
    for (size_t place = 0; place < content; ++place) {
      // The last character before the padding carries trailing bits.
      const size_t step = place + 1 == content ? size_t{1} << 2 * (start.size() - content) : 1;
      for (int c = 0; c < 256; ++c) {
        std::string text(start);
        text[place] = static_cast<char>(c);
        if (c == '=') continue;
        const size_t value = standard_alphabet.find(static_cast<char>(c));
        const bool standard = value != std::string_view::npos && value % step == 0;
        const bool url = (c == '-' && 62 % step == 0) || (c == '_' && 63 % step == 0);
        CHECK(strict(text).has_value() == standard);
        CHECK(lenient(text).has_value() == (standard || url));
      }
    }
  }
}

TEST(base64_refuses_another_size_and_wipes_keys) {
  std::vector<uint8_t> out(3, 0xaa);
  CHECK(!decode_standard("Zm9vYg==", out));
  CHECK(!decode_lenient("Zm9vYg==", out));
  CHECK(out == std::vector<uint8_t>(3, 0));
  out.assign(3, 0xaa);
  CHECK(!decode_lenient("Zm9*", out));
  CHECK(out == std::vector<uint8_t>(3, 0));
}
