import type { Twin } from '../../twin.js';
import { SEAL_STRIDE, SealMode } from '../types.js';
import { AEAD_KEY_BYTES, DIGEST_BYTES, IV_BYTES, TAG_BYTES } from '../../format/vocabulary.js';
import type { SealRequest } from '../types.js';
import { checkAeadAlgorithm, checkDigestAlgorithm, checkFloat64, isOffset } from './arguments.js';
import { COUNTER_VALUES, chunkIv, maxMessageBytes, setCounter } from './chunks.js';
import { chunkCount } from '../../format/vocabulary.js';
import { wrapDeks } from './deks.js';
import { UNIT_BYTES } from './job.js';
import type { Chunk, Job, Passage } from './job.js';
import { portableSink, portableSource } from './places.js';
import type { PortableSink, PortableSource } from './places.js';
import type { Cipher, Hasher, Primitives, Sealer } from './primitives.js';
import { checkVersion } from './records.js';
import { copyOfKeys, keyMemory, secretBytes } from './secret.js';

type Bytes = Uint8Array<ArrayBuffer>;

/** A row of `SealRequest.items`. */
interface Item {
  source: PortableSource;
  offset: number;
  length: number;
  /** Offset in the sink. */
  destination: number;
  mode: number;
}

/** How items are sealed; unlike the request's, it stays as it is while the job runs. */
type Spec = Pick<SealRequest, 'encryption' | 'integrity'>;

/** A seal, checked, as a job. `packed` holds what the header needs, once the job has succeeded. */
export function sealJob(primitives: Primitives, request: SealRequest): { job: Job; packed: Bytes } {
  const sources = request.sources.map((source) => portableSource(source));
  const sink = portableSink(request.sink);
  const leases = [...sources.map(({ lease }) => lease), sink.lease];
  for (const lease of leases) lease.assertOpen();
  checkFloat64(request.items, 'items');
  const { encryption, integrity } = request;
  const spec = { encryption: encryption && { ...encryption }, integrity: integrity && { ...integrity } };
  checkSpec(spec);
  const items = checkedItems(request.items, spec, sources, sink);
  const packed = new Uint8Array(items.reduce((sum, item) => sum + packedLength(item, spec), 0));
  // The caller may dispose of the secret while the job runs.
  const master = copyOfKeys(encryption === null ? new Uint8Array(0) : secretBytes(encryption.master, 'master'));
  const keys = new SealingKeys(primitives, spec.encryption, master);
  const job: Job = {
    sources,
    sink,
    leases,
    chunks: planSeal(primitives, spec, items, keys, packed),
    total: items.reduce((sum, { length }) => sum + length, 0),
    unchecked: true,
    cleanUp: () => keys.wipe(),
    signal: request.signal,
    onProgress: request.onProgress,
  };
  return { job, packed };
}

function require(condition: boolean, problem: string): void {
  if (!condition) throw new RangeError(problem);
}

function checkSpec({ encryption, integrity }: Spec): void {
  if (encryption !== null) {
    const { algorithm, version, chunkSize, master } = encryption;
    checkAeadAlgorithm(algorithm);
    checkVersion(version, chunkSize);
    const fits = secretBytes(master, 'master').byteLength === AEAD_KEY_BYTES[algorithm];
    require(fits, "the master key's length does not fit the algorithm");
  }
  if (integrity !== null) checkDigestAlgorithm(integrity.algorithm);
  require(integrity === null || integrity.chunkSize > 0, 'digests need a chunk size');
}

/** @throws RangeError if the items contradict the sources, the sink or themselves */
function checkedItems(
  rows: Float64Array,
  spec: Spec,
  sources: readonly PortableSource[],
  { memory }: PortableSink,
): Item[] {
  require(rows.length % SEAL_STRIDE === 0, `items must have ${SEAL_STRIDE} numbers per row`);
  const capacity = memory?.byteLength ?? Number.MAX_SAFE_INTEGER;
  const items: Item[] = [];
  for (let at = 0; at < rows.length; at += SEAL_STRIDE) {
    const row = rows.subarray(at, at + SEAL_STRIDE);
    require(row.every(isOffset), 'items must be exact offsets');
    const [index, offset, length, destination, mode] = row as unknown as [number, number, number, number, number];
    const source = sources[index];
    if (source === undefined) throw new RangeError('an item names a source that is not there');
    require(offset + length <= source.size, 'an item runs past the end of its source');
    require(destination + length <= capacity, 'an item runs past the end of the destination');
    require(mode <= SealMode.digest, "an item's mode must be 0, 1 or 2");
    require(mode !== SealMode.encrypt || spec.encryption !== null, 'an item is to be encrypted, but how is not said');
    require(mode !== SealMode.digest || spec.integrity !== null, 'an item is to be digested, but how is not said');
    if (mode === SealMode.encrypt) checkEncryptable(length, spec.encryption!);
    items.push({ source, offset, length, destination, mode });
  }
  return items;
}

function checkEncryptable(length: number, { algorithm, chunkSize }: NonNullable<Spec['encryption']>): void {
  const longest = chunkSize === 0 ? length : Math.min(length, chunkSize);
  const tooLong = 'a tensor is longer than the algorithm can encrypt in one piece; use version 2 with smaller chunks';
  require(longest <= maxMessageBytes(algorithm), tooLong);
  const tooMany = 'a tensor has more chunks than there are IVs; use larger chunks';
  require(chunkCount(length, chunkSize) <= COUNTER_VALUES, tooMany);
}

/** Bytes that the header needs for each chunk of an item. */
function resultBytes({ mode }: Item): number {
  return mode === SealMode.encrypt ? TAG_BYTES : mode === SealMode.digest ? DIGEST_BYTES : 0;
}

/** Bytes that the header needs for an item (`Engine.seal`). */
function packedLength(item: Item, spec: Spec): number {
  const keys =
    item.mode === SealMode.encrypt ? AEAD_KEY_BYTES[spec.encryption!.algorithm] + IV_BYTES * 2 + TAG_BYTES : 0;
  return keys + resultBytes(item) * chunkCount(item.length, chunkSizeOf(item, spec));
}

function chunkSizeOf({ mode }: Item, { encryption, integrity }: Spec): number {
  if (mode === SealMode.encrypt) return encryption!.chunkSize;
  return mode === SealMode.digest ? integrity!.chunkSize : UNIT_BYTES;
}

function* planSeal(
  primitives: Primitives,
  spec: Spec,
  items: readonly Item[],
  keys: SealingKeys,
  packed: Bytes,
): Generator<Chunk> {
  let packedAt = 0;
  for (const [tensor, item] of items.entries()) {
    const { source, offset, length, destination, mode } = item;
    const end = packedAt + packedLength(item, spec);
    const size = chunkSizeOf(item, spec) || length;
    const count = size === 0 ? 1 : chunkCount(length, size);
    const ofItem = packed.subarray(packedAt, end - count * resultBytes(item));
    for (let chunk = 0; chunk < count; chunk++) {
      const begin = chunk * size;
      const result = packed.subarray(end - (count - chunk) * resultBytes(item), end);
      yield {
        tensor,
        chunk: -1,
        source,
        position: offset + begin,
        length: Math.min(size, length - begin),
        verified: false,
        place: (at, bytes) => [{ offset: destination + begin + at, bytes }],
        *begin(): Twin<Passage> {
          if (mode === SealMode.plain) return copying;
          if (mode === SealMode.digest) return digesting(primitives.hasher(spec.integrity!.algorithm), result);
          if (chunk === 0) yield* keys.draw(count, ofItem);
          return sealing(keys.sealer(chunk), result);
        },
      };
    }
    packedAt = end;
  }
}

/** The master key and, tensor after tensor, a DEK and IVs (FORMAT.md §2) from the CSPRNG. */
class SealingKeys {
  readonly #primitives: Primitives;
  readonly #encryption: Spec['encryption'];
  readonly #master: Bytes;
  #dek = keyMemory(0);
  #baseIv = new Uint8Array(0);
  #cipher: Cipher | null = null;

  constructor(primitives: Primitives, encryption: Spec['encryption'], master: Bytes) {
    this.#primitives = primitives;
    this.#encryption = encryption;
    this.#master = master;
  }

  /** Keys for the next tensor, of so many chunks. Packs the wrapped DEK and the base IV. */
  *draw(chunks: number, packed: Bytes): Twin<void> {
    const { algorithm } = this.#encryption!;
    this.#dek.fill(0);
    this.#dek = this.#primitives.randomFill(keyMemory(AEAD_KEY_BYTES[algorithm]));
    this.#baseIv = this.#primitives.randomFill(new Uint8Array(IV_BYTES));
    setCounter(this.#baseIv, randomBelow(this.#primitives, COUNTER_VALUES - chunks + 1));
    const wrapped = yield* wrapDeks(this.#primitives, algorithm, this.#master, this.#dek);
    packed.set(wrapped);
    packed.set(this.#baseIv, wrapped.byteLength);
    this.#cipher = yield* this.#primitives.cipher(algorithm, this.#dek);
  }

  sealer(chunk: number): Sealer {
    return this.#cipher!.sealer(chunkIv(this.#baseIv, chunk));
  }

  wipe(): void {
    this.#master.fill(0);
    this.#dek.fill(0);
  }
}

/** Every counter that leaves room for the chunks is as likely: what would favour the lower ones is drawn again. */
function randomBelow(primitives: Primitives, limit: number): number {
  const fair = COUNTER_VALUES - (COUNTER_VALUES % limit);
  for (;;) {
    const drawn = primitives.randomFill(new Uint8Array(4));
    const value = new DataView(drawn.buffer).getUint32(0);
    if (value < fair) return value % limit;
  }
}

const NOTHING = new Uint8Array(0);

/* eslint-disable require-yield -- Only ciphers make anybody wait. */

const copying: Passage = {
  fresh: false,
  update: (plaintext) => plaintext,
  *finish() {
    return NOTHING;
  },
};

function digesting(hasher: Hasher, result: Uint8Array): Passage {
  return {
    fresh: false,
    update(plaintext) {
      hasher.update(plaintext);
      return plaintext;
    },
    *finish() {
      result.set(hasher.digest());
      return NOTHING;
    },
  };
}

function sealing(sealer: Sealer, result: Uint8Array): Passage {
  return {
    fresh: true,
    update: (plaintext) => sealer.update(plaintext),
    *finish() {
      const { ciphertext, tag } = yield* sealer.finish();
      result.set(tag);
      return ciphertext;
    },
  };
}
