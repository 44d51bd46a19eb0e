#include "seal_job.h"

#include <stdexcept>
#include <utility>

namespace cryptotensors {
namespace {

constexpr uint64_t counter_values = uint64_t{1} << 32;

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

// Makes the counter of a random base IV small enough for `count` chunks, every allowed value being as likely (FORMAT.md §2).
void make_room(Iv& base, uint64_t count) {
  uint8_t* counter = base.data() + 8;
  if (count <= counter_values / 2) {
    counter[0] &= 0x7F;
    return;
  }
  while (!counter_has_room(base, count)) random_bytes({counter, 4});
}

// Where a tensor's values are within what is packed for it.
struct Record {
  uint8_t *wrapped_key, *key_iv, *key_tag, *iv, *tags;
  Record(uint8_t* at, size_t key)
      : wrapped_key(at),
        key_iv(wrapped_key + key),
        key_tag(key_iv + iv_bytes),
        iv(key_tag + tag_bytes),
        tags(iv + iv_bytes) {}
};

Iv load_iv(const uint8_t* at) noexcept {
  Iv iv;
  std::memcpy(iv.data(), at, iv_bytes);
  return iv;
}

}  // namespace

SealJob::SealJob(SealSpec spec) : Job(spec.threads), spec_(std::move(spec)) {
  if (const auto& encryption = spec_.encryption) {
    require(encryption->version == 1 || encryption->version == 2, "the version must be 1 or 2");
    require((encryption->version == 2) == (encryption->chunk_bytes > 0), "version 2, and only that, has a chunk size");
    require(encryption->master->size() == key_bytes(encryption->algorithm),
            "the master key's length does not fit the algorithm");
  }
  require(!spec_.integrity || spec_.integrity->chunk_bytes > 0, "digests need a chunk size");
  require(spec_.items.size() <= UINT32_MAX, "there are too many tensors");
  for (const SealItem& item : spec_.items) check_item(item);
}

void SealJob::check_item(const SealItem& item) const {
  require(item.source < spec_.sources.size(), "an item names a source that is not there");
  require(spec_.sources[item.source]->contains(item.offset, item.length), "an item runs past the end of its source");
  const auto end = checked_add(item.destination, item.length);
  const MutableByteSpan memory = spec_.sink->memory();
  require(end && (memory.empty() || *end <= memory.size()), "an item runs past the end of the destination");
  require(item.mode != SealMode::encrypt || spec_.encryption.has_value(), "an item is to be encrypted, but how is not said");
  require(item.mode != SealMode::digest || spec_.integrity.has_value(), "an item is to be digested, but how is not said");
}

ChunkGrid SealJob::grid(const SealItem& item) const noexcept {
  switch (item.mode) {
    case SealMode::encrypt:
      return {item.length, spec_.encryption->chunk_bytes};
    case SealMode::digest:
      return {item.length, spec_.integrity->chunk_bytes};
    case SealMode::plain:
      break;
  }
  return {item.length, piece_bytes};
}

size_t SealJob::packed_bytes(const SealItem& item) const noexcept {
  const auto chunks = static_cast<size_t>(grid(item).count());
  switch (item.mode) {
    case SealMode::encrypt:
      return key_bytes(spec_.encryption->algorithm) + iv_bytes + tag_bytes + iv_bytes + chunks * tag_bytes;
    case SealMode::digest:
      return chunks * digest_bytes;
    case SealMode::plain:
      break;
  }
  return 0;
}

size_t SealJob::plan(Worker& worker) {
  size_t packed = 0;
  size_t deks = 0;
  uint64_t total = 0;
  for (uint32_t i = 0; i < spec_.items.size(); ++i) {
    const SealItem& item = spec_.items[i];
    const ChunkGrid chunks = grid(item);
    if (item.mode == SealMode::encrypt) {
      require(chunks.longest() <= max_message_bytes(spec_.encryption->algorithm),
              "a tensor is longer than the algorithm can encrypt in one piece; use version 2 with smaller chunks");
      require(chunks.count() <= counter_values, "a tensor has more chunks than there are IVs; use larger chunks");
    }
    packed_begin_.push_back(packed);
    dek_begin_.push_back(deks);
    packed += packed_bytes(item);
    if (item.mode == SealMode::encrypt) deks += key_bytes(spec_.encryption->algorithm);
    total += item.length;
    const uint64_t per_part = Batches::chunks_that_fit(chunks);
    for (uint64_t chunk = 0; chunk < chunks.count(); chunk += per_part) {
      const uint64_t count = std::min(per_part, chunks.count() - chunk);
      const Part part{i, chunk, chunks.begin(chunk), chunks.end(chunk + count - 1)};
      batches_.add(part.length(), count);
      parts_.push_back(part);
    }
  }
  packed_.resize(packed);
  if (deks > 0) {
    deks_ = Secret(deks);
    provider_ = chosen_provider(spec_.encryption->algorithm);
    draw_secrets(worker);
  }
  set_total(total);
  return batches_.count();
}

// DEKs and IVs are fresh for every tensor of every file: no IV is used twice under one key.
void SealJob::draw_secrets(Worker& worker) {
  const SealSpec::Encryption& encryption = *spec_.encryption;
  const size_t key = key_bytes(encryption.algorithm);
  const size_t tensors = deks_.size() / key;
  random_bytes(deks_.span());
  std::vector<Iv> ivs(2 * tensors);
  random_bytes({ivs.data()->data(), ivs.size() * iv_bytes});
  auto iv = ivs.begin();
  AeadContext& context = worker.context(provider_, encryption.algorithm);
  context.set_key(encryption.master->span());
  for (size_t i = 0; i < spec_.items.size(); ++i) {
    const SealItem& item = spec_.items[i];
    if (item.mode != SealMode::encrypt) continue;
    const Record record(&packed_[packed_begin_[i]], key);
    std::memcpy(record.key_iv, iv->data(), iv_bytes);
    context.seal(*iv++, deks_.data() + dek_begin_[i], record.wrapped_key, key, record.key_tag);
    make_room(*iv, grid(item).count());
    std::memcpy(record.iv, iv++->data(), iv_bytes);
  }
}

Fault SealJob::run(size_t item, Worker& worker) {
  const std::span<const Part> parts = batches_.of(parts_, item);
  if (spec_.sources[spec_.items[parts.front().item].source]->waits() > 0) {
    ahead_.from(item, batches_.count(), [&](size_t next, WantedRanges& ranges) {
      for (const Part& part : batches_.of(parts_, next)) {
        const SealItem& from = spec_.items[part.item];
        ranges.add(*spec_.sources[from.source], from.offset + part.begin, part.length());
      }
    });
  }
  const auto destination = [&](const Part& part) { return spec_.items[part.item].destination + part.begin; };
  for (size_t i = 0; i < parts.size() && !stopped();) {
    // What lies together in the sink is written by one call.
    const size_t first = i++;
    uint64_t bytes = parts[first].length();
    while (i < parts.size() && destination(parts[i]) == destination(parts[first]) + bytes) bytes += parts[i++].length();
    const MutableByteSpan buffer = worker.buffer(static_cast<size_t>(bytes));
    Fault fault = seal_together(parts.subspan(first, i - first), buffer, worker);
    if (!fault) fault = spec_.sink->write(destination(parts[first]), buffer);
    if (fault) {
      if (fault.tensor < 0) fault.tensor = parts[first].item;
      return fault;
    }
    add_done(bytes);
  }
  return {};
}

// Fills the buffer with the parts as they are to be stored.
Fault SealJob::seal_together(std::span<const Part> parts, MutableByteSpan buffer, Worker& worker) {
  size_t fetched = 0;
  for (size_t i = 0; i < parts.size();) {
    // What lies together in a source is read by one call.
    const SealItem& item = spec_.items[parts[i].item];
    const uint64_t position = item.offset + parts[i].begin;
    size_t bytes = 0;
    for (; i < parts.size(); ++i) {
      const SealItem& next = spec_.items[parts[i].item];
      if (next.source != item.source || next.offset + parts[i].begin != position + bytes) break;
      bytes += parts[i].length();
    }
    if (Fault fault = spec_.sources[item.source]->read(position, buffer.subspan(fetched, bytes))) return fault;
    fetched += bytes;
  }
  uint8_t* bytes = buffer.data();
  for (const Part& part : parts) {
    protect(part, bytes, worker);
    bytes += part.length();
  }
  return {};
}

void SealJob::protect(const Part& part, uint8_t* bytes, Worker& worker) {
  const SealItem& item = spec_.items[part.item];
  if (item.mode == SealMode::plain) return;
  if (item.mode == SealMode::encrypt) {
    encrypt(part, bytes, worker.context(provider_, spec_.encryption->algorithm));
    return;
  }
  uint8_t* digests = &packed_[packed_begin_[part.item]];
  for_each_chunk(part, [&](uint64_t chunk, size_t offset, size_t length) {
    digest(spec_.integrity->algorithm, {bytes + offset, length}, digests + chunk * digest_bytes);
  });
}

void SealJob::encrypt(const Part& part, uint8_t* bytes, AeadContext& context) {
  const size_t key = key_bytes(context.algorithm());
  const Record record(&packed_[packed_begin_[part.item]], key);
  const ByteSpan dek = std::as_const(deks_).span().subspan(dek_begin_[part.item], key);
  context.set_key(dek);
  const Iv base = load_iv(record.iv);
  for_each_chunk(part, [&](uint64_t chunk, size_t offset, size_t length) {
    context.seal(chunk_iv(base, chunk), bytes + offset, bytes + offset, length, record.tags + chunk * tag_bytes);
  });
}

template <typename Use>
void SealJob::for_each_chunk(const Part& part, Use use) const {
  const ChunkGrid chunks = grid(spec_.items[part.item]);
  uint64_t chunk = part.chunk;
  do {
    const uint64_t begin = chunks.begin(chunk);
    use(chunk, static_cast<size_t>(begin - part.begin), static_cast<size_t>(chunks.end(chunk) - begin));
  } while (chunks.end(chunk++) < part.end);
}

Fault SealJob::finish(Fault fault) noexcept {
  deks_.reset();
  for (const auto& source : spec_.sources) {
    if (!fault) fault = source->check_unchanged();
  }
  const MutableByteSpan memory = spec_.sink->memory();
  // Items are taken up in order: what belongs to later ones has not been touched.
  for (size_t item = 0; fault && !memory.empty() && item < taken(); ++item) {
    for (const Part& part : batches_.of(parts_, item)) {
      wipe(memory.subspan(static_cast<size_t>(spec_.items[part.item].destination + part.begin), part.length()));
    }
  }
  spec_ = {};
  return fault;
}

}  // namespace cryptotensors
