// Sources and sinks.
#include "exports.h"
#include "pending_job.h"

namespace cryptotensors::binding {
namespace {

Napi::Value done(const Napi::CallbackInfo& info, const Fault& fault) {
  if (fault) throw FaultError(fault);
  return info.Env().Undefined();
}

// A job that resolves to a source.
Napi::Value open_file_job(const Napi::CallbackInfo& info) {
  const auto source = std::make_shared<std::shared_ptr<Source>>();
  auto job = std::make_shared<FunctionJob>(1, [source, path = path_argument(info[0], "path")](size_t) {
    auto opened = open_file(path);
    if (Fault* fault = std::get_if<Fault>(&opened)) return *fault;
    *source = std::get<std::shared_ptr<Source>>(std::move(opened));
    return Fault{};
  });
  return make_job(
      info.Env(), std::move(job), [source](Napi::Env env) { return make_handle(env, std::move(*source)); }, {});
}

Napi::Value open_bytes(const Napi::CallbackInfo& info) {
  Held held = hold(info[0], "bytes");
  std::shared_ptr<Source> source = memory_source(held->bytes());
  return make_handle(info.Env(), std::move(source), std::move(held));
}

Napi::Value source_size(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(open_argument<Source>(info[0], "source")->size()));
}

// Bytes as they are stored, unverified.
Napi::Value read_raw_job(const Napi::CallbackInfo& info) {
  std::shared_ptr<const Source> source = open_argument<Source>(info[0], "source");
  const uint64_t offset = integer_argument(info[1], "offset");
  const Held held = hold(info[2], "destination");
  const MutableByteSpan destination = held->bytes();
  const size_t pieces = destination.size() / piece_bytes + (destination.size() % piece_bytes != 0);
  auto job = std::make_shared<FunctionJob>(pieces, [=, source = std::move(source)](size_t piece) {
    const size_t at = piece * piece_bytes;
    return source->read(offset + at, destination.subspan(at, std::min<size_t>(piece_bytes, destination.size() - at)));
  });
  return make_job(info.Env(), std::move(job), nothing, {memory_behind<Source>(info[0]), held});
}

// Called when the memory of a buffer is collected, but also for what is still there when its environment ends: another thread may
// have it by then, since `ArrayBuffer.prototype.transfer` moves even what is marked as untransferable. What is there at the end,
// which is when no JavaScript may run any more, therefore stays mapped.
void unmap(napi_env env, void*, void* pages) noexcept {
  std::unique_ptr<Mapping> mapping(static_cast<Mapping*>(pages));
  const Napi::HandleScope scope(env);
  napi_value global = nullptr;
  bool has = false;
  const bool runs = napi_get_global(env, &global) == napi_ok && napi_has_named_property(env, global, "Object", &has) == napi_ok;
  if (!runs) static_cast<void>(mapping.release());
}

// source, offset, length. A Uint8Array over a private mapping, which goes when the array does.
Napi::Value map_source(const Napi::CallbackInfo& info) {
  const auto source = open_argument<Source>(info[0], "source");
  const uint64_t offset = integer_argument(info[1], "offset");
  const uint64_t length = integer_argument(info[2], "length");
  if (length == 0 || !source->contains(offset, length)) throw std::invalid_argument("the range is not in the source");
  auto mapped = source->map(offset, length);
  if (Fault* fault = std::get_if<Fault>(&mapped)) throw FaultError(*fault);
  auto mapping = std::get<std::unique_ptr<Mapping>>(std::move(mapped));
  const size_t within = mapping->offset();
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(info.Env(), mapping->pages().data(), mapping->pages().size(),
                                                              unmap, mapping.get(), &buffer);
  if (status != napi_ok) throw FaultError({.code = Code::invalid, .message = "this runtime does not take mapped memory"});
  static_cast<void>(mapping.release());
  return Napi::Uint8Array::New(info.Env(), static_cast<size_t>(length), Napi::ArrayBuffer(info.Env(), buffer), within);
}

Napi::Value create_file_at(const Napi::CallbackInfo& info) {
  const std::string path = path_argument(info[0], "path");
  const uint64_t mode = integer_argument(info[1], "mode");
  if (mode > 07777) throw std::invalid_argument("mode must be at most 0o7777");
  auto created = create_file(path, static_cast<uint32_t>(mode));
  if (Fault* fault = std::get_if<Fault>(&created)) throw FaultError(*fault);
  return make_handle(info.Env(), std::get<std::shared_ptr<Sink>>(std::move(created)));
}

Napi::Value status_or_null(Napi::Env env, const std::optional<FileStatus>& status) {
  if (!status) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("device", Napi::BigInt::New(env, status->device));
  object.Set("inode", Napi::BigInt::New(env, status->inode));
  object.Set("mode", Napi::Number::New(env, status->mode));
  object.Set("uid", Napi::Number::New(env, status->uid));
  object.Set("gid", Napi::Number::New(env, status->gid));
  object.Set("links", Napi::Number::New(env, static_cast<double>(status->links)));
  return object;
}

Napi::Value source_status(const Napi::CallbackInfo& info) {
  return status_or_null(info.Env(), open_argument<Source>(info[0], "source")->status());
}

Napi::Value sink_status(const Napi::CallbackInfo& info) {
  return status_or_null(info.Env(), open_argument<Sink>(info[0], "sink")->status());
}

Napi::Value sink_set_mode(const Napi::CallbackInfo& info) {
  const auto sink = open_argument<Sink>(info[0], "sink");
  const uint64_t mode = integer_argument(info[1], "mode");
  if (mode > 0777) throw std::invalid_argument("mode must be at most 0o777");
  return done(info, sink->set_mode(static_cast<uint32_t>(mode)));
}

// sink, uid or null, gid or null.
Napi::Value sink_set_owner(const Napi::CallbackInfo& info) {
  const auto sink = open_argument<Sink>(info[0], "sink");
  const auto id = [](const Napi::Value& value, const char* name) -> std::optional<uint32_t> {
    if (value.IsNull()) return std::nullopt;
    const uint64_t number = integer_argument(value, name);
    if (number >= UINT32_MAX) throw std::invalid_argument(std::string(name) + " is not an id of this system");
    return static_cast<uint32_t>(number);
  };
  return done(info, sink->set_owner(id(info[1], "uid"), id(info[2], "gid")));
}

Napi::Value remove_abandoned_at(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), remove_abandoned(path_argument(info[0], "path")));
}

Napi::Value memory_sink_of(const Napi::CallbackInfo& info) {
  Held held = hold(info[0], "bytes");
  std::shared_ptr<Sink> sink = memory_sink(held->bytes());
  return make_handle(info.Env(), std::move(sink), std::move(held));
}

Napi::Value sink_allocate_job(const Napi::CallbackInfo& info) {
  const auto sink = open_argument<Sink>(info[0], "sink");
  const uint64_t size = integer_argument(info[1], "size");
  auto job = std::make_shared<FunctionJob>(1, [=](size_t) { return sink->allocate(size); });
  return make_job(info.Env(), std::move(job), nothing, {memory_behind<Sink>(info[0])});
}

Napi::Value sink_write(const Napi::CallbackInfo& info) {
  const auto sink = open_argument<Sink>(info[0], "sink");
  if (const Held memory = memory_behind<Sink>(info[0])) memory->check();
  return done(info, sink->write(integer_argument(info[1], "offset"), bytes_argument(info[2], "bytes")));
}

Napi::Value sink_sync_job(const Napi::CallbackInfo& info) {
  const auto sink = open_argument<Sink>(info[0], "sink");
  auto job = std::make_shared<FunctionJob>(1, [=](size_t) { return sink->sync(); });
  return make_job(info.Env(), std::move(job), nothing, {memory_behind<Sink>(info[0])});
}

}  // namespace

void export_files(Napi::Object exports) {
  export_function<open_file_job>(exports, "openFileJob");
  export_function<open_bytes>(exports, "openBytes");
  export_function<source_size>(exports, "sourceSize");
  export_function<read_raw_job>(exports, "readRawJob");
  export_function<close_handle<Source>>(exports, "closeSource");
  export_function<map_source>(exports, "mapSource");
  export_function<create_file_at>(exports, "createFile");
  export_function<memory_sink_of>(exports, "memorySink");
  export_function<sink_allocate_job>(exports, "sinkAllocateJob");
  export_function<sink_write>(exports, "sinkWrite");
  export_function<sink_sync_job>(exports, "sinkSyncJob");
  export_function<close_handle<Sink>>(exports, "closeSink");
  export_function<source_status>(exports, "sourceStatus");
  export_function<sink_status>(exports, "sinkStatus");
  export_function<sink_set_mode>(exports, "sinkSetMode");
  export_function<sink_set_owner>(exports, "sinkSetOwner");
  export_function<remove_abandoned_at>(exports, "removeAbandoned");
  exports.Set("locksFiles", Napi::Boolean::New(exports.Env(), locks_files));
}

}  // namespace cryptotensors::binding
