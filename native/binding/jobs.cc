// The large jobs, and what can be done with any job.
#include "../core/open_box_job.h"
#include "../core/open_job.h"
#include "../core/seal_job.h"
#include "environment.h"
#include "exports.h"

namespace cryptotensors::binding {
namespace {

// Rows of numbers in a Float64Array.
class Rows {
 public:
  Rows(const Napi::Value& value, size_t stride, const char* name)
      : env_(value.Env()), name_(name), stride_(stride), numbers_(float64_argument(value, name)) {
    if (numbers_.size() % stride != 0) {
      throw Napi::RangeError::New(env_, std::string(name) + " must have " + std::to_string(stride) + " numbers per row");
    }
  }

  size_t count() const noexcept { return numbers_.size() / stride_; }
  uint64_t integer(size_t row, size_t column) const {
    return to_integer(numbers_[row * stride_ + column], name_, env_);
  }
  // An index, which its user checks. What does not fit becomes one that is certainly too large.
  uint32_t index(size_t row, size_t column) const {
    return static_cast<uint32_t>(std::min<uint64_t>(integer(row, column), UINT32_MAX));
  }

 private:
  const Napi::Env env_;
  const char* const name_;
  const size_t stride_;
  const std::span<const double> numbers_;
};

std::vector<uint64_t> integers(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be an array");
  const auto array = value.As<Napi::Array>();
  std::vector<uint64_t> integers;
  for (uint32_t i = 0; i < array.Length(); ++i) integers.push_back(integer_argument(array[i], name));
  return integers;
}

Box box_argument(const Napi::Object& given) {
  Box box{.tensor = static_cast<uint32_t>(std::min<uint64_t>(integer_argument(given.Get("tensor"), "tensor"), UINT32_MAX)),
          .start = integer_argument(given.Get("start"), "start"),
          .length = integer_argument(given.Get("length"), "length"),
          .levels = {}};
  const std::vector<uint64_t> counts = integers(given.Get("counts"), "counts");
  const std::vector<uint64_t> strides = integers(given.Get("strides"), "strides");
  if (counts.size() != strides.size()) throw std::invalid_argument("a box has as many strides as counts");
  for (size_t i = 0; i < counts.size(); ++i) box.levels.push_back({counts[i], strides[i]});
  return box;
}

// table, source, destination, copies or a box, threads.
Napi::Value read_job(const Napi::CallbackInfo& info) {
  if (info[3].IsObject() && !info[3].IsTypedArray()) {
    // Its properties are read, which may run JavaScript, before anything is pointed at.
    Box box = box_argument(info[3].As<Napi::Object>());
    const Held destination = hold(info[2], "destination");
    auto job = std::make_shared<BoxJob>(open_argument<Table>(info[0], "table"), open_argument<Source>(info[1], "source"),
                                        destination->bytes(), std::move(box), threads_argument(info[4]));
    return make_job(info.Env(), std::move(job), nothing, {memory_behind<Source>(info[1]), destination});
  }
  const Rows rows(info[3], 4, "copies");
  std::vector<Copy> copies;
  copies.reserve(rows.count());
  for (size_t i = 0; i < rows.count(); ++i) {
    copies.push_back({rows.index(i, 0), rows.integer(i, 1), rows.integer(i, 2), rows.integer(i, 3)});
  }
  const Held destination = hold(info[2], "destination");
  auto job = std::make_shared<OpenJob>(open_argument<Table>(info[0], "table"), open_argument<Source>(info[1], "source"),
                                       destination->bytes(), std::move(copies), threads_argument(info[4]));
  return make_job(info.Env(), std::move(job), nothing, {memory_behind<Source>(info[1]), destination});
}

// table, source, sink, tensors, threads.
Napi::Value unseal_job(const Napi::CallbackInfo& info) {
  const Rows rows(info[3], 2, "tensors");
  std::vector<std::pair<uint32_t, uint64_t>> tensors;
  tensors.reserve(rows.count());
  for (size_t i = 0; i < rows.count(); ++i) tensors.emplace_back(rows.index(i, 0), rows.integer(i, 1));
  auto job = std::make_shared<OpenJob>(open_argument<Table>(info[0], "table"), open_argument<Source>(info[1], "source"),
                                       open_argument<Sink>(info[2], "sink"), tensors, threads_argument(info[4]));
  return make_job(info.Env(), std::move(job), nothing,
                  {memory_behind<Source>(info[1]), memory_behind<Sink>(info[2])});
}

// Appends to `memory` what they point into.
std::vector<std::shared_ptr<const Source>> sources_argument(const Napi::Value& value, std::vector<Held>& memory) {
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), "sources must be an array");
  const auto array = value.As<Napi::Array>();
  std::vector<std::shared_ptr<const Source>> sources;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value source = array[i];
    sources.push_back(open_argument<Source>(source, "source"));
    memory.push_back(memory_behind<Source>(source));
  }
  return sources;
}

SealMode mode(uint64_t number) {
  if (number > static_cast<uint64_t>(SealMode::digest)) throw std::invalid_argument("an item's mode must be 0, 1 or 2");
  return static_cast<SealMode>(number);
}

// sources, sink, items, encryption or null, integrity or null, threads. Resolves to the packed bytes.
Napi::Value seal_job(const Napi::CallbackInfo& info) {
  SealSpec spec;
  std::vector<Held> memory;
  spec.sources = sources_argument(info[0], memory);
  spec.sink = open_argument<Sink>(info[1], "sink");
  memory.push_back(memory_behind<Sink>(info[1]));
  const Rows rows(info[2], 5, "items");
  spec.items.reserve(rows.count());
  for (size_t i = 0; i < rows.count(); ++i) {
    spec.items.push_back({rows.index(i, 0), rows.integer(i, 1), rows.integer(i, 2), rows.integer(i, 3),
                          mode(rows.integer(i, 4))});
  }
  if (!info[3].IsNull()) {
    const auto given = info[3].As<Napi::Object>();
    spec.encryption = {.algorithm = algorithm_argument(given.Get("algorithm")),
                       .version = static_cast<unsigned>(integer_argument(given.Get("version"), "version")),
                       .chunk_bytes = integer_argument(given.Get("chunkSize"), "chunkSize"),
                       .master = open_argument<Secret>(given.Get("master"), "master")};
  }
  if (!info[4].IsNull()) {
    const auto given = info[4].As<Napi::Object>();
    spec.integrity = {.algorithm = digest_algorithm_argument(given.Get("algorithm")),
                      .chunk_bytes = integer_argument(given.Get("chunkSize"), "chunkSize")};
  }
  spec.threads = threads_argument(info[5]);
  const auto job = std::make_shared<SealJob>(std::move(spec));
  return make_job(
      info.Env(), job, [seal = job.get()](Napi::Env env) { return to_bytes(env, seal->packed()); }, std::move(memory));
}

std::shared_ptr<PendingJob> fresh_job(const Napi::CallbackInfo& info) {
  std::shared_ptr<PendingJob> pending = open_argument<PendingJob>(info[0], "job");
  if (pending->used) throw Napi::Error::New(info.Env(), "a job can be started once");
  pending->used = true;
  pending->check_memory();
  return pending;
}

Napi::Value start_job(const Napi::CallbackInfo& info) {
  return Environment::of(info.Env()).start(info.Env(), fresh_job(info));
}

Napi::Value run_job(const Napi::CallbackInfo& info) {
  const std::shared_ptr<PendingJob> pending = fresh_job(info);
  Pool::instance().run(pending->job);
  pending->memory.clear();
  return pending->outcome(info.Env());
}

Napi::Value cancel_job(const Napi::CallbackInfo& info) {
  open_argument<PendingJob>(info[0], "job")->job->cancel();
  return info.Env().Undefined();
}

// Bytes done.
Napi::Value job_done(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(open_argument<PendingJob>(info[0], "job")->job->done()));
}

// Bytes in all, 0 until that is known.
Napi::Value job_total(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(open_argument<PendingJob>(info[0], "job")->job->total()));
}

}  // namespace

void export_jobs(Napi::Object exports) {
  export_function<read_job>(exports, "readJob");
  export_function<unseal_job>(exports, "unsealJob");
  export_function<seal_job>(exports, "sealJob");
  export_function<start_job>(exports, "startJob");
  export_function<run_job>(exports, "runJob");
  export_function<cancel_job>(exports, "cancelJob");
  export_function<job_done>(exports, "jobDone");
  export_function<job_total>(exports, "jobTotal");
}

}  // namespace cryptotensors::binding
