#include "base64.h"

#include <array>

namespace cryptotensors {
namespace {

constexpr size_t npos = std::string_view::npos;

// --- Strict: four table look-ups per three bytes, one check at the end. ---

constexpr uint32_t invalid = uint32_t{1} << 31;
constexpr std::string_view standard_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Values of the characters, already shifted to their place in a group of 24 bits.
constexpr std::array<uint32_t, 256> shifted_values(int shift) {
  std::array<uint32_t, 256> table{};
  table.fill(invalid);
  for (size_t i = 0; i < standard_alphabet.size(); ++i) {
    table[static_cast<uint8_t>(standard_alphabet[i])] = static_cast<uint32_t>(i) << shift;
  }
  return table;
}

constexpr std::array<std::array<uint32_t, 256>, 4> values{shifted_values(18), shifted_values(12), shifted_values(6),
                                                          shifted_values(0)};

uint32_t value_at(std::string_view text, size_t position) noexcept {
  return values[position % 4][static_cast<uint8_t>(text[position])];
}

uint32_t group_at(std::string_view text, size_t position) noexcept {
  return value_at(text, position) | value_at(text, position + 1) | value_at(text, position + 2) |
         value_at(text, position + 3);
}

// --- Lenient: no look-up and no branch that depends on a character of a key. ---

// All ones if low <= c <= high, else 0.
uint32_t in_range(int c, int low, int high) noexcept {
  return static_cast<uint32_t>(((low - 1 - c) & (c - high - 1)) >> 31);
}

struct LenientDecoder {
  uint32_t unknown = 0;
  uint32_t used_standard = 0;
  uint32_t used_url = 0;

  uint32_t value(char character) noexcept {
    const int c = static_cast<uint8_t>(character);
    const uint32_t upper = in_range(c, 'A', 'Z');
    const uint32_t lower = in_range(c, 'a', 'z');
    const uint32_t digit = in_range(c, '0', '9');
    const uint32_t plus = in_range(c, '+', '+');
    const uint32_t slash = in_range(c, '/', '/');
    const uint32_t minus = in_range(c, '-', '-');
    const uint32_t underscore = in_range(c, '_', '_');
    used_standard |= plus | slash;
    used_url |= minus | underscore;
    unknown |= ~(upper | lower | digit | plus | slash | minus | underscore);
    return (upper & static_cast<uint32_t>(c - 'A')) | (lower & static_cast<uint32_t>(c - 'a' + 26)) |
           (digit & static_cast<uint32_t>(c - '0' + 52)) | ((plus | minus) & 62) | ((slash | underscore) & 63);
  }

  bool accepts(uint32_t trailing_bits) const noexcept {
    return (unknown | (used_standard & used_url) | trailing_bits) == 0;
  }
};

std::string_view without_padding(std::string_view text) noexcept {
  if (text.size() % 4 != 0) return text;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return text;
}

}  // namespace

size_t decoded_size_standard(std::string_view text) noexcept {
  if (text.size() % 4 != 0) return npos;
  return text.size() / 4 * 3 - (text.size() - without_padding(text).size());
}

bool decode_standard(std::string_view text, MutableByteSpan out) noexcept {
  if (decoded_size_standard(text) != out.size()) return false;
  uint8_t* to = out.data();
  uint32_t seen = 0;
  size_t position = 0;
  for (const size_t whole = out.size() / 3 * 4; position < whole; position += 4, to += 3) {
    const uint32_t group = group_at(text, position);
    seen |= group;
    to[0] = static_cast<uint8_t>(group >> 16);
    to[1] = static_cast<uint8_t>(group >> 8);
    to[2] = static_cast<uint8_t>(group);
  }
  switch (out.size() % 3) {
    case 1: {
      const uint32_t group = value_at(text, position) | value_at(text, position + 1);
      to[0] = static_cast<uint8_t>(group >> 16);
      return ((seen | group) & invalid) == 0 && (group & 0xffff) == 0;
    }
    case 2: {
      const uint32_t group = value_at(text, position) | value_at(text, position + 1) | value_at(text, position + 2);
      to[0] = static_cast<uint8_t>(group >> 16);
      to[1] = static_cast<uint8_t>(group >> 8);
      return ((seen | group) & invalid) == 0 && (group & 0xff) == 0;
    }
    default:
      return (seen & invalid) == 0;
  }
}

size_t decoded_size_lenient(std::string_view text) noexcept {
  const size_t length = without_padding(text).size();
  if (length % 4 == 1) return npos;
  return length / 4 * 3 + length % 4 * 3 / 4;
}

bool decode_lenient(std::string_view text, MutableByteSpan out) noexcept {
  if (decoded_size_lenient(text) != out.size()) {
    wipe(out);
    return false;
  }
  LenientDecoder decoder;
  uint32_t pending = 0;
  int pending_bits = 0;
  size_t written = 0;
  for (const char c : without_padding(text)) {
    pending = pending << 6 | decoder.value(c);
    pending_bits += 6;
    if (pending_bits < 8) continue;
    pending_bits -= 8;
    out[written++] = static_cast<uint8_t>(pending >> pending_bits);
    pending &= (uint32_t{1} << pending_bits) - 1;
  }
  if (decoder.accepts(pending)) return true;
  wipe(out);
  return false;
}

}  // namespace cryptotensors
