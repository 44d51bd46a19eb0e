// Base64 (RFC 4648): strict for headers, lenient for keys.
#pragma once

#include <string_view>

#include "bytes.h"

namespace cryptotensors {

// Strict, §4: standard alphabet, padding required, trailing bits zero, nothing else (FORMAT.md §2). Not for secrets:
// it looks characters up in a table.

// Bytes that `text` stands for by its length and padding alone, or std::string_view::npos if those are malformed.
size_t decoded_size_standard(std::string_view text) noexcept;
// False if `text` is not strict base64 of exactly `out.size()` bytes; `out` is then unspecified.
bool decode_standard(std::string_view text, MutableByteSpan out) noexcept;

// Lenient, for keys (FORMAT.md §3): the standard or the URL-safe alphabet but not both in one text, padding optional
// but right if there, trailing bits zero. Takes the same time whatever the characters are.

size_t decoded_size_lenient(std::string_view text) noexcept;
// False, with `out` wiped, if `text` is not base64 of exactly `out.size()` bytes.
bool decode_lenient(std::string_view text, MutableByteSpan out) noexcept;

}  // namespace cryptotensors
