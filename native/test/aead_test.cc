#include "../core/aead.h"

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "../core/self_test.h"
#include "check.h"

using namespace cryptotensors;

namespace {

using Bytes = std::vector<uint8_t>;

// Everything up to some blocks, then around what kernels and chunks are cut by.
std::vector<size_t> lengths() {
  std::vector<size_t> all;
  for (size_t length = 0; length <= 100; ++length) all.push_back(length);
  for (const size_t edge : {size_t{256}, size_t{512}, size_t{1} << 14, size_t{1} << 16, size_t{2} << 20}) {
    for (const size_t length : {edge - 17, edge - 1, edge, edge + 1, edge + 31}) all.push_back(length);
  }
  return all;
}

bool all_zero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

std::vector<Provider> providers_of(Algorithm algorithm) {
  std::vector<Provider> found;
  for (const Provider provider : all_providers) {
    if (provider_supports(provider, algorithm)) found.push_back(provider);
  }
  return found;
}

Iv iv_of(uint64_t seed) {
  const auto bytes = checks::noise(iv_bytes, seed);
  Iv iv{};
  std::copy(bytes.begin(), bytes.end(), iv.begin());
  return iv;
}

std::unique_ptr<AeadContext> keyed(Provider provider, Algorithm algorithm, uint64_t seed) {
  auto context = make_context(provider, algorithm);
  context->set_key(checks::noise(key_bytes(algorithm), seed));
  return context;
}

template <typename Work>
void for_each_provider(Work work) {
  for (const Algorithm algorithm : all_algorithms) {
    for (const Provider provider : providers_of(algorithm)) work(provider, algorithm);
  }
}

struct Sealed {
  Bytes bytes;
  Tag tag{};
};

Sealed seal(AeadContext& context, const Iv& iv, const Bytes& message) {
  Sealed sealed{Bytes(message.size())};
  context.seal(iv, message.data(), sealed.bytes.data(), message.size(), sealed.tag.data());
  return sealed;
}

}  // namespace

TEST(known_answers_pass) {
  CHECK(self_test().empty());
  for_each_provider([](Provider provider, Algorithm algorithm) { CHECK(passes_known_answers(provider, algorithm)); });
}

TEST(openssl_is_found_when_the_process_exports_it) {
  for (const Algorithm algorithm : all_algorithms) {
    CHECK(provider_supports(Provider::ring, algorithm));
    CHECK(provider_supports(Provider::openssl, algorithm) == checks::options.with_openssl);
  }
  CHECK(provider_info().openssl.starts_with("OpenSSL 3.") == checks::options.with_openssl);
  if (!checks::options.with_openssl) {
    CHECK_THROWS(std::runtime_error, make_context(Provider::openssl, Algorithm::aes256gcm));
  }
}

TEST(providers_agree_at_every_length_in_place_and_apart) {
  for (const Algorithm algorithm : all_algorithms) {
    for (const size_t length : lengths()) {
      const Bytes message = checks::noise(length, length);
      const Iv iv = iv_of(length);
      std::optional<Sealed> reference;
      for (const Provider provider : providers_of(algorithm)) {
        const auto context = keyed(provider, algorithm, length);
        const Sealed sealed = seal(*context, iv, message);
        if (!reference) reference = sealed;
        CHECK(sealed.bytes == reference->bytes && sealed.tag == reference->tag);

        Bytes bytes = message;
        Tag tag{};
        context->seal(iv, bytes.data(), bytes.data(), length, tag.data());
        CHECK(bytes == reference->bytes && tag == reference->tag);

        CHECK(context->open(iv, bytes.data(), bytes.data(), length, tag.data()));
        CHECK(bytes == message);
        Bytes apart(length, 0xee);
        CHECK(context->open(iv, sealed.bytes.data(), apart.data(), length, tag.data()));
        CHECK(apart == message);
      }
    }
  }
}

TEST(buffers_need_no_alignment) {
  for_each_provider([](Provider provider, Algorithm algorithm) {
    const auto context = keyed(provider, algorithm, 5);
    const Bytes message = checks::noise(1000, 5);
    const Sealed sealed = seal(*context, iv_of(5), message);
    for (size_t from = 0; from < 16; ++from) {
      for (size_t to = 0; to < 16; ++to) {
        Bytes in(message.size() + 16);
        std::copy(sealed.bytes.begin(), sealed.bytes.end(), in.begin() + static_cast<ptrdiff_t>(from));
        Bytes out(message.size() + 16, 0xee);
        CHECK(context->open(iv_of(5), in.data() + from, out.data() + to, message.size(), sealed.tag.data()));
        CHECK(std::equal(message.begin(), message.end(), out.begin() + static_cast<ptrdiff_t>(to)));
        CHECK(std::count(out.begin(), out.begin() + static_cast<ptrdiff_t>(to), 0xee) == static_cast<ptrdiff_t>(to));
      }
    }
  });
}

TEST(whatever_is_altered_is_refused_and_wiped) {
  for_each_provider([](Provider provider, Algorithm algorithm) {
    for (const size_t length : {size_t{0}, size_t{1}, size_t{16}, size_t{100}, size_t{4099}, size_t{1} << 16}) {
      const auto context = keyed(provider, algorithm, length);
      const Bytes message = checks::noise(length, length + 1);
      const Iv iv = iv_of(length);
      const Sealed sealed = seal(*context, iv, message);

      const auto refused = [&](const Iv& with_iv, const Bytes& bytes, const Tag& tag) {
        Bytes apart(length, 0xee);
        Bytes in_place = bytes;
        return !context->open(with_iv, bytes.data(), apart.data(), length, tag.data()) && all_zero(apart) &&
               !context->open(with_iv, in_place.data(), in_place.data(), length, tag.data()) && all_zero(in_place);
      };
      for (size_t i = 0; i < tag_bytes; ++i) {
        Tag tag = sealed.tag;
        tag[i] ^= 0x40;
        CHECK(refused(iv, sealed.bytes, tag));
      }
      for (const size_t place : {size_t{0}, length / 2, length - 1}) {
        if (length == 0) continue;
        Bytes bytes = sealed.bytes;
        bytes[place] ^= 1;
        CHECK(refused(iv, bytes, sealed.tag));
      }
      Iv other = iv;
      other[11] ^= 1;
      CHECK(refused(other, sealed.bytes, sealed.tag));

      // A refusal leaves the context fit for use.
      Bytes opened(length);
      CHECK(context->open(iv, sealed.bytes.data(), opened.data(), length, sealed.tag.data()) && opened == message);
      context->set_key(checks::noise(key_bytes(algorithm), length + 1000));
      CHECK(refused(iv, sealed.bytes, sealed.tag));
    }
  });
}

TEST(a_shortened_message_is_refused) {
  for_each_provider([](Provider provider, Algorithm algorithm) {
    const auto context = keyed(provider, algorithm, 6);
    const Sealed sealed = seal(*context, iv_of(6), checks::noise(64, 6));
    for (size_t length = 0; length < 64; ++length) {
      Bytes out(length, 0xee);
      CHECK(!context->open(iv_of(6), sealed.bytes.data(), out.data(), length, sealed.tag.data()));
      CHECK(all_zero(out));
    }
  });
}

TEST(one_context_serves_many_keys_in_both_directions) {
  for_each_provider([](Provider provider, Algorithm algorithm) {
    const auto context = make_context(provider, algorithm);
    for (uint64_t i = 0; i < 50; ++i) {
      const Bytes message = checks::noise(100 + i, i);
      context->set_key(checks::noise(key_bytes(algorithm), i));
      const Sealed sealed = seal(*context, iv_of(i), message);
      Bytes opened(message.size());
      CHECK(context->open(iv_of(i), sealed.bytes.data(), opened.data(), opened.size(), sealed.tag.data()));
      CHECK(opened == message);
      const Sealed again = seal(*keyed(provider, algorithm, i), iv_of(i), message);
      CHECK(sealed.bytes == again.bytes && sealed.tag == again.tag);
      if (i % 7 == 0) context->clear_key();
    }
  });
}

TEST(without_a_key_nothing_works) {
  for_each_provider([](Provider provider, Algorithm algorithm) {
    const auto refuses = [](AeadContext& context) {
      Bytes bytes(64, 0xee);
      Tag tag{};
      CHECK_THROWS(std::invalid_argument, context.seal(Iv{}, bytes.data(), bytes.data(), bytes.size(), tag.data()));
      CHECK(!context.open(Iv{}, bytes.data(), bytes.data(), bytes.size(), tag.data()));
      CHECK(all_zero(bytes));
    };
    const auto context = make_context(provider, algorithm);
    refuses(*context);
    // 48 less the right length is the other length of AES.
    const size_t right = key_bytes(algorithm);
    for (const size_t wrong : {size_t{0}, right - 1, right + 1, size_t{48} - right}) {
      CHECK_THROWS(std::invalid_argument, context->set_key(Bytes(wrong)));
    }
    refuses(*context);
    context->set_key(Bytes(key_bytes(algorithm), 7));
    context->clear_key();
    refuses(*context);
    context->clear_key();
  });
}

TEST(too_long_a_message_is_refused_before_it_is_touched) {
  for_each_provider([](Provider provider, Algorithm algorithm) {
    const auto context = keyed(provider, algorithm, 8);
    uint8_t byte = 0;
    Tag tag{};
    CHECK_THROWS(std::invalid_argument,
                 context->seal(Iv{}, &byte, &byte, max_message_bytes(algorithm) + 1, tag.data()));
  });
}

// A message longer than the int that OpenSSL takes at a time goes through it in pieces.
TEST(a_message_of_more_than_a_gigabyte) {
  if (!checks::options.large) return checks::skip();
  for (const Algorithm algorithm : all_algorithms) {
    Bytes message = checks::noise((size_t{1} << 30) + 4097, 9);
    const Bytes tail(message.end() - 64, message.end());
    for (const Provider provider : providers_of(algorithm)) {
      Tag tag{};
      keyed(provider, algorithm, 9)->seal(iv_of(9), message.data(), message.data(), message.size(), tag.data());
      for (const Provider opener : providers_of(algorithm)) {
        if (opener == provider && providers_of(algorithm).size() > 1) continue;
        CHECK(keyed(opener, algorithm, 9)->open(iv_of(9), message.data(), message.data(), message.size(), tag.data()));
      }
      CHECK(std::equal(tail.begin(), tail.end(), message.end() - 64));
    }
  }
}

TEST(a_provider_is_chosen_once_for_all_threads) {
  std::vector<std::thread> threads;
  std::array<std::array<Provider, all_algorithms.size()>, 4> chosen{};
  for (auto& mine : chosen) {
    threads.emplace_back([&mine] {
      for (const Algorithm algorithm : all_algorithms) {
        const Provider provider = chosen_provider(algorithm);
        mine[static_cast<size_t>(algorithm)] = provider;
        const auto context = keyed(provider, algorithm, 10);
        const Bytes message = checks::noise(5000, 10);
        const Sealed sealed = seal(*context, iv_of(10), message);
        Bytes opened(message.size());
        CHECK(context->open(iv_of(10), sealed.bytes.data(), opened.data(), opened.size(), sealed.tag.data()));
        CHECK(opened == message);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& each : chosen) CHECK(each == chosen.front());

  const ProviderInfo info = provider_info();
  for (const Algorithm algorithm : all_algorithms) {
    const auto& speeds = info.gigabytes_per_second[static_cast<size_t>(algorithm)];
    // Timed only where there is a choice, and then the faster one wins.
    for (const double speed : speeds) CHECK((speed > 0) == checks::options.with_openssl);
    const auto winner = static_cast<size_t>(chosen_provider(algorithm));
    CHECK(*std::max_element(speeds.begin(), speeds.end()) == speeds[winner]);
  }
}

TEST(a_forced_provider_serves_what_it_has) {
  force_provider(Provider::ring);
  for (const Algorithm algorithm : all_algorithms) CHECK(chosen_provider(algorithm) == Provider::ring);
  if (checks::options.with_openssl) {
    force_provider(Provider::openssl);
    for (const Algorithm algorithm : all_algorithms) CHECK(chosen_provider(algorithm) == Provider::openssl);
  } else {
    CHECK_THROWS(std::runtime_error, force_provider(Provider::openssl));
  }
  force_provider(std::nullopt);
}
