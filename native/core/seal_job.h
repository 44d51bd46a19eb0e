// Writing: encrypt, digest or copy tensors from sources to a sink.
#pragma once

#include <optional>

#include "batches.h"
#include "digest.h"
#include "file.h"
#include "pool.h"
#include "read_ahead.h"
#include "secret.h"

namespace cryptotensors {

enum class SealMode : uint8_t { plain, encrypt, digest };

// A tensor to write.
struct SealItem {
  uint32_t source;
  uint64_t offset;
  uint64_t length;
  // Offset in the sink.
  uint64_t destination;
  SealMode mode;
};

struct SealSpec {
  struct Encryption {
    Algorithm algorithm;
    unsigned version;
    // 0 for version 1.
    uint64_t chunk_bytes;
    std::shared_ptr<const Secret> master;
  };
  struct Integrity {
    DigestAlgorithm algorithm;
    uint64_t chunk_bytes;
  };

  std::vector<std::shared_ptr<const Source>> sources;
  std::shared_ptr<Sink> sink;
  std::vector<SealItem> items;
  std::optional<Encryption> encryption;
  std::optional<Integrity> integrity;
  unsigned threads = 0;
};

class SealJob final : public Job {
 public:
  // Throws std::invalid_argument if the spec contradicts itself or its sources.
  explicit SealJob(SealSpec spec);

  // After success, what the header needs, in the order of the items. Encrypted: wrapped_key, key_iv, key_tag, then iv and
  // tag or base_iv and tags. Digested: the digests. Plain: nothing.
  ByteSpan packed() const noexcept { return packed_; }

 protected:
  size_t plan(Worker& worker) override;
  Fault run(size_t item, Worker& worker) override;
  Fault finish(Fault fault) noexcept override;

 private:
  // Chunks of one item.
  struct Part {
    uint32_t item;
    uint64_t chunk, begin, end;
    size_t length() const noexcept { return static_cast<size_t>(end - begin); }
  };

  ChunkGrid grid(const SealItem& item) const noexcept;
  size_t packed_bytes(const SealItem& item) const noexcept;
  void check_item(const SealItem& item) const;
  void draw_secrets(Worker& worker);
  Fault seal_together(std::span<const Part> parts, MutableByteSpan buffer, Worker& worker);
  void protect(const Part& part, uint8_t* bytes, Worker& worker);
  void encrypt(const Part& part, uint8_t* bytes, AeadContext& context);
  // Calls use(chunk, offset in the part, length) for each chunk of the part.
  template <typename Use>
  void for_each_chunk(const Part& part, Use use) const;

  // Let go of when the job ends.
  SealSpec spec_;
  std::vector<Part> parts_;
  Batches batches_;
  Provider provider_ = Provider::ring;
  ReadAhead ahead_;
  // Per item: where its bytes are in `packed_`, and its DEK's place in `deks_`.
  std::vector<size_t> packed_begin_, dek_begin_;
  std::vector<uint8_t> packed_;
  Secret deks_;
};

}  // namespace cryptotensors
