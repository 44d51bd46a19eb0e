// JavaScript memory that native code points into.
//
// A pointer into JavaScript's memory is good until JavaScript runs again: any buffer that is not shared can be transferred,
// resized or grown away by a line of code. A reference to the view keeps the memory from being collected, not from that. So
// whoever points into it asks again, right before threads begin to use it. What may run while JavaScript does (started jobs)
// must be given shared memory, or memory that no other code can reach: src/engine/memory.ts sees to that.
#pragma once

#include <memory>
#include <vector>

#include "marshal.h"

namespace cryptotensors::binding {

// Belongs to its environment's thread.
class HeldMemory {
 public:
  // Of any typed array. Whoever wants to know its bytes has checked that it is a Uint8Array.
  HeldMemory(const Napi::Value& view, const char* name)
      : name_(name), bytes_(place_of(view)), view_(Napi::Reference<Napi::Value>::New(view, 1)) {}

  MutableByteSpan bytes() const noexcept { return bytes_; }
  // Throws Code::detached unless the bytes are still where they were.
  void check() const;

 private:
  // Where the elements are, and how many there are.
  static MutableByteSpan place_of(const Napi::Value& view);

  const char* const name_;
  const MutableByteSpan bytes_;
  const Napi::Reference<Napi::Value> view_;
};

// Empty for what is not in JavaScript's memory, such as a file.
using Held = std::shared_ptr<const HeldMemory>;

// A Uint8Array argument; anything else is a TypeError.
inline Held hold(const Napi::Value& view, const char* name) {
  bytes_argument(view, name);
  return std::make_shared<const HeldMemory>(view, name);
}

// A typed array that has been checked.
inline Held hold_elements(const Napi::Value& view, const char* name) {
  return std::make_shared<const HeldMemory>(view, name);
}

}  // namespace cryptotensors::binding
