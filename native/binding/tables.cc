// Tensor tables.
#include "exports.h"
#include "handles.h"
#include "pending_job.h"

namespace cryptotensors::binding {
namespace {

std::vector<uint64_t> integers(const Napi::Value& value, const char* name) {
  const std::span<const double> numbers = float64_argument(value, name);
  std::vector<uint64_t> integers;
  integers.reserve(numbers.size());
  for (const double number : numbers) integers.push_back(to_integer(number, name, value.Env()));
  return integers;
}

std::string_view text_argument(const Napi::Value& value, const char* name) {
  const ByteSpan bytes = bytes_argument(value, name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const char* field_name(RecordField field) noexcept {
  constexpr std::array names{"wrapped_key", "key_iv", "key_tag", "iv", "tag", "digests"};
  return names[static_cast<size_t>(field)];
}

const char* problem_name(RecordProblem problem) noexcept {
  constexpr std::array names{"base64", "length", "counter-overflow"};
  return names[static_cast<size_t>(problem)];
}

Napi::Value to_object(Napi::Env env, const RecordFault& fault) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("row", static_cast<double>(fault.row));
  object.Set("field", field_name(fault.field));
  object.Set("problem", problem_name(fault.problem));
  object.Set("found", static_cast<double>(fault.found));
  object.Set("expected", static_cast<double>(fault.expected));
  return object;
}

struct Texts {
  Napi::Value document, records;
};

Texts texts_argument(const Napi::Value& value) {
  if (value.IsNull()) return {};
  const auto given = value.As<Napi::Object>();
  return {given.Get("document"), given.Get("records")};
}

// Appends to `memory` what is pointed at.
template <typename Part>
void point_at(std::optional<Part>& part, const Texts& texts, std::vector<Held>& memory) {
  if (!part) return;
  part->document = text_argument(texts.document, "document");
  part->records = int32_argument(texts.records, "records");
  for (const Napi::Value& view : {texts.document, texts.records}) memory.push_back(hold_elements(view, "a record's text"));
}

// dataStart, begin, end, encryption or null, integrity or null. Appends to `memory` what the spec refers to.
TableSpec spec_argument(const Napi::CallbackInfo& info, std::vector<Held>& memory) {
  // A property may be a getter, which runs JavaScript: all of them are read before anything is pointed at.
  const Texts encryption = texts_argument(info[3]);
  const Texts integrity = texts_argument(info[4]);
  TableSpec spec;
  spec.data_start = integer_argument(info[0], "dataStart");
  spec.begin = integers(info[1], "begin");
  spec.end = integers(info[2], "end");
  if (!info[3].IsNull()) {
    const auto given = info[3].As<Napi::Object>();
    spec.encryption = {.algorithm = algorithm_argument(given.Get("algorithm")),
                       .version = static_cast<unsigned>(integer_argument(given.Get("version"), "version")),
                       .chunk_bytes = integer_argument(given.Get("chunkSize"), "chunkSize"),
                       .document = {},
                       .records = {}};
  }
  if (!info[4].IsNull()) {
    const auto given = info[4].As<Napi::Object>();
    spec.integrity = {.algorithm = digest_algorithm_argument(given.Get("algorithm")),
                      .chunk_bytes = integer_argument(given.Get("chunkSize"), "chunkSize"),
                      .document = {},
                      .records = {}};
  }
  point_at(spec.encryption, encryption, memory);
  point_at(spec.integrity, integrity, memory);
  return spec;
}

using Created = std::variant<std::shared_ptr<Table>, RecordFault>;

// { table } or { fault }.
Napi::Value to_object(Napi::Env env, Created created) {
  Napi::Object result = Napi::Object::New(env);
  if (const RecordFault* fault = std::get_if<RecordFault>(&created)) {
    result.Set("fault", to_object(env, *fault));
  } else {
    result.Set("table", make_handle(env, std::get<std::shared_ptr<Table>>(std::move(created))));
  }
  return result;
}

Napi::Value create_table(const Napi::CallbackInfo& info) {
  std::vector<Held> memory;
  return to_object(info.Env(), Table::create(spec_argument(info, memory)));
}

// The same as a job. What the spec refers to is kept meanwhile.
Napi::Value create_table_job(const Napi::CallbackInfo& info) {
  std::vector<Held> memory;
  const auto created = std::make_shared<Created>();
  auto job = std::make_shared<FunctionJob>(1, [created, spec = spec_argument(info, memory)](size_t) mutable {
    *created = Table::create(std::move(spec));
    return Fault{};
  });
  return make_job(
      info.Env(), std::move(job), [created](Napi::Env env) { return to_object(env, std::move(*created)); },
      std::move(memory));
}

Napi::Value unwrap_table(const Napi::CallbackInfo& info) {
  const auto table = open_argument<Table>(info[0], "table");
  const auto master = open_argument<Secret>(info[1], "master");
  const std::optional<size_t> row = table->unwrap(std::as_const(*master).span());
  return Napi::Number::New(info.Env(), row ? static_cast<double>(*row) : -1);
}

Napi::Value unwrap_table_job(const Napi::CallbackInfo& info) {
  const auto row = std::make_shared<std::optional<size_t>>();
  auto job = std::make_shared<FunctionJob>(
      1, [row, table = open_argument<Table>(info[0], "table"), master = open_argument<Secret>(info[1], "master")](size_t) {
        *row = table->unwrap(std::as_const(*master).span());
        return Fault{};
      });
  return make_job(
      info.Env(), std::move(job),
      [row](Napi::Env env) { return Napi::Number::New(env, *row ? static_cast<double>(**row) : -1); }, {});
}

Napi::Value wrapped_deks(const Napi::CallbackInfo& info) {
  return to_bytes(info.Env(), open_argument<Table>(info[0], "table")->wrapped_deks());
}

Napi::Value install_deks(const Napi::CallbackInfo& info) {
  const auto table = open_argument<Table>(info[0], "table");
  table->install_deks(std::as_const(*open_argument<Secret>(info[1], "deks")).span());
  return info.Env().Undefined();
}

Napi::Value export_deks_of(const Napi::CallbackInfo& info) {
  const auto table = open_argument<Table>(info[0], "table");
  return make_handle(info.Env(), std::make_shared<Secret>(table->deks()));
}

}  // namespace

void export_tables(Napi::Object exports) {
  export_function<create_table>(exports, "createTable");
  export_function<create_table_job>(exports, "createTableJob");
  export_function<unwrap_table>(exports, "unwrapTable");
  export_function<unwrap_table_job>(exports, "unwrapTableJob");
  export_function<wrapped_deks>(exports, "wrappedDeks");
  export_function<install_deks>(exports, "installDeks");
  export_function<export_deks_of>(exports, "exportDeks");
  export_function<close_handle<Table>>(exports, "disposeTable");
}

}  // namespace cryptotensors::binding
