// The AEADs of the OpenSSL 3 that the host process itself carries (Node exports it). Nothing is linked and no header is
// needed: symbols are looked up at the first use, and where they are missing ring does the work.
#include <algorithm>

#include "aead_provider.h"

#if defined(_WIN32)
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace cryptotensors::openssl {
namespace {

// OpenSSL's own types, opaque here, and the constants of <openssl/evp.h> and <openssl/crypto.h>.
struct Cipher;
struct CipherContext;
struct Engine;
struct LibraryContext;

constexpr int evp_ctrl_aead_get_tag = 0x10;
constexpr int evp_ctrl_aead_set_tag = 0x11;
constexpr int openssl_version_text = 0;
constexpr unsigned long oldest_version = 0x30000000;

// EVP_*Update takes an int. A multiple of every block length.
constexpr size_t longest_update = size_t{1} << 30;

using Init = int (*)(CipherContext*, const Cipher*, Engine*, const uint8_t* key, const uint8_t* iv);
using Update = int (*)(CipherContext*, uint8_t* out, int* out_length, const uint8_t* in, int in_length);
using Final = int (*)(CipherContext*, uint8_t* out, int* out_length);

const char* fetch_name(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::aes128gcm:
      return "AES-128-GCM";
    case Algorithm::aes256gcm:
      return "AES-256-GCM";
    case Algorithm::chacha20poly1305:
      return "ChaCha20-Poly1305";
  }
  return "";
}

struct Symbol {
  void* address = nullptr;
  const void* module = nullptr;
};

Symbol find_symbol(const char* name) noexcept {
#if defined(_WIN32)
  const HMODULE executable = GetModuleHandleW(nullptr);
  return {reinterpret_cast<void*>(GetProcAddress(executable, name)), executable};
#else
  void* address = dlsym(RTLD_DEFAULT, name);
  Dl_info info;
  if (address == nullptr || dladdr(address, &info) == 0) return {};
  return {address, info.dli_fbase};
#endif
}

// Finds functions, and makes sure that they come from one module: a process may carry two libraries, of which one has
// only some of the names.
class FunctionFinder {
 public:
  template <typename Function>
  FunctionFinder& find(Function& function, const char* name) noexcept {
    const Symbol symbol = find_symbol(name);
    if (module_ == nullptr) module_ = symbol.module;
    if (symbol.address == nullptr || symbol.module != module_) complete_ = false;
    function = reinterpret_cast<Function>(symbol.address);
    return *this;
  }

  bool complete() const noexcept { return complete_; }

 private:
  const void* module_ = nullptr;
  bool complete_ = true;
};

struct Library {
  unsigned long (*version_number)() = nullptr;
  const char* (*version_text)(int) = nullptr;
  void (*clear_errors)() = nullptr;
  Cipher* (*fetch_cipher)(LibraryContext*, const char* name, const char* properties) = nullptr;
  CipherContext* (*new_context)() = nullptr;
  void (*free_context)(CipherContext*) = nullptr;
  int (*control)(CipherContext*, int type, int argument, void* pointer) = nullptr;
  Init encrypt_init = nullptr;
  Update encrypt_update = nullptr;
  Final encrypt_final = nullptr;
  Init decrypt_init = nullptr;
  Update decrypt_update = nullptr;
  Final decrypt_final = nullptr;

  // Fetched once: a fetch per message costs more than a small message does. Null where this OpenSSL (or its FIPS
  // configuration) lacks the algorithm.
  std::array<const Cipher*, all_algorithms.size()> ciphers{};

  bool load() {
    FunctionFinder finder;
    finder.find(version_number, "OpenSSL_version_num")
        .find(version_text, "OpenSSL_version")
        .find(clear_errors, "ERR_clear_error")
        .find(fetch_cipher, "EVP_CIPHER_fetch")
        .find(new_context, "EVP_CIPHER_CTX_new")
        .find(free_context, "EVP_CIPHER_CTX_free")
        .find(control, "EVP_CIPHER_CTX_ctrl")
        .find(encrypt_init, "EVP_EncryptInit_ex")
        .find(encrypt_update, "EVP_EncryptUpdate")
        .find(encrypt_final, "EVP_EncryptFinal_ex")
        .find(decrypt_init, "EVP_DecryptInit_ex")
        .find(decrypt_update, "EVP_DecryptUpdate")
        .find(decrypt_final, "EVP_DecryptFinal_ex");
    // BoringSSL and LibreSSL call themselves 1.1.1 and 2.0 here.
    if (!finder.complete() || version_number() < oldest_version) return false;
    for (const Algorithm algorithm : all_algorithms) {
      ciphers[static_cast<size_t>(algorithm)] = fetch_cipher(nullptr, fetch_name(algorithm), nullptr);
    }
    // The host reads the thread's error queue too.
    clear_errors();
    return true;
  }
};

// Null where the process exports no usable OpenSSL. Lives until the process ends: OpenSSL frees what it holds by
// itself, at a time that cannot be ordered against ours.
const Library* library() {
  static const Library* const loaded = []() -> const Library* {
    auto found = std::make_unique<Library>();
    return found->load() ? found.release() : nullptr;
  }();
  return loaded;
}

class OpensslContext final : public AeadContext {
 public:
  OpensslContext(const Library& library, Algorithm algorithm)
      : AeadContext(algorithm), library_(library), context_(library.new_context()) {
    if (context_ == nullptr) throw std::bad_alloc();
  }

  // OpenSSL wipes a context as it frees it.
  ~OpensslContext() override { library_.free_context(context_); }

 private:
  bool do_set_key(const uint8_t* key) noexcept override {
    // One key serves both directions. After the first time the cipher is NULL: naming it again would set it up anew.
    const Cipher* cipher = initialised_ ? nullptr : library_.ciphers[static_cast<size_t>(algorithm())];
    initialised_ = succeeded(library_.encrypt_init(context_, cipher, nullptr, key, nullptr) == 1);
    return initialised_;
  }

  void do_clear_key() noexcept override {
    static constexpr std::array<uint8_t, 32> zeros{};
    do_set_key(zeros.data());
  }

  bool do_open(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, const uint8_t* tag) noexcept override {
    Tag expected;  // OpenSSL takes it as a pointer to what is not const.
    std::copy_n(tag, tag_bytes, expected.begin());
    Tag unused;
    int rest = 0;
    return succeeded(library_.decrypt_init(context_, nullptr, nullptr, nullptr, iv.data()) == 1 &&
                     update(library_.decrypt_update, in, out, length) &&
                     library_.control(context_, evp_ctrl_aead_set_tag, int{tag_bytes}, expected.data()) == 1 &&
                     library_.decrypt_final(context_, unused.data(), &rest) == 1);
  }

  bool do_seal(const Iv& iv, const uint8_t* in, uint8_t* out, size_t length, uint8_t* tag) noexcept override {
    Tag unused;
    int rest = 0;
    return succeeded(library_.encrypt_init(context_, nullptr, nullptr, nullptr, iv.data()) == 1 &&
                     update(library_.encrypt_update, in, out, length) &&
                     library_.encrypt_final(context_, unused.data(), &rest) == 1 &&
                     library_.control(context_, evp_ctrl_aead_get_tag, int{tag_bytes}, tag) == 1);
  }

  bool update(Update function, const uint8_t* in, uint8_t* out, size_t length) noexcept {
    while (length > 0) {
      const int piece = static_cast<int>(std::min(length, longest_update));
      int written = 0;
      if (function(context_, out, &written, in, piece) != 1 || written != piece) return false;
      in += piece;
      out += piece;
      length -= static_cast<size_t>(piece);
    }
    return true;
  }

  // Leaves nothing of a failure in the thread's error queue, which the host reads too.
  bool succeeded(bool outcome) const noexcept {
    if (!outcome) library_.clear_errors();
    return outcome;
  }

  const Library& library_;
  CipherContext* const context_;
  bool initialised_ = false;
};

}  // namespace

std::string version() {
  const Library* found = library();
  return found == nullptr ? std::string() : found->version_text(openssl_version_text);
}

bool supports(Algorithm algorithm) {
  const Library* found = library();
  return found != nullptr && found->ciphers[static_cast<size_t>(algorithm)] != nullptr;
}

std::unique_ptr<AeadContext> make_context(Algorithm algorithm) {
  return std::make_unique<OpensslContext>(*library(), algorithm);
}

}  // namespace cryptotensors::openssl
