// The only include of napi.h: how the addon uses Node-API is decided here.
#pragma once

// 8: type tags for handles. Every Node.js that package.json allows, Bun and Deno have it.
#define NAPI_VERSION 8
#define NAPI_CPP_EXCEPTIONS
// worker.terminate() during a call must not abort the process by an exception that nobody can catch any more.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#define NODE_ADDON_API_DISABLE_DEPRECATED

#include <napi.h>
