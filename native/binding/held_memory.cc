#include "held_memory.h"

namespace cryptotensors::binding {

MutableByteSpan HeldMemory::place_of(const Napi::Value& view) {
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(view.Env(), view, nullptr, &length, &data, nullptr, nullptr) != napi_ok) {
    throw Napi::TypeError::New(view.Env(), "a typed array was expected");
  }
  return {static_cast<uint8_t*>(data), length};
}

void HeldMemory::check() const {
  const Napi::HandleScope scope(view_.Env());
  const MutableByteSpan now = place_of(view_.Value());
  if (now.size() == bytes_.size() && (now.empty() || now.data() == bytes_.data())) return;
  throw FaultError({.code = Code::detached,
                    .message = std::string("the memory of ") + name_ + " was transferred or resized before it was used"});
}

}  // namespace cryptotensors::binding
