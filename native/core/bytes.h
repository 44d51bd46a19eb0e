// Plain bytes: spans, loads and stores in a fixed byte order, checked arithmetic, wiping and comparing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>

namespace cryptotensors {

using ByteSpan = std::span<const uint8_t>;
using MutableByteSpan = std::span<uint8_t>;

// A constant written in hexadecimal, checked by the compiler: hex("00ff") is {0x00, 0xff}.
template <size_t N>
consteval std::array<uint8_t, (N - 1) / 2> hex(const char (&text)[N]) {
  static_assert(N % 2 == 1, "two digits per byte");
  const auto nibble = [](char c) -> uint8_t {
    if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
    throw "not a lower-case hexadecimal digit";
  };
  std::array<uint8_t, (N - 1) / 2> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
  }
  return bytes;
}

inline uint32_t load_be32(const uint8_t* p) noexcept {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | uint32_t{p[3]};
}

inline uint64_t load_be64(const uint8_t* p) noexcept { return uint64_t{load_be32(p)} << 32 | load_be32(p + 4); }

inline uint32_t load_le32(const uint8_t* p) noexcept {
  return uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
}

inline uint64_t load_le64(const uint8_t* p) noexcept { return uint64_t{load_le32(p + 4)} << 32 | load_le32(p); }

inline void store_be32(uint8_t* p, uint32_t value) noexcept {
  p[0] = static_cast<uint8_t>(value >> 24);
  p[1] = static_cast<uint8_t>(value >> 16);
  p[2] = static_cast<uint8_t>(value >> 8);
  p[3] = static_cast<uint8_t>(value);
}

inline void store_le32(uint8_t* p, uint32_t value) noexcept {
  p[0] = static_cast<uint8_t>(value);
  p[1] = static_cast<uint8_t>(value >> 8);
  p[2] = static_cast<uint8_t>(value >> 16);
  p[3] = static_cast<uint8_t>(value >> 24);
}

inline void store_le64(uint8_t* p, uint64_t value) noexcept {
  store_le32(p, static_cast<uint32_t>(value));
  store_le32(p + 4, static_cast<uint32_t>(value >> 32));
}

// Empty when the sum does not fit.
constexpr std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) noexcept {
  if (b > std::numeric_limits<uint64_t>::max() - a) return std::nullopt;
  return a + b;
}

// Empty when the product does not fit.
constexpr std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) noexcept {
  if (a != 0 && b > std::numeric_limits<uint64_t>::max() / a) return std::nullopt;
  return a * b;
}

// Overwrites with zeros; the compiler may not leave it out, even if the memory is never read again.
inline void wipe(void* memory, size_t size) noexcept {
  if (size == 0) return;
#if defined(__GNUC__) || defined(__clang__)
  std::memset(memory, 0, size);
  __asm__ __volatile__("" : : "r"(memory) : "memory");
#else
  volatile uint8_t* bytes = static_cast<volatile uint8_t*>(memory);
  for (size_t i = 0; i < size; ++i) bytes[i] = 0;
#endif
}

inline void wipe(MutableByteSpan bytes) noexcept { wipe(bytes.data(), bytes.size()); }

// Takes the same time whatever the bytes are. Lengths are not secret.
inline bool equal_constant_time(ByteSpan a, ByteSpan b) noexcept {
  if (a.size() != b.size()) return false;
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

}  // namespace cryptotensors
