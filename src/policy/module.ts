import { decodeBase64 } from '../format/base64.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { COMPRESSED_ENGINE, ENGINE_FILE } from './engine-bytes.js';
import { builtinModule } from './host.js';

let compiled: WebAssembly.Module | undefined;

/** What Node, Bun and Deno have, and browsers have not. */
const { Buffer }: { Buffer?: BufferConstructor } = globalThis;

/**
 * The policy engine, which is compiled when it is first needed and kept.
 *
 * @throws Error, with the reason in words, where WebAssembly cannot be had
 */
export function* loadModule(): Twin<WebAssembly.Module> {
  if (compiled === undefined) {
    if (!Object.hasOwn(globalThis, 'WebAssembly')) throw new Error('this JavaScript runtime has no WebAssembly');
    compiled = compileBeside() ?? new WebAssembly.Module(yield* decompress(decode(COMPRESSED_ENGINE)));
  }
  return compiled;
}

/**
 * The same bytes from a file beside this one, if there is one, so that they need not be decompressed. Its name has their SHA-256,
 * so that a bundle takes no file of somebody else's or of another version; whoever can put one there can replace the code too.
 */
function compileBeside(): WebAssembly.Module | undefined {
  const fs = builtinModule('node:fs');
  if (fs === undefined) return undefined;
  try {
    // In two steps, so that no bundler takes it for a file to bring along.
    const folder = new URL('.', import.meta.url);
    return new WebAssembly.Module(fs.readFileSync(new URL(ENGINE_FILE, folder)));
  } catch {
    // It is not there or not whole, may not be read, or this code is in no file.
    return undefined;
  }
}

function decode(text: string): Uint8Array {
  // Buffer is several times as fast, where there is one.
  return Buffer === undefined ? decodeBase64(text)! : Buffer.from(text, 'base64');
}

/** Raw deflate: by zlib where there is one, at once; elsewhere (browsers) by the platform's stream. */
function decompress(bytes: Uint8Array): Twin<Uint8Array> {
  const zlib = builtinModule('node:zlib');
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
