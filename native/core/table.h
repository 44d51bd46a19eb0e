// Where each tensor's bytes are and how they are checked: offsets, DEKs, IVs, tags and digests, decoded from the header.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "chunks.h"
#include "deks.h"
#include "digest.h"
#include "secret.h"

namespace cryptotensors {

// What a table is made from. The format layer has checked all of it against the file, except the base64 of the records.
struct TableSpec {
  // Numbers per row of `Encryption::records`: tensor index, then begin and end in `document` of the base64 text of
  // wrapped_key, key_iv, key_tag, iv or base_iv, tag or tags.
  static constexpr size_t record_stride = 11;
  // Numbers per row of `Integrity::records`: tensor index, begin and end of the digests' text.
  static constexpr size_t digest_stride = 3;

  struct Encryption {
    Algorithm algorithm;
    unsigned version;
    // 0 for version 1.
    uint64_t chunk_bytes;
    std::string_view document;
    std::span<const int32_t> records;
  };
  struct Integrity {
    DigestAlgorithm algorithm;
    uint64_t chunk_bytes;
    std::string_view document;
    std::span<const int32_t> records;
  };

  // Position of the data section; `begin` and `end` of each tensor count from there.
  uint64_t data_start = 0;
  std::vector<uint64_t> begin;
  std::vector<uint64_t> end;
  std::optional<Encryption> encryption;
  std::optional<Integrity> integrity;
};

enum class RecordField : uint8_t { wrapped_key, key_iv, key_tag, iv, tag, digests };
enum class RecordProblem : uint8_t { base64, length, counter_overflow };

// Why a row was refused.
struct RecordFault {
  size_t row;
  RecordField field;
  RecordProblem problem;
  // Decoded lengths in bytes, for RecordProblem::length.
  uint64_t found = 0;
  uint64_t expected = 0;
};

enum class Protection : uint8_t { none, sealed, digested };

// Immutable once its DEKs are unwrapped; jobs share it.
class Table {
 public:
  // Decodes the records. Throws std::invalid_argument if the spec contradicts itself.
  static std::variant<std::shared_ptr<Table>, RecordFault> create(TableSpec spec);

  // Unwraps every DEK under the master key. The first row that does not unwrap, or nothing. Throws
  // std::invalid_argument for a master key of the wrong length, std::logic_error after it has succeeded once.
  std::optional<size_t> unwrap(ByteSpan master);
  // The wrapped DEKs as the records hold them: rows as of deks.h, in the order of the records.
  ByteSpan wrapped_deks() const noexcept { return sealed_.wrapped_deks; }
  // Takes DEKs that were unwrapped elsewhere, concatenated in the order of the records: a copy. Throws std::invalid_argument
  // for a wrong length, std::logic_error if there are DEKs already.
  void install_deks(ByteSpan deks);
  // All DEKs, concatenated in the order of the records. Throws std::logic_error before they are there.
  ByteSpan deks() const;
  // Whether sealed tensors can be read.
  bool unwrapped() const noexcept { return sealed_.rows() == 0 || deks_.size() > 0; }

  size_t tensors() const noexcept { return begin_.size(); }
  uint64_t length(size_t tensor) const noexcept { return end_[tensor] - begin_[tensor]; }
  // Absolute position in the source.
  uint64_t position(size_t tensor) const noexcept { return data_start_ + begin_[tensor]; }
  Protection protection(size_t tensor) const noexcept;
  // What is checked together. For an unprotected tensor there is nothing to check and a grid of piece_bytes.
  ChunkGrid grid(size_t tensor) const noexcept;

  // For sealed tensors.
  Algorithm algorithm() const noexcept { return sealed_.algorithm; }
  ByteSpan dek(size_t tensor) const noexcept;
  Iv iv(size_t tensor, uint64_t chunk) const noexcept;
  // Null for an empty tensor of version 1 that has none.
  const uint8_t* tag(size_t tensor, uint64_t chunk) const noexcept;

  // For digested tensors.
  DigestAlgorithm digest_algorithm() const noexcept { return digested_.algorithm; }
  const uint8_t* digest(size_t tensor, uint64_t chunk) const noexcept;

 private:
  // Flat arrays, by row of the records.
  struct Sealed {
    Algorithm algorithm = Algorithm::aes256gcm;
    unsigned version = 2;
    uint64_t chunk_bytes = 0;
    std::vector<uint8_t> wrapped_deks;
    std::vector<Iv> ivs;
    std::vector<uint8_t> tags;
    // Where the row's tags are in `tags`; one more than there are rows. A row without tags has nothing to check.
    std::vector<size_t> tags_begin;
    size_t rows() const noexcept { return ivs.size(); }
  };
  struct Digested {
    DigestAlgorithm algorithm = DigestAlgorithm::sha256;
    uint64_t chunk_bytes = 0;
    std::vector<uint8_t> digests;
    std::vector<size_t> digests_begin;
  };

  Table() = default;
  std::optional<RecordFault> decode_encryption(const TableSpec::Encryption& encryption);
  std::optional<RecordFault> decode_row(const TableSpec::Encryption& encryption, size_t row);
  std::optional<RecordFault> decode_integrity(const TableSpec::Integrity& integrity);
  void require_wrapped() const;

  uint64_t data_start_ = 0;
  std::vector<uint64_t> begin_, end_;
  // Row of each tensor's record; empty where the file has none at all.
  std::vector<uint32_t> sealed_row_, digested_row_;
  Sealed sealed_;
  Digested digested_;
  Secret deks_;
};

}  // namespace cryptotensors
