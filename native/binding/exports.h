// What the addon exports, by subject. src/engine/addon.ts describes it for TypeScript.
#pragma once

#include "marshal.h"

namespace cryptotensors::binding {

void export_agreement(Napi::Object exports);
void export_crypto(Napi::Object exports);
void export_deks(Napi::Object exports);
void export_files(Napi::Object exports);
void export_jobs(Napi::Object exports);
void export_memory(Napi::Object exports);
void export_secrets(Napi::Object exports);
void export_shares(Napi::Object exports);
void export_tables(Napi::Object exports);

}  // namespace cryptotensors::binding
