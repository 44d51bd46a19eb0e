// Wrapping and unwrapping of data keys that belong to no table.
#include "../core/deks.h"

#include "exports.h"
#include "handles.h"

namespace cryptotensors::binding {
namespace {

ByteSpan bytes_of(const std::shared_ptr<Secret>& secret) { return std::as_const(*secret).span(); }

// algorithm, master, deks. Returns rows.
Napi::Value wrap(const Napi::CallbackInfo& info) {
  const Algorithm algorithm = algorithm_argument(info[0]);
  const auto master = open_argument<Secret>(info[1], "master");
  const auto deks = open_argument<Secret>(info[2], "deks");
  return to_bytes(info.Env(), wrap_deks(algorithm, bytes_of(master), bytes_of(deks)));
}

// algorithm, master, rows. Returns { deks } or { row }.
Napi::Value unwrap(const Napi::CallbackInfo& info) {
  const Algorithm algorithm = algorithm_argument(info[0]);
  const auto master = open_argument<Secret>(info[1], "master");
  const ByteSpan given = bytes_argument(info[2], "rows");
  // A copy: shared memory may change between verifying and decrypting.
  const std::vector<uint8_t> rows(given.begin(), given.end());
  auto unwrapped = unwrap_deks(algorithm, bytes_of(master), rows);
  Napi::Object result = Napi::Object::New(info.Env());
  if (const size_t* row = std::get_if<size_t>(&unwrapped)) {
    result.Set("row", static_cast<double>(*row));
  } else {
    auto deks = std::make_shared<Secret>(std::get<Secret>(std::move(unwrapped)));
    result.Set("deks", make_handle(info.Env(), std::move(deks)));
  }
  return result;
}

}  // namespace

void export_deks(Napi::Object exports) {
  export_function<wrap>(exports, "wrapDeks");
  export_function<unwrap>(exports, "unwrapDeks");
}

}  // namespace cryptotensors::binding
