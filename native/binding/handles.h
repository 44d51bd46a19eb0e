// Native objects in JavaScript's hands: type-tagged, so that a wrong object is a TypeError and never a crash.
//
// A handle shares what it names with the jobs that use it: closing it, or its collection, ends nothing that is under way.
#pragma once

#include <memory>
#include <vector>

#include "../core/file.h"
#include "../core/secret.h"
#include "../core/shares.h"
#include "../core/table.h"
#include "held_memory.h"

namespace cryptotensors::binding {

class PendingJob;

template <typename T>
struct HandleType;

template <>
struct HandleType<Secret> {
  static constexpr napi_type_tag tag{0x6f1d3c0c5a0e4b6b, 0x9d0f5a1c7be24d01};
  static constexpr const char* name = "a secret";
};
template <>
struct HandleType<Source> {
  static constexpr napi_type_tag tag{0x6f1d3c0c5a0e4b6b, 0x9d0f5a1c7be24d02};
  static constexpr const char* name = "a source";
};
template <>
struct HandleType<Sink> {
  static constexpr napi_type_tag tag{0x6f1d3c0c5a0e4b6b, 0x9d0f5a1c7be24d03};
  static constexpr const char* name = "a sink";
};
template <>
struct HandleType<Table> {
  static constexpr napi_type_tag tag{0x6f1d3c0c5a0e4b6b, 0x9d0f5a1c7be24d04};
  static constexpr const char* name = "a tensor table";
};
template <>
struct HandleType<Publication> {
  static constexpr napi_type_tag tag{0x6f1d3c0c5a0e4b6b, 0x9d0f5a1c7be24d06};
  static constexpr const char* name = "a publication";
};
template <>
struct HandleType<PendingJob> {
  static constexpr napi_type_tag tag{0x6f1d3c0c5a0e4b6b, 0x9d0f5a1c7be24d05};
  static constexpr const char* name = "a job";
};

template <typename T>
struct Handle {
  // Null once it is closed.
  std::shared_ptr<T> value;
  // What `value` points into, if that is JavaScript's.
  Held memory;
};

template <typename T>
Napi::Object make_handle(Napi::Env env, std::shared_ptr<T> value, Held memory = {}) {
  Napi::Object object = Napi::Object::New(env);
  auto handle = std::make_unique<Handle<T>>(std::move(value), std::move(memory));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Handle<T>*>(data); };
  if (napi_wrap(env, object, handle.get(), finalize, nullptr, nullptr) != napi_ok) throw Napi::Error::New(env);
  handle.release();
  if (napi_type_tag_object(env, object, &HandleType<T>::tag) != napi_ok) throw Napi::Error::New(env);
  return object;
}

// The handle behind an argument, open or closed.
template <typename T>
Handle<T>& handle_argument(const Napi::Value& value, const char* name) {
  bool matches = false;
  void* data = nullptr;
  if (!value.IsObject() ||
      napi_check_object_type_tag(value.Env(), value, &HandleType<T>::tag, &matches) != napi_ok || !matches ||
      napi_unwrap(value.Env(), value, &data) != napi_ok) {
    throw Napi::TypeError::New(value.Env(),
                               std::string(name) + " must be " + HandleType<T>::name + " made by this engine");
  }
  return *static_cast<Handle<T>*>(data);
}

// What an open handle names; a closed one is Code::closed.
template <typename T>
std::shared_ptr<T> open_argument(const Napi::Value& value, const char* name) {
  const Handle<T>& handle = handle_argument<T>(value, name);
  if (!handle.value) {
    throw FaultError({.code = Code::closed, .message = std::string(name) + " has been closed or disposed of"});
  }
  return handle.value;
}

// The JavaScript memory that what a handle names points into; null if there is none.
template <typename T>
Held memory_behind(const Napi::Value& value) {
  return handle_argument<T>(value, "handle").memory;
}

// Closes a handle; what it names goes when the last job lets go of it.
template <typename T>
Napi::Value close_handle(const Napi::CallbackInfo& info) {
  Handle<T>& handle = handle_argument<T>(info[0], "handle");
  handle.value.reset();
  handle.memory.reset();
  return info.Env().Undefined();
}

}  // namespace cryptotensors::binding
