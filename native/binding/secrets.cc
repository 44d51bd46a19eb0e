// Secrets: native memory that JavaScript refers to but does not see.
#include "../core/base64.h"
#include "exports.h"
#include "handles.h"

namespace cryptotensors::binding {
namespace {

// More than the data keys of the largest header.
constexpr uint64_t max_secret_bytes = 64 << 20;

size_t secret_size(uint64_t size) {
  if (size > max_secret_bytes) throw std::invalid_argument("a secret has at most 64 MiB");
  return static_cast<size_t>(size);
}

Napi::Value import_secret(const Napi::CallbackInfo& info) {
  const ByteSpan bytes = bytes_argument(info[0], "bytes");
  secret_size(bytes.size());
  return make_handle(info.Env(), std::make_shared<Secret>(bytes));
}

// Null if the text is not base64.
Napi::Value import_secret_base64(const Napi::CallbackInfo& info) {
  const ByteSpan given = bytes_argument(info[0], "text");
  // A copy: the length of shared memory's content must not change between measuring and decoding.
  const Secret copy(given.first(secret_size(given.size())));
  const ByteSpan bytes = copy.span();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t size = decoded_size_lenient(text);
  if (size == std::string_view::npos) return info.Env().Null();
  auto secret = std::make_shared<Secret>(secret_size(size));
  if (!decode_lenient(text, secret->span())) return info.Env().Null();
  return make_handle(info.Env(), std::move(secret));
}

Napi::Value random_secret(const Napi::CallbackInfo& info) {
  const size_t size = secret_size(integer_argument(info[0], "byteLength"));
  return make_handle(info.Env(), std::make_shared<Secret>(Secret::random(size)));
}

Napi::Value export_secret(const Napi::CallbackInfo& info) {
  return to_bytes(info.Env(), std::as_const(*open_argument<Secret>(info[0], "secret")).span());
}

Napi::Value secret_length(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(open_argument<Secret>(info[0], "secret")->size()));
}

Napi::Value secrets_equal(const Napi::CallbackInfo& info) {
  const auto a = open_argument<Secret>(info[0], "a");
  const auto b = open_argument<Secret>(info[1], "b");
  return Napi::Boolean::New(info.Env(), equal_constant_time(a->span(), b->span()));
}

}  // namespace

void export_secrets(Napi::Object exports) {
  export_function<import_secret>(exports, "importSecret");
  export_function<import_secret_base64>(exports, "importSecretBase64");
  export_function<random_secret>(exports, "randomSecret");
  export_function<export_secret>(exports, "exportSecret");
  export_function<secret_length>(exports, "secretLength");
  export_function<secrets_equal>(exports, "secretsEqual");
  export_function<close_handle<Secret>>(exports, "disposeSecret");
}

}  // namespace cryptotensors::binding
