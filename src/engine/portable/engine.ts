import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { allocated, checkMemory, keepPrivate } from '../memory.js';
import type { Engine, EngineFacts, Secret, Source } from '../types.js';
import { SIGNATURE_BYTES } from '../../format/vocabulary.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../../format/vocabulary.js';
import { keyAgreement } from './agreement.js';
import { runJob } from './job.js';
import { ensure, unwrapDeks, wrapDeks } from './keys.js';
import { Lease } from './lease.js';
import { readJob, unsealJob } from './open.js';
import { memorySink, memorySource, own, PortableSource } from './places.js';
import type { PortableSink } from './places.js';
import type { Primitives } from './primitives.js';
import { sealJob } from './seal.js';
import { equalBytes, importSecret, importSecretBase64, PortableSecret } from './secret.js';
import { secretBytes, secretMemory, withKeys } from './secret.js';
import { createTable } from './table.js';

/** Of Ed25519: a seed, or a public key. */
const KEY_BYTES = 32;

/** Files of the system, where there are any. */
export interface Files {
  openFile(path: string): Twin<PortableSource>;
  createFile(path: string, mode: number): PortableSink;
}

/**
 * The engine for platforms without a prebuilt addon, for browsers and for edge runtimes: everything in the calling thread, over
 * a few primitives. The event loop has its turn every 256 KiB. It finds the same faults in files as the native engine, with which it
 * shares no code; requests that contradict themselves it takes for mistakes of the layers above, which check them. It is slower, and what JavaScript cannot do it leaves out: keys are wiped but neither locked nor kept
 * out of core dumps, large buffers get no huge pages, disk space is not reserved. A chunk is held back in memory until it has
 * passed its check, however long it is.
 *
 * Each form that blocks works where the primitives can block; else it throws `NativeUnavailable`.
 */
export function createPortableEngine(primitives: Primitives, files: Files | null): Engine {
  const wrap = (algorithm: AeadAlgorithm, master: Secret, deks: Secret) =>
    withKeys(
      [
        ['master', master],
        ['deks', deks],
      ],
      (key, plain) => wrapDeks(primitives, algorithm, key, plain),
    );
  const unwrap = (algorithm: AeadAlgorithm, master: Secret, rows: Uint8Array) =>
    withKeys([['master', master]], function* (key) {
      // A copy: shared memory may change between verifying and decrypting.
      const unwrapped = yield* unwrapDeks(primitives, algorithm, key, Uint8Array.from(rows));
      return typeof unwrapped === 'number' ? { row: unwrapped } : { deks: new PortableSecret(unwrapped) };
    });
  return {
    name: 'portable',
    sharing: null,
    info: () => info(primitives),
    importSecret,
    importSecretBase64,
    randomSecret: (byteLength) => new PortableSecret(primitives.randomFill(secretMemory(byteLength))),
    exportSecret: (secret) => secretBytes(secret).slice(),
    secretsEqual: (a, b) => equalBytes(secretBytes(a, 'a'), secretBytes(b, 'b')),
    wrapDeks: (...request) => runSync(wrap(...request)),
    wrapDeksAsync: (...request) => runAsync(wrap(...request)),
    unwrapDeks: (...request) => runSync(unwrap(...request)),
    unwrapDeksAsync: (...request) => runAsync(unwrap(...request)),
    ed25519PublicKey: (seed) => primitives.ed25519PublicKey(seedBytes(seed)),
    ed25519Sign: (seed, message) => primitives.ed25519Sign(seedBytes(seed), message),
    ed25519Verify: (...request) => runSync(verifying(primitives, ...request)),
    ed25519VerifyAsync: (...request) => runAsync(verifying(primitives, ...request)),
    ...keyAgreement(primitives),
    digest: (algorithm, bytes) => digest(primitives, algorithm, bytes),
    openFile: (path) => runAsync(filesOf(files).openFile(path)),
    openFileSync: (path) => runSync(filesOf(files).openFile(path)),
    openBytes: memorySource,
    readRaw: (...request) => runAsync(readingRaw(...request)),
    readRawSync: (...request) => runSync(readingRaw(...request)),
    map() {
      throw new EngineFault('InvalidOption', 'files can be mapped by the native engine only');
    },
    createFile: (path, mode) => filesOf(files).createFile(path, mode),
    // JavaScript locks no files.
    locksFiles: false,
    removeAbandoned: () => false,
    memorySink,
    createTable: (spec) => runSync(createTable(primitives, spec)),
    createTableAsync: (spec) => runAsync(createTable(primitives, spec)),
    read: async (request) => runAsync(runJob(readJob(primitives, request))),
    readSync: (request) => runSync(runJob(readJob(primitives, request))),
    unseal: async (request) => runAsync(runJob(unsealJob(primitives, request))),
    unsealSync: (request) => runSync(runJob(unsealJob(primitives, request))),
    async seal(request) {
      const { job, packed } = sealJob(primitives, request);
      await runAsync(runJob(job));
      return packed;
    },
    sealSync(request) {
      const { job, packed } = sealJob(primitives, request);
      runSync(runJob(job));
      return packed;
    },
    allocate: (byteLength, shared) => {
      if (!shared) return allocatePrivate(byteLength);
      return allocated(byteLength, () => new Uint8Array(new SharedArrayBuffer(byteLength)));
    },
    allocateUnsafe: allocatePrivate,
    wipe: (bytes) => void bytes.fill(0),
    wipeAll: (bytes) => void bytes.fill(0),
    wipeAllAsync: (bytes) => {
      bytes.fill(0);
      return Promise.resolve();
    },
    release: () => undefined,
  };
}

function allocatePrivate(byteLength: number): Uint8Array {
  return keepPrivate(allocated(byteLength, () => new Uint8Array(byteLength)));
}

function info({ aead, openssl }: Primitives): EngineFacts {
  return { engine: 'portable', aead, measured: {}, openssl, ring: 'none', blake3: '@noble/hashes', threads: 1 };
}

function filesOf(files: Files | null): Files {
  if (files !== null) return files;
  throw new EngineFault('InvalidOption', 'there are no files here to be opened by a path; give the bytes');
}

function seedBytes(seed: Secret): Uint8Array {
  return ofLength(secretBytes(seed, 'seed'), 'seed', KEY_BYTES);
}

function* verifying(
  primitives: Primitives,
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Twin<boolean> {
  ofLength(publicKey, 'publicKey', KEY_BYTES);
  ofLength(signature, 'signature', SIGNATURE_BYTES);
  return yield* primitives.ed25519Verify(publicKey, message, signature);
}

function ofLength(bytes: Uint8Array, name: string, expected: number): Uint8Array {
  ensure(bytes.byteLength === expected, `${name} must be ${expected} bytes, but is ${bytes.byteLength}`);
  return bytes;
}

function digest(primitives: Primitives, algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array {
  const hasher = primitives.hasher(algorithm);
  hasher.update(bytes);
  return Uint8Array.from(hasher.digest());
}

function* readingRaw(source: Source, offset: number, destination: Uint8Array): Twin<void> {
  checkMemory(destination);
  const from = own(source, PortableSource);
  yield* Lease.using([from], () => from.port.read(offset, destination, destination.byteLength));
}
