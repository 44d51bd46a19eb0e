import { cryptoKeysInfo, parseCryptoKeys, parsePolicy, isEncrypted } from '../format/crypto-metadata.js';
import type { CryptoKeysInfo, PolicyTexts } from '../format/crypto-metadata.js';
import type { Dtype } from '../format/dtype.js';
import type { Header } from '../format/header.js';
import { scanIntegrity } from '../format/integrity.js';
import { scanRecords } from '../format/records.js';
import { getEngine } from '../engine/load.js';
import { Reserved, RECORD_STRIDE } from '../format/vocabulary.js';
import type { Engine } from '../engine/types.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { ownOptions } from '../options.js';
import { readDetachedHeader, readUnplacedHeader } from '../open/detached.js';
import type { UnplacedHeader } from '../open/detached.js';
import { publicError } from '../model/faults.js';
import { headersInTransit } from '../recovery/interrupted.js';
import { userMetadata } from '../model/metadata.js';
import type { Check } from '../model/model.js';
import { resolveInput, resolveModel } from '../model/input.js';
import type { OpenInput } from '../model/input.js';
import type { OpenOptions } from '../open/options.js';
import { pinOf } from '../model/pin.js';
import { openSource, readBlob } from '../model/source.js';

/** Options of `inspectFile`. */
export type InspectOptions = Pick<OpenOptions, 'header'>;

/** What a header says, **unverified**: anybody could have written it. */
export interface Inspection {
  /** Always false: nothing in here was checked against a key. `safeOpen` and `verifyFile` do that. */
  verified: false;
  /**
   * True for a header by itself, without the data that it describes: a detached header. (Or a file that was cut off exactly
   * there.) Its tensors are not held against any data then.
   */
  detached: boolean;
  /** Size of the input, of which the header is a part unless it is a detached one. */
  fileBytes: number;
  headerBytes: number;
  /** SHA-256 of the canonical header, in hex: what the `pin` option compares. **Unverified** too: pin what you trust. */
  pin: string;
  metadata: Record<string, string> | null;
  /** Null for a plain file. */
  encryption: { keys: CryptoKeysInfo; policy: PolicyTexts; integrity: string | null } | null;
  /** In data order. */
  tensors: { name: string; dtype: Dtype; shape: number[]; byteLength: number; check: Check }[];
}

/**
 * Reads a header without any key: what is in the file, who says to have signed it, which key it needs, which policy it
 * carries. The structure is validated wholly; the signature is not. The input may be a detached header by itself.
 *
 * @throws {CryptoTensorsError} what `safeOpen` throws of the structure and of the encryption's syntax; `FileError`
 */
export async function inspectFile(input: OpenInput, options: InspectOptions = {}): Promise<Inspection> {
  return runAsync(inspectInput(input, ownInspectOptions(options, 'inspectFile')));
}

/** `inspectFile`, blocking the calling thread. */
export function inspectFileSync(input: OpenInput, options: InspectOptions = {}): Inspection {
  return runSync(inspectInput(input, ownInspectOptions(options, 'inspectFileSync')));
}

function ownInspectOptions(options: unknown, where: string): InspectOptions {
  const own = ownOptions<InspectOptions>(options, ['header'], where);
  if (own.header !== undefined) resolveInput(own.header, 'options.header');
  return own;
}

function* inspectInput(input: OpenInput, { header: wanted }: InspectOptions): Twin<Inspection> {
  const given = resolveModel(input);
  const detached = wanted === undefined ? undefined : resolveInput(wanted, 'options.header');
  const engine = getEngine();
  const target = typeof given === 'string' ? given : yield* readBlob(given, 'input');
  try {
    const source = yield* openSource(target, engine);
    try {
      const placed =
        detached ?? (typeof target === 'string' ? (yield* headersInTransit(target, engine))[0] : undefined);
      const header = yield* placed === undefined
        ? readUnplacedHeader(engine, source)
        : readDetachedHeader(engine, source, placed);
      return describe(engine, header, source.size);
    } finally {
      source.close();
    }
  } catch (error) {
    throw publicError(error, { path: typeof target === 'string' ? target : undefined, names: [] });
  }
}

function describe(engine: Engine, { header, dataStart }: UnplacedHeader, fileBytes: number): Inspection {
  const { encryption, checks } = describeEncryption(header);
  return {
    verified: false,
    detached: dataStart === null,
    fileBytes,
    headerBytes: header.dataStart,
    pin: pinOf(engine, header),
    metadata: userMetadata(header),
    encryption,
    tensors: header.names.map((name, i) => ({
      name,
      dtype: header.dtype(i),
      shape: header.shape(i),
      byteLength: header.end[i]! - header.begin[i]!,
      check: checks[i]!,
    })),
  };
}

function describeEncryption(header: Header): { encryption: Inspection['encryption']; checks: Check[] } {
  const checks = header.names.map((): Check => 'none');
  if (!isEncrypted(header.metadata)) return { encryption: null, checks };
  const metadata = header.metadata!;
  const keys = parseCryptoKeys(metadata.get(Reserved.cryptoKeys)!);
  const policy = parsePolicy(metadata.get(Reserved.policy)!);
  const { records } = scanRecords(metadata.getJson(Reserved.encryption)!, header, keys.version);
  for (let at = 0; at < records.length; at += RECORD_STRIDE) checks[records[at]!] = 'tag';
  const text = metadata.getJson(Reserved.integrity);
  const integrity = text === undefined ? null : scanIntegrity(text, header, (i) => checks[i] === 'tag');
  if (integrity !== null) for (const [i, check] of checks.entries()) if (check === 'none') checks[i] = 'digest';
  return { encryption: { keys: cryptoKeysInfo(keys), policy, integrity: integrity?.algorithm ?? null }, checks };
}
