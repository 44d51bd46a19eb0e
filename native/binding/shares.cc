// Tokens by which other environments of the process use an open file.
#include "environment.h"
#include "exports.h"
#include "handles.h"

namespace cryptotensors::binding {
namespace {

std::string token_argument(const Napi::Value& value) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), "token must be a string");
  return value.As<Napi::String>().Utf8Value();
}

// source or null, table, facts. Returns { token, publication }: what is shared is withdrawn when the handle is closed or collected,
// or with its environment.
Napi::Value share(const Napi::CallbackInfo& info) {
  const ByteSpan facts = bytes_argument(info[2], "facts");
  Share share{.source = nullptr,
              .table = open_argument<Table>(info[1], "table"),
              .facts = std::make_shared<const std::vector<uint8_t>>(facts.begin(), facts.end())};
  if (!info[0].IsNull()) {
    const Handle<Source>& source = handle_argument<Source>(info[0], "source");
    // JavaScript memory goes with its environment.
    if (source.memory) throw std::invalid_argument("a source in memory cannot be shared");
    share.source = open_argument<Source>(info[0], "source");
  }
  auto publication = std::make_shared<Publication>(std::move(share));
  Environment::of(info.Env()).keep(publication);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("token", publication->token());
  result.Set("publication", make_handle(info.Env(), std::move(publication)));
  return result;
}

// token. Returns { source: handle or null, table: handle, facts: a copy }.
Napi::Value attach(const Napi::CallbackInfo& info) {
  Share share = find_share(token_argument(info[0]));
  if (!share.table) {
    throw FaultError({.code = Code::closed, .message = "the model that this token belongs to has been closed"});
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("source", share.source ? Napi::Value(make_handle(info.Env(), std::move(share.source))) : info.Env().Null());
  result.Set("table", make_handle(info.Env(), std::move(share.table)));
  result.Set("facts", to_bytes(info.Env(), *share.facts));
  return result;
}

}  // namespace

void export_shares(Napi::Object exports) {
  export_function<share>(exports, "share");
  export_function<close_handle<Publication>>(exports, "unshare");
  export_function<attach>(exports, "attach");
}

}  // namespace cryptotensors::binding
