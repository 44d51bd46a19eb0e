import { CryptoTensorsError } from '../errors.js';
import { MAX_HEADER_BYTES, encodeCanonical, encodeHeader } from '../format/canonical.js';
import type { HeaderTensor } from '../format/canonical.js';
import { encodeCryptoKeys, encodePolicy } from '../format/crypto-metadata.js';
import { encodeBase64 } from '../format/base64.js';
import { encodeIntegrity } from '../format/integrity.js';
import { encodeRecords } from '../format/records.js';
import { SEAL_STRIDE, SealMode } from '../engine/types.js';
import {
  AEAD_KEY_BYTES,
  DIGEST_BYTES,
  IV_BYTES,
  Reserved,
  TAG_BYTES,
  chunkCount,
  wrappedDekBytes,
} from '../format/vocabulary.js';
import type { Engine, SealRequest, Sink, Source } from '../engine/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import type { WorkOptions } from './options.js';
import type { Protection } from './protection.js';

/** Where the header's data section begins when the file is encrypted, and the spaces left for a later rewrap (FORMAT.md §5). */
export const DATA_ALIGNMENT = 4096;
export const HEADER_SLACK = 1024;
/** safetensors' own alignment, so that a plain file is byte for byte what safetensors writes. */
const PLAIN_ALIGNMENT = 8;
const SIGNATURE_BYTES = 64;

/** A tensor to write: its place in the data section, and where its bytes come from. */
export interface SealTensor extends HeaderTensor {
  source: Source;
  /** Offset in the source. */
  offset: number;
}

/** A file to write. Tensors are in data order and laid out without holes. */
export interface SealPlan {
  tensors: readonly SealTensor[];
  metadata: ReadonlyMap<string, string> | null;
  /** Null for a plain file. */
  protection: Protection | null;
  /** Which tensors are encrypted; ignored for a plain file. */
  encrypt: readonly boolean[];
}

/** A plan whose header's length, and so the whole file's, is known. */
export interface PreparedSeal {
  plan: SealPlan;
  /** Bytes before the data section. */
  dataStart: number;
  byteLength: number;
}

/**
 * Works out where everything goes. A header's length does not depend on the IVs, tags and digests in it, only on how many
 * there are, so the data can be written before the header is known.
 *
 * @throws {CryptoTensorsError} `HeaderTooLarge`
 */
export function prepareSeal(plan: SealPlan): PreparedSeal {
  const packed = new Uint8Array(packedLength(plan));
  const unsigned = unsignedMetadata(plan, packed);
  const metadata = plan.protection === null ? unsigned : signed(unsigned, new Uint8Array(SIGNATURE_BYTES));
  const dataStart = headerOf(plan, metadata).byteLength;
  const dataBytes = plan.tensors.at(-1)?.end ?? 0;
  return { plan, dataStart, byteLength: dataStart + dataBytes };
}

/** Writes the data, then the signed header, to a sink of `byteLength` bytes. */
export function* sealTo(prepared: PreparedSeal, sink: Sink, engine: Engine, options: WorkOptions): Twin<void> {
  const request = sealRequest(prepared, sink, options);
  const packed = yield* step(
    () => engine.sealSync(request),
    () => engine.seal(request),
  );
  yield* settleDeks(prepared.plan, packed);
  const header = yield* signedHeader(prepared.plan, packed);
  if (header.byteLength !== prepared.dataStart) {
    throw new Error(`the header is ${header.byteLength} bytes, but ${prepared.dataStart} were reserved for it`);
  }
  sink.write(0, header);
}

function sealRequest({ plan, dataStart }: PreparedSeal, sink: Sink, options: WorkOptions): SealRequest {
  const { tensors, protection } = plan;
  const sources: Source[] = [];
  const sourceIndex = new Map<Source, number>();
  const items = new Float64Array(tensors.length * SEAL_STRIDE);
  for (const [i, tensor] of tensors.entries()) {
    let index = sourceIndex.get(tensor.source);
    if (index === undefined) {
      index = sources.push(tensor.source) - 1;
      sourceIndex.set(tensor.source, index);
    }
    items.set(
      [index, tensor.offset, tensor.end - tensor.begin, dataStart + tensor.begin, modeOf(plan, i)],
      i * SEAL_STRIDE,
    );
  }
  return {
    sources,
    sink,
    items,
    encryption: protection === null ? null : { ...protection.encryption },
    integrity: protection?.integrity ?? null,
    threads: options.threads ?? 0,
    signal: options.signal,
    onProgress: options.onProgress,
  };
}

function modeOf({ protection, encrypt }: SealPlan, index: number): number {
  if (protection === null) return SealMode.plain;
  if (encrypt[index] === true) return SealMode.encrypt;
  return protection.integrity === null ? SealMode.plain : SealMode.digest;
}

/** Bytes per tensor of what `Engine.seal` returns. */
function packedLengths(plan: SealPlan): number[] {
  const { protection } = plan;
  return plan.tensors.map((tensor, i) => {
    const length = tensor.end - tensor.begin;
    const mode = modeOf(plan, i);
    if (mode === SealMode.encrypt) {
      const { algorithm, version, chunkSize } = protection!.encryption;
      const tags = version === 1 ? 1 : chunkCount(length, chunkSize);
      return AEAD_KEY_BYTES[algorithm] + IV_BYTES + TAG_BYTES + IV_BYTES + TAG_BYTES * tags;
    }
    if (mode === SealMode.digest) return DIGEST_BYTES * chunkCount(length, protection!.integrity!.chunkSize);
    return 0;
  });
}

function packedLength(plan: SealPlan): number {
  const total = packedLengths(plan).reduce((sum, n) => sum + n, 0);
  if (total > MAX_HEADER_BYTES) {
    throw new CryptoTensorsError(
      'HeaderTooLarge',
      `the tags and digests alone are ${total} bytes, but a header has at most ${MAX_HEADER_BYTES}: choose a larger chunkSize`,
      { expected: `at most ${MAX_HEADER_BYTES} bytes`, found: `${total} bytes` },
    );
  }
  return total;
}

/** Puts the DEKs under the file's own master key, where the data was sealed under another. */
function* settleDeks(plan: SealPlan, packed: Uint8Array): Twin<void> {
  const { encryption, moveDeks } = plan.protection ?? { moveDeks: null };
  if (moveDeks === null) return;
  const { records } = splitPacked(plan, packed);
  const rowBytes = wrappedDekBytes(encryption.algorithm);
  const rows = new Uint8Array(records.length * rowBytes);
  for (const [i, { bytes }] of records.entries()) rows.set(bytes.subarray(0, rowBytes), i * rowBytes);
  const moved = yield* moveDeks(rows);
  for (const [i, { bytes }] of records.entries()) bytes.set(moved.subarray(i * rowBytes, (i + 1) * rowBytes));
}

function* signedHeader(plan: SealPlan, packed: Uint8Array): Twin<Uint8Array> {
  const unsigned = unsignedMetadata(plan, packed);
  if (plan.protection === null) return headerOf(plan, unsigned);
  const message = encodeCanonical({ metadata: unsigned, tensors: plan.tensors });
  return headerOf(plan, signed(unsigned, yield* plan.protection.sign(message)));
}

function headerOf({ protection, tensors }: SealPlan, metadata: ReadonlyMap<string, string> | null): Uint8Array {
  if (protection === null) return encodeHeader({ metadata, tensors }, { align: PLAIN_ALIGNMENT });
  return encodeHeader({ metadata, tensors }, { align: DATA_ALIGNMENT, slack: HEADER_SLACK });
}

/** The user's metadata and, for a protected file, the reserved keys (FORMAT.md §2) without the signature. */
function unsignedMetadata(plan: SealPlan, packed: Uint8Array): ReadonlyMap<string, string> | null {
  const { protection } = plan;
  if (protection === null) return plan.metadata;
  const metadata = new Map(plan.metadata);
  const { records, digests } = splitPacked(plan, packed);
  metadata.set(Reserved.cryptoKeys, encodeCryptoKeys(protection.cryptoKeys));
  metadata.set(Reserved.encryption, encodeRecords(records, protection.cryptoKeys));
  metadata.set(Reserved.policy, encodePolicy(protection.policy));
  if (protection.integrity !== null && digests.length > 0) {
    metadata.set(Reserved.integrity, encodeIntegrity({ ...protection.integrity, tensors: digests }));
  }
  return metadata;
}

function signed(metadata: ReadonlyMap<string, string> | null, signature: Uint8Array): ReadonlyMap<string, string> {
  return new Map(metadata).set(Reserved.signature, encodeBase64(signature));
}

interface PackedTensor {
  name: string;
  bytes: Uint8Array;
}

function splitPacked(plan: SealPlan, packed: Uint8Array): { records: PackedTensor[]; digests: PackedTensor[] } {
  const records: PackedTensor[] = [];
  const digests: PackedTensor[] = [];
  let at = 0;
  for (const [i, length] of packedLengths(plan).entries()) {
    const mode = modeOf(plan, i);
    const bytes = packed.subarray(at, at + length);
    at += length;
    if (mode === SealMode.encrypt) records.push({ name: plan.tensors[i]!.name, bytes });
    else if (mode === SealMode.digest) digests.push({ name: plan.tensors[i]!.name, bytes });
  }
  return { records, digests };
}
