#include "marshal.h"

#include <cmath>

namespace cryptotensors::binding {
namespace {

const char* code_name(Code code) noexcept {
  switch (code) {
    case Code::bad_tag:
      return "BadTag";
    case Code::bad_digest:
      return "BadDigest";
    case Code::file_changed:
      return "FileChanged";
    case Code::file_error:
      return "FileError";
    case Code::closed:
      return "Closed";
    case Code::aborted:
      return "AbortError";
    case Code::no_memory:
      return "OutOfMemory";
    case Code::detached:
      return "Detached";
    case Code::ok:
    case Code::invalid:
      break;
  }
  return "InvalidOption";
}

Napi::TypeError type_error(Napi::Env env, const char* name, const char* expected) {
  return Napi::TypeError::New(env, std::string(name) + " must be " + expected);
}

// Elements of a typed array of the given type. Node-API gives the address for shared buffers too, as long as it is not
// asked for the buffer itself.
template <typename Element>
std::span<Element> elements(const Napi::Value& value, napi_typedarray_type type, const char* name,
                            const char* expected) {
  bool is_typed_array = false;
  napi_typedarray_type found = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_is_typedarray(value.Env(), value, &is_typed_array) != napi_ok || !is_typed_array ||
      napi_get_typedarray_info(value.Env(), value, &found, &length, &data, nullptr, nullptr) != napi_ok ||
      found != type) {
    throw type_error(value.Env(), name, expected);
  }
  return {static_cast<Element*>(data), length};
}

template <typename Named, typename Names>
Named named(const Napi::Value& value, const Names& names, const char* name, const char* expected) {
  if (value.IsString()) {
    const std::string text = value.As<Napi::String>();
    for (const auto& [known, meaning] : names) {
      if (text == known) return meaning;
    }
  }
  throw type_error(value.Env(), name, expected);
}

}  // namespace

Napi::Error to_error(Napi::Env env, const Fault& fault) {
  Napi::Error error = Napi::Error::New(env, fault.message);
  error.Set("code", code_name(fault.code));
  error.Set("tensor", static_cast<double>(fault.tensor));
  error.Set("chunk", static_cast<double>(fault.chunk));
  error.Set("side", fault.side == Side::sink ? "sink" : "source");
  error.Set("errno", Napi::Number::New(env, fault.system_errno));
  return error;
}

uint64_t to_integer(double number, const char* name, Napi::Env env) {
  // NaN fails the first comparison.
  if (!(number >= 0) || number > max_exact_integer || std::trunc(number) != number) {
    throw Napi::RangeError::New(env, std::string(name) + " must be an integer from 0 to 2^53 - 1");
  }
  return static_cast<uint64_t>(number);
}

uint64_t integer_argument(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) throw type_error(value.Env(), name, "a number");
  return to_integer(value.As<Napi::Number>().DoubleValue(), name, value.Env());
}

unsigned threads_argument(const Napi::Value& value) {
  return static_cast<unsigned>(std::min<uint64_t>(integer_argument(value, "threads"), 1024));
}

std::string path_argument(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw type_error(value.Env(), name, "a string");
  std::string path = value.As<Napi::String>();
  if (path.find('\0') != std::string::npos) throw type_error(value.Env(), name, "a path without a NUL character");
  return path;
}

MutableByteSpan bytes_argument(const Napi::Value& value, const char* name) {
  return elements<uint8_t>(value, napi_uint8_array, name, "a Uint8Array");
}

std::span<const double> float64_argument(const Napi::Value& value, const char* name) {
  return elements<const double>(value, napi_float64_array, name, "a Float64Array");
}

std::span<const int32_t> int32_argument(const Napi::Value& value, const char* name) {
  return elements<const int32_t>(value, napi_int32_array, name, "an Int32Array");
}

Algorithm algorithm_argument(const Napi::Value& value) {
  std::array<std::pair<const char*, Algorithm>, all_algorithms.size()> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = {algorithm_name(all_algorithms[i]), all_algorithms[i]};
  return named<Algorithm>(value, names, "algorithm", "aes128gcm, aes256gcm or chacha20poly1305");
}

DigestAlgorithm digest_algorithm_argument(const Napi::Value& value) {
  constexpr std::array names{std::pair{"sha256", DigestAlgorithm::sha256}, std::pair{"blake3", DigestAlgorithm::blake3}};
  return named<DigestAlgorithm>(value, names, "algorithm", "sha256 or blake3");
}

Napi::Uint8Array to_bytes(Napi::Env env, ByteSpan bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
  return array;
}

}  // namespace cryptotensors::binding
