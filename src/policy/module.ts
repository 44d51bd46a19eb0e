import { decodeBase64 } from '../format/base64.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { COMPRESSED_ENGINE } from './engine-bytes.js';

let compiled: WebAssembly.Module | undefined;

/** What Node, Bun and Deno have, and browsers have not. */
const { process, Buffer }: { process?: NodeJS.Process; Buffer?: BufferConstructor } = globalThis;

/**
 * The policy engine, which is compiled when it is first needed and kept.
 *
 * @throws Error, with the reason in words, where WebAssembly cannot be had
 */
export function* loadModule(): Twin<WebAssembly.Module> {
  if (compiled === undefined) {
    if (!('WebAssembly' in globalThis)) throw new Error('this JavaScript runtime has no WebAssembly');
    compiled = new WebAssembly.Module(yield* decompress(decode(COMPRESSED_ENGINE)));
  }
  return compiled;
}

function decode(text: string): Uint8Array {
  // Buffer is several times as fast, where there is one.
  return Buffer === undefined ? decodeBase64(text)! : Buffer.from(text, 'base64');
}

/** Raw deflate: by zlib where there is one, at once; elsewhere (browsers) by the platform's stream. */
function decompress(bytes: Uint8Array): Twin<Uint8Array> {
  // As a built-in module by name, so that bundles for browsers have nothing to resolve.
  const zlib = process?.getBuiltinModule('node:zlib');
  const inflate = (): Uint8Array => {
    if (zlib === undefined) throw new Error('this JavaScript runtime can load the policy engine by awaiting only');
    return zlib.inflateRawSync(bytes, { chunkSize: 2 * 1024 * 1024 });
  };
  return step(inflate, async () => {
    if (zlib !== undefined) return inflate();
    const stream = new Blob([bytes as Uint8Array<ArrayBuffer>])
      .stream()
      .pipeThrough(new DecompressionStream('deflate-raw'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  });
}
