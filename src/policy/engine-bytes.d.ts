/**
 * The metered policy engine (`policy.wasm` beside this file), compressed (raw deflate), as base64 text: `scripts/build-ts.mjs`
 * makes the module. Being part of the code, it is found wherever the code is: by every runtime and bundler, in every context.
 */
export const COMPRESSED_ENGINE: string;
/** Name of the file beside this one that holds the same, as it is. */
export const ENGINE_FILE: string;
