#include "table.h"

#include <memory>
#include <stdexcept>

#include "base64.h"

namespace cryptotensors {
namespace {

constexpr uint32_t no_row = UINT32_MAX;

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

// Fields of a row that stand in the document as base64 text.
std::string_view text_of(std::string_view document, const int32_t* range) {
  require(range[0] >= 0 && range[1] >= range[0] && static_cast<size_t>(range[1]) <= document.size(),
          "a record's text lies outside its document");
  return document.substr(static_cast<size_t>(range[0]), static_cast<size_t>(range[1] - range[0]));
}

// Row per tensor, from the first column of the rows.
std::vector<uint32_t> rows_by_tensor(std::span<const int32_t> records, size_t stride, size_t tensors) {
  require(records.size() % stride == 0, "the records do not come in whole rows");
  std::vector<uint32_t> rows(tensors, no_row);
  for (size_t row = 0; row < records.size() / stride; ++row) {
    const int32_t tensor = records[row * stride];
    require(tensor >= 0 && static_cast<size_t>(tensor) < tensors, "a record names a tensor that is not there");
    require(rows[static_cast<size_t>(tensor)] == no_row, "a tensor has two records");
    rows[static_cast<size_t>(tensor)] = static_cast<uint32_t>(row);
  }
  return rows;
}

// Decodes one field into the end of `out`, which grows only once the text's length is known to be right.
std::optional<RecordFault> append(std::string_view text, uint64_t expected, std::vector<uint8_t>& out, size_t row,
                                  RecordField field) {
  const size_t found = decoded_size_standard(text);
  if (found == expected) {
    const size_t at = out.size();
    out.resize(at + found);
    if (decode_standard(text, {out.data() + at, found})) return std::nullopt;
    return RecordFault{row, field, RecordProblem::base64};
  }
  // A wrong length is reported as such only if the text is base64 at all.
  if (found == std::string_view::npos) return RecordFault{row, field, RecordProblem::base64};
  std::vector<uint8_t> scratch(found);
  if (!decode_standard(text, scratch)) return RecordFault{row, field, RecordProblem::base64};
  return RecordFault{row, field, RecordProblem::length, found, expected};
}

std::optional<RecordFault> append(std::string_view text, std::vector<Iv>& out, size_t row, RecordField field) {
  Iv& iv = out.emplace_back();
  if (decode_standard(text, iv)) return std::nullopt;
  std::vector<uint8_t> scratch;
  return append(text, iv_bytes, scratch, row, field);
}

}  // namespace

std::variant<std::shared_ptr<Table>, RecordFault> Table::create(TableSpec spec) {
  require(spec.begin.size() == spec.end.size(), "a table needs as many ends as beginnings");
  for (size_t i = 0; i < spec.begin.size(); ++i) {
    require(spec.begin[i] <= spec.end[i], "a tensor ends before it begins");
    require(checked_add(spec.data_start, spec.end[i]).has_value(), "a tensor ends beyond every file");
  }
  std::shared_ptr<Table> table(new Table());
  table->data_start_ = spec.data_start;
  table->begin_ = std::move(spec.begin);
  table->end_ = std::move(spec.end);
  if (spec.encryption) {
    if (auto fault = table->decode_encryption(*spec.encryption)) return *fault;
  }
  if (spec.integrity) {
    if (auto fault = table->decode_integrity(*spec.integrity)) return *fault;
  }
  return table;
}

std::optional<RecordFault> Table::decode_encryption(const TableSpec::Encryption& encryption) {
  require(encryption.version == 1 || encryption.version == 2, "the version must be 1 or 2");
  require((encryption.version == 2) == (encryption.chunk_bytes > 0), "version 2, and only that, has a chunk size");
  sealed_row_ = rows_by_tensor(encryption.records, TableSpec::record_stride, tensors());
  sealed_.algorithm = encryption.algorithm;
  sealed_.version = encryption.version;
  sealed_.chunk_bytes = encryption.chunk_bytes;
  const size_t rows = encryption.records.size() / TableSpec::record_stride;
  sealed_.wrapped_deks.reserve(rows * wrapped_dek_bytes(encryption.algorithm));
  sealed_.ivs.reserve(rows);
  sealed_.tags.reserve(rows * tag_bytes);
  sealed_.tags_begin.reserve(rows + 1);
  sealed_.tags_begin.push_back(0);
  for (size_t row = 0; row < rows; ++row) {
    if (auto fault = decode_row(encryption, row)) return fault;
  }
  return std::nullopt;
}

std::optional<RecordFault> Table::decode_row(const TableSpec::Encryption& encryption, size_t row) {
  const int32_t* record = &encryption.records[row * TableSpec::record_stride];
  const auto text = [&](RecordField field) {
    return text_of(encryption.document, record + 1 + 2 * static_cast<size_t>(field));
  };
  const ChunkGrid chunks(length(static_cast<size_t>(record[0])), encryption.chunk_bytes);

  constexpr std::array wrapped{RecordField::wrapped_key, RecordField::key_iv, RecordField::key_tag};
  const std::array sizes{key_bytes(encryption.algorithm), iv_bytes, tag_bytes};
  for (size_t i = 0; i < wrapped.size(); ++i) {
    if (auto fault = append(text(wrapped[i]), sizes[i], sealed_.wrapped_deks, row, wrapped[i])) return fault;
  }

  const std::string_view iv = text(RecordField::iv);
  const std::string_view tags = text(RecordField::tag);
  // FORMAT.md §2, empty tensors: version 1 may have neither, and then there is nothing to check.
  if (encryption.version == 1 && chunks.length() == 0 && iv.empty() && tags.empty()) {
    sealed_.ivs.emplace_back();
  } else {
    if (auto fault = append(iv, sealed_.ivs, row, RecordField::iv)) return fault;
    if (!counter_has_room(sealed_.ivs.back(), chunks.count())) {
      return RecordFault{row, RecordField::iv, RecordProblem::counter_overflow};
    }
    if (auto fault = append(tags, tag_bytes * chunks.count(), sealed_.tags, row, RecordField::tag)) return fault;
  }
  sealed_.tags_begin.push_back(sealed_.tags.size());
  return std::nullopt;
}

std::optional<RecordFault> Table::decode_integrity(const TableSpec::Integrity& integrity) {
  require(integrity.chunk_bytes > 0, "digests need a chunk size");
  digested_row_ = rows_by_tensor(integrity.records, TableSpec::digest_stride, tensors());
  digested_.algorithm = integrity.algorithm;
  digested_.chunk_bytes = integrity.chunk_bytes;
  const size_t rows = integrity.records.size() / TableSpec::digest_stride;
  digested_.digests_begin.reserve(rows + 1);
  digested_.digests_begin.push_back(0);
  for (size_t row = 0; row < rows; ++row) {
    const int32_t* record = &integrity.records[row * TableSpec::digest_stride];
    const ChunkGrid chunks(length(static_cast<size_t>(record[0])), integrity.chunk_bytes);
    const std::string_view text = text_of(integrity.document, record + 1);
    // FORMAT.md §5: an empty tensor may have the digest of no bytes, or none.
    if (chunks.length() > 0 || !text.empty()) {
      if (auto fault =
              append(text, digest_bytes * chunks.count(), digested_.digests, row, RecordField::digests)) {
        return fault;
      }
    }
    digested_.digests_begin.push_back(digested_.digests.size());
  }
  return std::nullopt;
}

std::optional<size_t> Table::unwrap(ByteSpan master) {
  if (sealed_.rows() == 0) return std::nullopt;
  require_wrapped();
  auto unwrapped = unwrap_deks(sealed_.algorithm, master, sealed_.wrapped_deks);
  if (const size_t* row = std::get_if<size_t>(&unwrapped)) return *row;
  deks_ = std::get<Secret>(std::move(unwrapped));
  return std::nullopt;
}

void Table::install_deks(ByteSpan deks) {
  require(deks.size() == sealed_.rows() * key_bytes(sealed_.algorithm),
          "the data keys' length does not fit the records and the algorithm");
  if (deks.empty()) return;
  require_wrapped();
  deks_ = Secret(deks);
}

ByteSpan Table::deks() const {
  if (!unwrapped()) throw std::logic_error("the data keys have not been unwrapped");
  return deks_.span();
}

void Table::require_wrapped() const {
  if (unwrapped()) throw std::logic_error("the data keys have been unwrapped already");
}

Protection Table::protection(size_t tensor) const noexcept {
  if (!sealed_row_.empty() && sealed_row_[tensor] != no_row) return Protection::sealed;
  if (!digested_row_.empty() && digested_row_[tensor] != no_row) return Protection::digested;
  return Protection::none;
}

ChunkGrid Table::grid(size_t tensor) const noexcept {
  switch (protection(tensor)) {
    case Protection::sealed:
      return {length(tensor), sealed_.chunk_bytes};
    case Protection::digested:
      return {length(tensor), digested_.chunk_bytes};
    case Protection::none:
      break;
  }
  return {length(tensor), piece_bytes};
}

ByteSpan Table::dek(size_t tensor) const noexcept {
  const size_t key = key_bytes(sealed_.algorithm);
  return deks_.span().subspan(sealed_row_[tensor] * key, key);
}

Iv Table::iv(size_t tensor, uint64_t chunk) const noexcept {
  return chunk_iv(sealed_.ivs[sealed_row_[tensor]], chunk);
}

const uint8_t* Table::tag(size_t tensor, uint64_t chunk) const noexcept {
  const uint32_t row = sealed_row_[tensor];
  const size_t begin = sealed_.tags_begin[row];
  return begin == sealed_.tags_begin[row + 1] ? nullptr : sealed_.tags.data() + begin + chunk * tag_bytes;
}

const uint8_t* Table::digest(size_t tensor, uint64_t chunk) const noexcept {
  const uint32_t row = digested_row_[tensor];
  const size_t begin = digested_.digests_begin[row];
  return begin == digested_.digests_begin[row + 1] ? nullptr : digested_.digests.data() + begin + chunk * digest_bytes;
}

}  // namespace cryptotensors
