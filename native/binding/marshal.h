// JavaScript values to plain C++ ones, checked, and back. Whatever does not fit is a TypeError or RangeError.
#pragma once

#include <span>
#include <stdexcept>
#include <string>

#include "../core/aead.h"
#include "../core/bytes.h"
#include "../core/digest.h"
#include "../core/error.h"
#include "napi_setup.h"

namespace cryptotensors::binding {

inline constexpr double max_exact_integer = 9007199254740991.0;

// Raises a fault as a JavaScript error of that code.
class FaultError : public std::runtime_error {
 public:
  explicit FaultError(Fault fault) : std::runtime_error(fault.message), fault_(std::move(fault)) {}
  const Fault& fault() const noexcept { return fault_; }

 private:
  Fault fault_;
};

// An Error with the fields of JobFault; `errno` instead of `systemCode`.
Napi::Error to_error(Napi::Env env, const Fault& fault);

// A finite integer from 0 to 2^53 - 1.
uint64_t to_integer(double number, const char* name, Napi::Env env);
uint64_t integer_argument(const Napi::Value& value, const char* name);
unsigned threads_argument(const Napi::Value& value);
std::string path_argument(const Napi::Value& value, const char* name);

// Views of typed arrays; of any buffer, shared ones too. They live as long as the value's buffer does.
MutableByteSpan bytes_argument(const Napi::Value& value, const char* name);
std::span<const double> float64_argument(const Napi::Value& value, const char* name);
std::span<const int32_t> int32_argument(const Napi::Value& value, const char* name);

Algorithm algorithm_argument(const Napi::Value& value);
DigestAlgorithm digest_algorithm_argument(const Napi::Value& value);

Napi::Uint8Array to_bytes(Napi::Env env, ByteSpan bytes);

// Whatever an exported function throws becomes a JavaScript error.
template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
Napi::Value exported(const Napi::CallbackInfo& info) {
  try {
    return Function(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const FaultError& error) {
    throw to_error(info.Env(), error.fault());
  } catch (const std::invalid_argument& error) {
    throw Napi::RangeError::New(info.Env(), error.what());
  } catch (const std::bad_alloc&) {
    throw to_error(info.Env(), {.code = Code::no_memory, .message = "there is not enough memory"});
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
}

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
void export_function(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<exported<Function>>(exports.Env(), name));
}

}  // namespace cryptotensors::binding
