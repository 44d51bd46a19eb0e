// Key agreement: private keys stay in native memory, and so does what is agreed on.
#include "../core/agreement.h"

#include "exports.h"
#include "handles.h"

namespace cryptotensors::binding {
namespace {

Curve curve_argument(const Napi::Value& value) {
  if (value.IsString()) {
    const std::string name = value.As<Napi::String>().Utf8Value();
    if (name == "X25519") return Curve::x25519;
    if (name == "P-256") return Curve::p256;
  }
  throw Napi::TypeError::New(value.Env(), "curve must be X25519 or P-256");
}

std::shared_ptr<Secret> secret_argument(const Napi::Value& value, const char* name) {
  std::shared_ptr<Secret> secret = open_argument<Secret>(value, name);
  if (secret->size() != agreement_secret_bytes) {
    throw Napi::RangeError::New(value.Env(),
                                std::string(name) + " must be 32 bytes, but is " + std::to_string(secret->size()));
  }
  return secret;
}

// What two threads can see may change while it is used.
std::vector<uint8_t> copied_argument(const Napi::Value& value, const char* name) {
  const ByteSpan bytes = bytes_argument(value, name);
  return {bytes.begin(), bytes.end()};
}

Napi::Value handle_or_null(Napi::Env env, std::optional<Secret> secret) {
  if (!secret) return env.Null();
  return make_handle(env, std::make_shared<Secret>(std::move(*secret)));
}

// curve, secret. Null for bytes that are no private key.
Napi::Value public_key(const Napi::CallbackInfo& info) {
  const Curve curve = curve_argument(info[0]);
  const auto secret = secret_argument(info[1], "secret");
  std::array<uint8_t, 64> key;
  const MutableByteSpan out(key.data(), agreement_public_bytes(curve));
  if (!agreement_public(curve, secret->span(), out)) return info.Env().Null();
  return to_bytes(info.Env(), out);
}

// curve, bytes.
Napi::Value is_public_key(const Napi::CallbackInfo& info) {
  const Curve curve = curve_argument(info[0]);
  return Napi::Boolean::New(info.Env(), is_agreement_public(curve, copied_argument(info[1], "publicKey")));
}

// curve, secret, peer, info. Null if they do not agree on anything.
Napi::Value agree(const Napi::CallbackInfo& info) {
  const Curve curve = curve_argument(info[0]);
  const auto secret = secret_argument(info[1], "secret");
  const std::vector<uint8_t> peer = copied_argument(info[2], "peer");
  return handle_or_null(info.Env(), agree_on_key(curve, secret->span(), peer, bytes_argument(info[3], "info")));
}

// key, iv, additional, ciphertext, tag. Null on a wrong tag.
Napi::Value open(const Napi::CallbackInfo& info) {
  const auto key = secret_argument(info[0], "key");
  const std::vector<uint8_t> iv = copied_argument(info[1], "iv");
  const std::vector<uint8_t> tag = copied_argument(info[4], "tag");
  if (iv.size() != message_iv_bytes) throw std::invalid_argument("iv must be 12 bytes");
  if (tag.size() != message_tag_bytes) throw std::invalid_argument("tag must be 16 bytes");
  return handle_or_null(info.Env(), open_message(key->span(), iv, bytes_argument(info[2], "additional"),
                                                 bytes_argument(info[3], "ciphertext"), tag));
}

}  // namespace

void export_agreement(Napi::Object exports) {
  export_function<public_key>(exports, "agreementPublicKey");
  export_function<is_public_key>(exports, "isAgreementPublicKey");
  export_function<agree>(exports, "agreeOnKey");
  export_function<open>(exports, "openMessage");
}

}  // namespace cryptotensors::binding
