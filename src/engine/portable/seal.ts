import { AEAD_KEY_BYTES, chunkCount, DIGEST_BYTES, IV_BYTES, TAG_BYTES } from '../../format/vocabulary.js';
import { wrappedDekBytes } from '../../format/vocabulary.js';
import type { Twin } from '../../twin.js';
import { SEAL_STRIDE, SealMode } from '../types.js';
import type { SealRequest } from '../types.js';
import { UNIT_BYTES } from './job.js';
import type { Chunk, Job } from './job.js';
import { COUNTER_VALUES, counterOf, ensure, maxMessageBytes, withCounter, wrapDeks } from './keys.js';
import { UNCHECKED } from './open.js';
import { own, PortableSink, PortableSource } from './places.js';
import type { Bytes, Cipher, Hasher, Passage, Primitives } from './primitives.js';
import { copyOfKeys, keyMemory, secretBytes } from './secret.js';

/** A row of `SealRequest.items`. */
interface Item {
  source: PortableSource;
  offset: number;
  length: number;
  /** Offset in the sink. */
  destination: number;
  mode: number;
  /** Bytes per chunk. */
  size: number;
  chunks: number;
  /** Bytes that the header needs for the item (`Engine.seal`): for its keys, and for each of its chunks. */
  keyBytes: number;
  trailerBytes: number;
}

/** How items are sealed; unlike the request's, it stays as it is while the job runs. */
type Spec = Pick<SealRequest, 'encryption' | 'integrity'>;

/** A seal as a job. `packed` holds what the header needs, once the job has succeeded. */
export function sealJob(primitives: Primitives, request: SealRequest): { job: Job; packed: Bytes } {
  const sources = request.sources.map((source) => own(source, PortableSource));
  const sink = own(request.sink, PortableSink);
  const { encryption, integrity, signal, onProgress } = request;
  const spec = { encryption: encryption && { ...encryption }, integrity: integrity && { ...integrity } };
  const items = itemsOf(request.items, spec, sources);
  const packed = new Uint8Array(items.reduce((sum, item) => sum + packedBytes(item), 0));
  // A copy: the caller may dispose of the secret while the job runs.
  const master = encryption === null ? keyMemory(0) : copyOfKeys(secretBytes(encryption.master, 'master'));
  const keys = new SealingKeys(primitives, spec.encryption, master);
  const chunks = planSeal(primitives, spec, items, keys, packed);
  const total = items.reduce((sum, { length }) => sum + length, 0);
  const cleanUp = () => keys.wipe();
  return { job: { sources, sink, leases: [], chunks, total, unchecked: true, cleanUp, signal, onProgress }, packed };
}

function itemsOf(rows: Float64Array, spec: Spec, sources: readonly PortableSource[]): Item[] {
  const items: Item[] = [];
  for (let at = 0; at < rows.length; at += SEAL_STRIDE) {
    const [index, offset, length, destination, mode] = rows.subarray(at) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    items.push({ source: sources[index]!, offset, length, destination, mode, ...measure(length, mode, spec) });
  }
  return items;
}

/** @throws RangeError for what the algorithm cannot encrypt */
function measure(length: number, mode: number, { encryption, integrity }: Spec) {
  let [chunkSize, keyBytes, trailerBytes] = [UNIT_BYTES, 0, 0];
  if (mode === SealMode.encrypt) {
    const { algorithm } = encryption!;
    [chunkSize, keyBytes, trailerBytes] = [encryption!.chunkSize, wrappedDekBytes(algorithm) + IV_BYTES, TAG_BYTES];
    const tooLong = 'a tensor is longer than the algorithm can encrypt in one piece; use version 2 with smaller chunks';
    ensure(Math.min(length, chunkSize || length) <= maxMessageBytes(algorithm), tooLong);
    const tooMany = 'a tensor has more chunks than there are IVs; use larger chunks';
    ensure(chunkCount(length, chunkSize) <= COUNTER_VALUES, tooMany);
  } else if (mode === SealMode.digest) {
    [chunkSize, trailerBytes] = [integrity!.chunkSize, DIGEST_BYTES];
  }
  return { size: chunkSize || length, chunks: chunkCount(length, chunkSize), keyBytes, trailerBytes };
}

function packedBytes({ chunks, keyBytes, trailerBytes }: Item): number {
  return keyBytes + chunks * trailerBytes;
}

function* planSeal(
  primitives: Primitives,
  spec: Spec,
  items: readonly Item[],
  keys: SealingKeys,
  packed: Bytes,
): Generator<Chunk> {
  let at = 0;
  for (const [tensor, item] of items.entries()) {
    const { source, offset, length, destination, mode, size, chunks, keyBytes, trailerBytes } = item;
    const ofItem = packed.subarray(at, at + packedBytes(item));
    at += packedBytes(item);
    for (let chunk = 0; chunk < chunks; chunk++) {
      const begin = chunk * size;
      yield {
        tensor,
        chunk: -1,
        source,
        position: offset + begin,
        length: Math.min(size, length - begin),
        mismatch: null,
        trailer: ofItem.subarray(keyBytes + chunk * trailerBytes, keyBytes + (chunk + 1) * trailerBytes),
        place: (from, bytes) => [{ offset: destination + begin + from, bytes }],
        *begin(): Twin<Passage> {
          if (mode === SealMode.plain) return UNCHECKED;
          if (mode === SealMode.digest) return digesting(primitives.hasher(spec.integrity!.algorithm));
          if (chunk === 0) yield* keys.draw(chunks, ofItem);
          return keys.sealer(chunk);
        },
      };
    }
  }
}

/** The master key and, tensor after tensor, a DEK and IVs (FORMAT.md §2) from the CSPRNG. */
class SealingKeys {
  readonly #primitives: Primitives;
  readonly #encryption: Spec['encryption'];
  readonly #master: Bytes;
  #dek = keyMemory(0);
  #baseIv = new Uint8Array(IV_BYTES);
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
    const drawn = this.#primitives.randomFill(new Uint8Array(IV_BYTES));
    this.#baseIv = withCounter(drawn, randomBelow(this.#primitives, COUNTER_VALUES - chunks + 1));
    const wrapped = yield* wrapDeks(this.#primitives, algorithm, this.#master, this.#dek);
    packed.set(wrapped);
    packed.set(this.#baseIv, wrapped.byteLength);
    this.#cipher = yield* this.#primitives.cipher(algorithm, this.#dek);
  }

  sealer(chunk: number): Passage {
    return this.#cipher!.sealer(withCounter(this.#baseIv, counterOf(this.#baseIv) + chunk));
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
    const value = new DataView(primitives.randomFill(new Uint8Array(4)).buffer).getUint32(0);
    if (value < fair) return value % limit;
  }
}

function digesting(hasher: Hasher): Passage {
  return {
    update(plaintext) {
      hasher.update(plaintext);
      return plaintext;
    },
    // eslint-disable-next-line require-yield -- Nothing here waits.
    *finish() {
      return hasher.digest();
    },
  };
}
