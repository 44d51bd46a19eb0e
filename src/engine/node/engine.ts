import { versions } from 'node:process';
import { agreeOnKey, agreementPublicKey, isAgreementPublicKey, openMessage } from './agreement.js';
import type { Engine, EngineFacts, ReadRequest, SealRequest, UnsealRequest } from '../types.js';
import { checkJobBytes } from './arguments.js';
import { unwrapDeks, wrapDeks } from './deks.js';
import { digest } from './digest.js';
import { EngineFault } from './fault.js';
import { Job } from './job.js';
import { readJob, sealJob, unsealJob } from './jobs.js';
import { WorkerPool } from './pool.js';
import { runHere } from './run-here.js';
import { importSecret, importSecretBase64, randomSecret, secretBytes, secretsEqual } from './secret.js';
import { ed25519PublicKey, ed25519Sign, ed25519Verify, ed25519VerifyAsync } from './signature.js';
import { createFile, memorySink } from './sink.js';
import { nodeSource, openBytes, openFile, openFileSync } from './source.js';
import { createTable, createTableAsync } from './table.js';

/** Shared by the engines of a thread: threads are for cores, not for engines. */
const pool = new WorkerPool();

/**
 * The engine for platforms without a prebuilt addon: node:crypto for the AEADs and signatures, node:fs for files,
 * worker_threads over shared memory for what must not block the event loop. It refuses and accepts exactly what the native
 * engine does; it is slower, and what a runtime in JavaScript cannot do it leaves out: keys are wiped but neither locked nor
 * kept out of core dumps, large buffers get no huge pages, disk space is not reserved.
 */
export function createNodeEngine(): Engine {
  return {
    name: 'node',
    sharing: null,
    info,
    importSecret,
    importSecretBase64,
    randomSecret,
    exportSecret: (secret) => secretBytes(secret).slice(),
    secretsEqual,
    wrapDeks,
    unwrapDeks,
    ed25519PublicKey,
    ed25519Sign,
    ed25519Verify,
    ed25519VerifyAsync,
    agreementPublicKey,
    isAgreementPublicKey,
    agreeOnKey,
    openMessage,
    digest,
    openFile,
    openFileSync,
    openBytes,
    async readRaw(source, offset, destination) {
      checkJobBytes(destination, 'destination');
      const from = nodeSource(source);
      from.lease.use();
      try {
        await from.readAsync(offset, destination);
      } finally {
        from.lease.done();
      }
    },
    readRawSync(source, offset, destination) {
      checkJobBytes(destination, 'destination');
      const from = nodeSource(source);
      from.lease.assertOpen();
      from.readSync(offset, destination);
    },
    map() {
      throw new EngineFault('InvalidOption', 'files can be mapped by the native engine only');
    },
    createFile,
    // Node locks no files.
    locksFiles: false,
    removeAbandoned: () => false,
    memorySink,
    createTable,
    createTableAsync,
    async read(request: ReadRequest) {
      await pool.run(new Job(readJob(request)));
    },
    readSync: (request: ReadRequest) => runHere(new Job(readJob(request))),
    async unseal(request: UnsealRequest) {
      await pool.run(new Job(unsealJob(request)));
    },
    unsealSync: (request: UnsealRequest) => runHere(new Job(unsealJob(request))),
    async seal(request: SealRequest) {
      const { spec, packed } = sealJob(request);
      await pool.run(new Job(spec));
      return packed;
    },
    sealSync(request: SealRequest) {
      const { spec, packed } = sealJob(request);
      runHere(new Job(spec));
      return packed;
    },
    allocate: (byteLength, shared) =>
      new Uint8Array(shared ? new SharedArrayBuffer(byteLength) : new ArrayBuffer(byteLength)),
    allocateUnsafe: (byteLength) => new Uint8Array(new ArrayBuffer(byteLength)),
    wipe: (bytes) => void bytes.fill(0),
  };
}

function info(): EngineFacts {
  const openssl = (versions as Partial<typeof versions>).openssl;
  return {
    engine: 'node',
    aead: { aes128gcm: 'node', aes256gcm: 'node', chacha20poly1305: 'node' },
    measured: {},
    openssl: openssl === undefined ? null : `OpenSSL ${openssl}`,
    ring: 'none',
    blake3: '@noble/hashes',
    threads: pool.size,
  };
}
