// What each provider gives to aead.cc. Nothing else includes this.
#pragma once

#include "aead.h"

namespace cryptotensors {

namespace openssl {

// Version text; empty where the process exports no OpenSSL that is usable.
std::string version();
bool supports(Algorithm algorithm);
// `supports(algorithm)` holds.
std::unique_ptr<AeadContext> make_context(Algorithm algorithm);

}  // namespace openssl

namespace ring {

std::unique_ptr<AeadContext> make_context(Algorithm algorithm);

}  // namespace ring

}  // namespace cryptotensors
