// Signatures, digests, and what the engine says of itself.
#include "../core/signature.h"

#include <algorithm>

#include "exports.h"
#include "pending_job.h"

namespace cryptotensors::binding {
namespace {

// Bytes of an exact length.
ByteSpan fixed_argument(const Napi::Value& value, const char* name, size_t size) {
  const ByteSpan bytes = bytes_argument(value, name);
  if (bytes.size() == size) return bytes;
  throw Napi::RangeError::New(value.Env(), std::string(name) + " must be " + std::to_string(size) + " bytes, but is " +
                                               std::to_string(bytes.size()));
}

std::shared_ptr<Secret> seed_argument(const Napi::Value& value) {
  std::shared_ptr<Secret> seed = open_argument<Secret>(value, "seed");
  if (seed->size() != ed25519_seed_bytes) {
    throw Napi::RangeError::New(value.Env(), "seed must be 32 bytes, but is " + std::to_string(seed->size()));
  }
  return seed;
}

Napi::Value public_key(const Napi::CallbackInfo& info) {
  std::array<uint8_t, ed25519_public_bytes> key;
  ed25519_public(seed_argument(info[0])->data(), key.data());
  return to_bytes(info.Env(), key);
}

Napi::Value sign(const Napi::CallbackInfo& info) {
  std::array<uint8_t, ed25519_signature_bytes> signature;
  ed25519_sign(seed_argument(info[0])->data(), bytes_argument(info[1], "message"), signature.data());
  return to_bytes(info.Env(), signature);
}

// A job that resolves to whether the signature is right.
Napi::Value verify_job(const Napi::CallbackInfo& info) {
  // Copies of what is small; the message can be a whole header.
  std::array<uint8_t, ed25519_public_bytes> key;
  std::ranges::copy(fixed_argument(info[0], "publicKey", key.size()), key.begin());
  std::array<uint8_t, ed25519_signature_bytes> signature;
  std::ranges::copy(fixed_argument(info[2], "signature", signature.size()), signature.begin());
  const Held held = hold(info[1], "message");
  const auto valid = std::make_shared<bool>(false);
  auto job = std::make_shared<FunctionJob>(1, [=, message = ByteSpan(held->bytes())](size_t) {
    *valid = ed25519_verify(key.data(), message, signature.data());
    return Fault{};
  });
  return make_job(
      info.Env(), std::move(job), [=](Napi::Env env) { return Napi::Boolean::New(env, *valid); }, {held});
}

Napi::Value digest_of(const Napi::CallbackInfo& info) {
  std::array<uint8_t, digest_bytes> out;
  digest(digest_algorithm_argument(info[0]), bytes_argument(info[1], "bytes"), out.data());
  return to_bytes(info.Env(), out);
}

// threads; openssl, ring, or null for the faster one. For the whole process, so that the first call counts: another thread
// would change it under jobs of this one.
Napi::Value configure(const Napi::CallbackInfo& info) {
  static std::mutex mutex;
  static bool configured = false;
  std::optional<Provider> forced;
  for (const Provider provider : all_providers) {
    if (info[1].IsString() && info[1].As<Napi::String>().Utf8Value() == provider_name(provider)) forced = provider;
  }
  const unsigned threads = threads_argument(info[0]);
  if (!forced && !info[1].IsNull()) throw Napi::TypeError::New(info.Env(), "provider must be openssl, ring or null");
  const std::lock_guard lock(mutex);
  if (configured) return info.Env().Undefined();
  force_provider(forced);
  Pool::instance().set_size(threads);
  configured = true;
  return info.Env().Undefined();
}

// What the process's own environment said when it was first asked: each worker can have another one. Null for nothing.
Napi::Value process_engine(const Napi::CallbackInfo& info) {
  static const std::optional<std::string> choice = [] {
    const char* value = std::getenv("CRYPTOTENSORS_ENGINE");
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  }();
  return choice ? Napi::String::New(info.Env(), *choice).As<Napi::Value>() : info.Env().Null();
}

Napi::Value engine_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object aead = Napi::Object::New(env);
  for (const Algorithm algorithm : all_algorithms) {
    aead.Set(algorithm_name(algorithm), provider_name(chosen_provider(algorithm)));
  }
  const ProviderInfo known = provider_info();
  Napi::Object measured = Napi::Object::New(env);
  for (const Algorithm algorithm : all_algorithms) {
    Napi::Object speeds = Napi::Object::New(env);
    for (const Provider provider : all_providers) {
      const double speed =
          known.gigabytes_per_second[static_cast<size_t>(algorithm)][static_cast<size_t>(provider)];
      if (speed > 0) speeds.Set(provider_name(provider), speed);
    }
    if (speeds.GetPropertyNames().Length() > 0) measured.Set(algorithm_name(algorithm), speeds);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("aead", aead);
  result.Set("measured", measured);
  result.Set("openssl", known.openssl.empty() ? env.Null() : Napi::String::New(env, known.openssl).As<Napi::Value>());
  result.Set("ring", known.ring);
  result.Set("blake3", known.blake3);
  result.Set("threads", Pool::instance().size());
  return result;
}

}  // namespace

void export_crypto(Napi::Object exports) {
  export_function<public_key>(exports, "ed25519PublicKey");
  export_function<sign>(exports, "ed25519Sign");
  export_function<verify_job>(exports, "ed25519VerifyJob");
  export_function<digest_of>(exports, "digest");
  export_function<configure>(exports, "configure");
  export_function<process_engine>(exports, "processEngine");
  export_function<engine_info>(exports, "info");
}

}  // namespace cryptotensors::binding
