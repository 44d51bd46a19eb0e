import { CryptoTensorsError, quote } from '../errors.js';
import { encodeHeader } from '../format/canonical.js';
import { writeAtomically } from '../files/atomic-write.js';
import { auditOf, audited } from '../model/audit.js';
import type { Audit } from '../model/audit.js';
import { publicError } from '../model/faults.js';
import type { Model } from '../model/model.js';
import { open } from '../read/safe-open.js';
import { ownOpenOptions } from '../open/options.js';
import type { OpenOptions } from '../open/options.js';
import { leadToOneFile } from '../files/status.js';
import { runAsync, step } from '../twin.js';
import type { Twin } from '../twin.js';
import { paths } from './encrypt-file.js';
import { WORK_OPTIONS, checkWorkOptions } from './options.js';
import type { WorkOptions } from './options.js';

/** Options of `decryptFile`. */
export interface DecryptOptions extends OpenOptions, WorkOptions {}

/** As safetensors pads: the data section begins on a multiple of 8 bytes. */
const PLAIN_ALIGNMENT = 8;

/** For a file of which the policy refuses some tensors. */
const ADVICE =
  'A file is decrypted wholly or not at all: open it with safeOpen to read the tensors that allowedKeys() lists';

/**
 * Verifies and decrypts a whole file to plain safetensors, from disk to disk in bounded memory. Each chunk is verified before
 * a byte of it is written. What is at `target` is replaced atomically; it must not be `source`, which could be the only encrypted copy.
 *
 * @throws the same as `safeOpen` and `SafeFile.getTensors` (`PolicyDenied` too if the policy refuses any one tensor); `FileError`
 * if the target cannot be written
 * @throws {AbortError} when `signal` fires; nothing is left behind
 */
export async function decryptFile(
  source: string | URL,
  target: string | URL,
  options: DecryptOptions = {},
): Promise<void> {
  const [from, to] = paths(source, target);
  const own = ownOpenOptions<DecryptOptions>(options, 'decryptFile', WORK_OPTIONS);
  checkWorkOptions(own);
  await runAsync(decrypt(from, to, own));
}

function* decrypt(from: string, to: string, options: DecryptOptions): Twin<void> {
  yield* refuseSameFile(from, to);
  const file = yield* open(from, options, { lasting: false });
  try {
    const audit = auditOf(options);
    yield* audited(audit, file.scope, decryptOpened(file.models()[0]!, to, options, audit));
  } finally {
    file.closeNow();
  }
}

/** Writes the tensors of an open file to a plain one. */
export function* decryptOpened(model: Model, to: string, options: DecryptOptions, audit: Audit | null): Twin<void> {
  const { header } = model;
  const prefix = encodeHeader(
    { metadata: userMetadata(header.metadata), tensors: header.tensors() },
    { align: PLAIN_ALIGNMENT },
  );
  yield* decryptData(model, prefix, to, options, audit);
}

/**
 * Writes the data section of an open file, decrypted, behind other bytes.
 *
 * @param prefix what comes first: the header of a plain file, or nothing
 */
export function* decryptData(
  model: Model,
  prefix: Uint8Array,
  to: string,
  options: DecryptOptions,
  audit: Audit | null,
): Twin<void> {
  const { engine, header, table, source, guard } = model;
  const { threads = 0, signal, onProgress, durable } = options;
  try {
    if (guard !== null) yield* guard.demand([...header.names.keys()], signal, ADVICE);
    const tensors = new Float64Array(header.count * 2);
    for (let i = 0; i < header.count; i++) tensors.set([i, prefix.byteLength + header.begin[i]!], i * 2);
    const byteLength = prefix.byteLength + header.dataBytes;
    yield* writeAtomically({ path: to, byteLength, engine, durable, like: source.status() }, function* (sink) {
      const request = { table, source, sink, tensors, threads, signal, onProgress };
      yield* step(
        () => engine.unsealSync(request),
        () => engine.unseal(request),
      );
      if (prefix.byteLength > 0) sink.write(0, prefix);
      // Before the file takes its name: what cannot be logged does not appear.
      audit?.wholeFileRead(model);
    });
  } catch (error) {
    throw publicError(error, { path: model.path, names: header.names, signal });
  }
}

/** By name, symbolic or hard link. */
function* refuseSameFile(from: string, to: string): Twin<void> {
  if (!(yield* leadToOneFile(from, to))) return;
  throw new CryptoTensorsError(
    'InvalidOption',
    `source and target are one file, ${quote(from)}, and the plaintext would take the place of the encrypted model: choose another target`,
    { path: from },
  );
}

/** Without the reserved keys: they describe an encryption that is no longer there. */
function userMetadata(metadata: ReadonlyMap<string, string> | null): ReadonlyMap<string, string> | null {
  if (metadata === null) return null;
  const kept = new Map([...metadata].filter(([key]) => !key.startsWith('__')));
  return kept.size > 0 ? kept : null;
}
