import { CryptoTensorsError, quote } from '../errors.js';
import { isEncrypted } from '../format/crypto-metadata.js';
import type { Header } from '../format/header.js';
import { getEngine } from '../engine/load.js';
import type { Engine, FileStatus, Source } from '../engine/types.js';
import { writeAtomically } from '../files/atomic-write.js';
import { isSameFile } from '../files/status.js';
import type { KeysInput } from '../keys/keyring.js';
import { publicError } from '../model/faults.js';
import { isShardIndex } from '../model/shards.js';
import { openSource, readHeader } from '../model/source.js';
import { resolvePath } from '../path-argument.js';
import { runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { ownWriteOptions } from './options.js';
import type { ProtectOptions, WorkOptions } from './options.js';
import { loadProtection } from './protection.js';
import type { Protection } from './protection.js';
import { prepareSeal, sealTo } from './seal.js';
import type { PreparedSeal } from './seal.js';
import { selectTensors } from './select.js';
import type { TensorSummary } from './select.js';

/** Options of `encryptFile`. */
export interface EncryptOptions extends Omit<ProtectOptions, 'keys'>, WorkOptions {
  /**
   * The master key to encrypt for and the private signing key to sign with. Default: the registered providers and
   * `CRYPTOTENSOR_KEYS`.
   */
  keys?: KeysInput;
}

/**
 * Encrypts and signs a plain safetensors file, from disk to disk in bounded memory. Order, metadata and layout of the
 * tensors are kept. What is at `target` (which may be `source`) is replaced atomically.
 *
 * @throws {CryptoTensorsError} what opening a plain file throws; `InvalidOption` if it is encrypted already, is a shard
 * index, or `tensors` selects nothing; `PolicyError` for a local policy with a syntax error or without `allow`; `KeyNotFound`,
 * `InvalidKey`, `HeaderTooLarge`, `FileChanged`, `FileError`
 * @throws {AbortError} when `signal` fires; nothing is left behind
 */
export async function encryptFile(
  source: string | URL,
  target: string | URL,
  options: EncryptOptions = {},
): Promise<void> {
  const [from, to] = paths(source, target);
  const own = ownWriteOptions<EncryptOptions>(options, 'encryptFile');
  await runAsync(encrypt(from, to, own, getEngine()));
}

function* encrypt(from: string, to: string, options: EncryptOptions, engine: Engine): Twin<void> {
  let names: readonly string[] = [];
  let source: Source | undefined;
  let protection: Protection | undefined;
  try {
    protection = yield* loadProtection(options, engine);
    source = yield* openSource(from, engine);
    const header = yield* readHeader(engine, source);
    names = header.names;
    refuseEncrypted(source.path!, header);
    const prepared = planEncryption({
      source,
      header,
      protection,
      metadata: header.metadata,
      select: (tensors) => selectTensors(options.tensors, tensors),
    });
    const like = source.status();
    const file = {
      path: to,
      byteLength: prepared.byteLength,
      engine,
      durable: options.durable,
      like,
      leaves: (replaced: FileStatus) =>
        like !== null && isSameFile(like, replaced) ? 'the plaintext' : 'what was there before',
    };
    yield* writeAtomically(file, (sink) => sealTo(prepared, sink, engine, options));
  } catch (error) {
    throw publicError(error, { path: from, names, signal: options.signal });
  } finally {
    source?.close();
    protection?.dispose();
  }
}

/** @throws {CryptoTensorsError} `InvalidOption` for a file that has been encrypted */
export function refuseEncrypted(path: string, { metadata }: Pick<Header, 'metadata'>): void {
  if (!isEncrypted(metadata)) return;
  throw new CryptoTensorsError('InvalidOption', `${quote(path)} is encrypted already; decrypt it first`, { path });
}

/** A plain file that is to be encrypted. */
export interface PlannedEncryption {
  source: Source;
  header: Header;
  protection: Protection;
  /** The user's metadata, and what else goes with it. */
  metadata: ReadonlyMap<string, string> | null;
  /** Which tensors are encrypted. */
  select: (tensors: readonly TensorSummary[]) => readonly boolean[];
}

/** Order and layout of the tensors are kept. @throws {CryptoTensorsError} `HeaderTooLarge` */
export function planEncryption({ source, header, protection, metadata, select }: PlannedEncryption): PreparedSeal {
  const tensors = header.names.map((name, i) => ({
    name,
    dtype: header.dtype(i),
    shape: header.exactShape(i),
    begin: header.begin[i]!,
    end: header.end[i]!,
    source,
    offset: header.dataStart + header.begin[i]!,
  }));
  return prepareSeal({ tensors, metadata, protection, encrypt: select(summariesOf(header)) });
}

/** What a selection of tensors is told. */
export function summariesOf(header: Header): TensorSummary[] {
  return header.names.map((name, i) => ({
    name,
    dtype: header.dtype(i),
    shape: header.shape(i),
    byteLength: header.end[i]! - header.begin[i]!,
  }));
}

/** The two paths of whole-file work, checked. */
export function paths(source: unknown, target: unknown, sourceName = 'source'): [from: string, to: string] {
  return [
    [sourceName, source],
    ['target', target],
  ].map(([name, value]) => {
    const path = resolvePath(value, name as string);
    if (isShardIndex(path)) {
      throw new CryptoTensorsError(
        'InvalidOption',
        `${name as string}: ${quote(path)} is a shard index; give its shards one by one`,
        { path },
      );
    }
    return path;
  }) as [string, string];
}
