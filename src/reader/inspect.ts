import { parseCryptoKeys, parsePolicy, protection } from '../format/crypto-metadata.js';
import type { CryptoKeys, PolicyTexts } from '../format/crypto-metadata.js';
import type { Dtype } from '../format/dtype.js';
import type { Header } from '../format/header.js';
import { scanIntegrity } from '../format/integrity.js';
import { scanRecords } from '../format/records.js';
import { getEngine } from '../engine/load.js';
import { RECORD_STRIDE } from '../engine/types.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { publicError } from './faults.js';
import { userMetadata } from './metadata.js';
import type { Check } from './model.js';
import { resolveInput } from './open.js';
import type { OpenInput } from './open.js';
import { openSource, readHeader } from './source.js';

/** What a header says, **unverified**: anybody could have written it. */
export interface Inspection {
  /** Always false: nothing in here was checked against a key. `safeOpen` and `verifyFile` do that. */
  verified: false;
  fileBytes: number;
  headerBytes: number;
  metadata: Record<string, string> | null;
  /** Null for a plain file. */
  encryption: { keys: CryptoKeys; policy: PolicyTexts; integrity: string | null } | null;
  /** In data order. */
  tensors: { name: string; dtype: Dtype; shape: number[]; byteLength: number; check: Check }[];
}

/**
 * Reads a header without any key: what is in the file, who says to have signed it, which key it needs, which policy it
 * carries. The structure is validated wholly; the signature is not.
 *
 * @throws {CryptoTensorsError} what `safeOpen` throws of the structure and of the encryption's syntax; `FileError`
 */
export async function inspectFile(input: OpenInput): Promise<Inspection> {
  return runAsync(inspectInput(input));
}

/** `inspectFile`, blocking the calling thread. */
export function inspectFileSync(input: OpenInput): Inspection {
  return runSync(inspectInput(input));
}

function* inspectInput(input: OpenInput): Twin<Inspection> {
  const target = resolveInput(input);
  const engine = getEngine();
  try {
    const source = yield* openSource(target, engine);
    try {
      return describe(yield* readHeader(engine, source), source.size);
    } finally {
      source.close();
    }
  } catch (error) {
    throw publicError(error, { path: typeof target === 'string' ? target : undefined, names: [] });
  }
}

function describe(header: Header, fileBytes: number): Inspection {
  const { encryption, checks } = describeEncryption(header);
  return {
    verified: false,
    fileBytes,
    headerBytes: header.dataStart,
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
  if (protection(header.metadata) === 'plain') return { encryption: null, checks };
  const metadata = header.metadata!;
  const keys = parseCryptoKeys(metadata.get('__crypto_keys__')!);
  const policy = parsePolicy(metadata.get('__policy__')!);
  const { records } = scanRecords(metadata.getJson('__encryption__')!, header, keys.version);
  for (let at = 0; at < records.length; at += RECORD_STRIDE) checks[records[at]!] = 'tag';
  const text = metadata.getJson('__integrity__');
  const integrity = text === undefined ? null : scanIntegrity(text, header, (i) => checks[i] === 'tag');
  if (integrity !== null) for (const [i, check] of checks.entries()) if (check === 'none') checks[i] = 'digest';
  return { encryption: { keys, policy, integrity: integrity?.algorithm ?? null }, checks };
}
