import { randomFillSync, randomInt } from 'node:crypto';
import { AEAD_KEY_BYTES, DIGEST_BYTES, IV_BYTES, SEAL_STRIDE, SealMode, TAG_BYTES } from '../types.js';
import type { SealRequest } from '../types.js';
import { checkAeadAlgorithm, checkDigestAlgorithm, isOffset } from './arguments.js';
import { maxMessageBytes, sealMessage } from './aead.js';
import { COUNTER_VALUES, PIECE_BYTES, chunkCount, longestChunk, setCounter, writeChunkIv } from './chunks.js';
import { BytePacker } from './packer.js';
import type { SealPiece } from './piece.js';
import { keyMemory, secretBytes } from './secret.js';
import type { NodeSource } from './source.js';

/** A row of `SealRequest.items`. */
export interface SealItem {
  source: number;
  offset: number;
  length: number;
  /** Offset in the sink. */
  destination: number;
  mode: number;
}

export type SealSpec = Pick<SealRequest, 'items' | 'encryption' | 'integrity'>;

/** What a chunk costs besides its bytes, in bytes: a cipher of its own. */
const CHUNK_OVERHEAD = 4096;

/**
 * The items, held against their sources and a sink of `capacity` bytes.
 *
 * @throws RangeError if they contradict these or themselves
 */
export function checkItems(
  { items, encryption, integrity }: SealSpec,
  sources: readonly NodeSource[],
  capacity: number,
): SealItem[] {
  require(items.length % SEAL_STRIDE === 0, `items must have ${SEAL_STRIDE} numbers per row`);
  if (encryption !== null) {
    const { algorithm, version, chunkSize, master } = encryption;
    checkAeadAlgorithm(algorithm);
    require((version as number) === 1 || version === 2, 'the version must be 1 or 2');
    require((version === 2) === chunkSize > 0, 'version 2, and only that, has a chunk size');
    const fits = secretBytes(master, 'master').byteLength === AEAD_KEY_BYTES[algorithm];
    require(fits, "the master key's length does not fit the algorithm");
  }
  if (integrity !== null) checkDigestAlgorithm(integrity.algorithm);
  require(integrity === null || integrity.chunkSize > 0, 'digests need a chunk size');
  const checked: SealItem[] = [];
  for (let at = 0; at < items.length; at += SEAL_STRIDE) {
    const row = items.subarray(at, at + SEAL_STRIDE);
    require(row.every(isOffset), 'items must be exact offsets');
    const [source, offset, length, destination, mode] = row as unknown as [number, number, number, number, number];
    require(source < sources.length, 'an item names a source that is not there');
    require(offset + length <= sources[source]!.size, 'an item runs past the end of its source');
    require(destination + length <= capacity, 'an item runs past the end of the destination');
    require(mode <= SealMode.digest, "an item's mode must be 0, 1 or 2");
    require(mode !== SealMode.encrypt || encryption !== null, 'an item is to be encrypted, but how is not said');
    require(mode !== SealMode.digest || integrity !== null, 'an item is to be digested, but how is not said');
    if (mode === SealMode.encrypt) {
      const { algorithm, chunkSize } = encryption!;
      require(longestChunk(length, chunkSize) <=
        maxMessageBytes(
          algorithm,
        ), 'a tensor is longer than the algorithm can encrypt in one piece; use version 2 with smaller chunks');
      require(chunkCount(length, chunkSize) <=
        COUNTER_VALUES, 'a tensor has more chunks than there are IVs; use larger chunks');
    }
    checked.push({ source, offset, length, destination, mode });
  }
  return checked;
}

function require(condition: boolean, problem: string): void {
  if (!condition) throw new RangeError(problem);
}

/** Bytes that the header needs for an item (`Engine.seal`). */
export function packedLength(item: SealItem, { encryption, integrity }: SealSpec): number {
  if (item.mode === SealMode.encrypt) {
    const { algorithm, chunkSize } = encryption!;
    return AEAD_KEY_BYTES[algorithm] + IV_BYTES + TAG_BYTES + IV_BYTES + TAG_BYTES * chunkCount(item.length, chunkSize);
  }
  return item.mode === SealMode.digest ? DIGEST_BYTES * chunkCount(item.length, integrity!.chunkSize) : 0;
}

/** A piece of work, and where in `packed` the values of its result go: rows of 2, offset and length, in turn. */
export interface PlannedSeal {
  piece: SealPiece;
  results: number[];
}

/**
 * Cuts the items into pieces of about 2 MiB, one at a time as they are asked for. A tensor's DEK and IVs are drawn when its
 * turn comes, wrapped into `packed`, and the DEK is wiped when its last chunk has been planned.
 */
export function* planSeal(
  spec: SealSpec,
  items: readonly SealItem[],
  master: Uint8Array,
  packed: Uint8Array,
): Generator<PlannedSeal, void> {
  const pieces = new SealPieces(spec);
  let packedAt = 0;
  try {
    for (const [index, item] of items.entries()) {
      const end = packedAt + packedLength(item, spec);
      const keys =
        item.mode === SealMode.encrypt
          ? drawKeys(spec.encryption!, item, master, packed.subarray(packedAt, end))
          : null;
      const resultBytes = item.mode === SealMode.encrypt ? TAG_BYTES : item.mode === SealMode.digest ? DIGEST_BYTES : 0;
      try {
        const size = chunkSizeOf(item, spec);
        const count = chunkCount(item.length, size);
        for (let chunk = 0; chunk < count; chunk++) {
          const begin = chunk * size;
          const length = Math.min(size || item.length, item.length - begin);
          if (pieces.isFull(length)) yield pieces.take();
          pieces.add({
            index,
            item,
            chunk,
            begin,
            length,
            keys,
            packed: end - (count - chunk) * resultBytes,
            resultBytes,
          });
        }
      } finally {
        keys?.dek.fill(0);
      }
      packedAt = end;
    }
    if (!pieces.empty) yield pieces.take();
  } finally {
    pieces.wipe();
  }
}

function chunkSizeOf(item: SealItem, { encryption, integrity }: SealSpec): number {
  if (item.mode === SealMode.encrypt) return encryption!.chunkSize;
  return item.mode === SealMode.digest ? integrity!.chunkSize : PIECE_BYTES;
}

interface TensorKeys {
  dek: Uint8Array;
  baseIv: Uint8Array;
}

/** Draws a tensor's DEK and IVs (FORMAT.md §2) and packs them, the DEK wrapped. */
function drawKeys(
  { algorithm, chunkSize }: NonNullable<SealSpec['encryption']>,
  item: SealItem,
  master: Uint8Array,
  packed: Uint8Array,
): TensorKeys {
  const dek = randomFillSync(keyMemory(AEAD_KEY_BYTES[algorithm]));
  const keyIv = randomFillSync(new Uint8Array(IV_BYTES));
  const baseIv = randomFillSync(new Uint8Array(IV_BYTES));
  // Every counter that leaves room for the chunks is as likely.
  setCounter(baseIv, randomInt(COUNTER_VALUES - chunkCount(item.length, chunkSize) + 1));
  const wrapped = sealMessage(algorithm, master, keyIv, dek);
  let at = 0;
  for (const field of [wrapped.ciphertext, keyIv, wrapped.tag, baseIv]) {
    packed.set(field, at);
    at += field.byteLength;
  }
  return { dek, baseIv };
}

interface PlannedChunk {
  index: number;
  item: SealItem;
  chunk: number;
  begin: number;
  length: number;
  keys: TensorKeys | null;
  /** Where in `packed` its tag or digest goes. */
  packed: number;
  resultBytes: number;
}

/** Puts chunks together until a piece is full. */
class SealPieces {
  readonly #spec: SealSpec;
  readonly #keys = new BytePacker({ wipes: true });
  readonly #ivs = new BytePacker();
  #chunks: number[] = [];
  #sources: number[] = [];
  #results: number[] = [];
  #resultBytes = 0;
  #keyOf: TensorKeys | null = null;
  #keyCount = 0;
  #cost = 0;

  constructor(spec: SealSpec) {
    this.#spec = spec;
  }

  get empty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Whether a chunk of that length is better left to the next piece. */
  isFull(length: number): boolean {
    return !this.empty && this.#cost + length + CHUNK_OVERHEAD > PIECE_BYTES + CHUNK_OVERHEAD;
  }

  add({ index, item, chunk, begin, length, keys, packed, resultBytes }: PlannedChunk): void {
    if (keys !== null) {
      if (keys !== this.#keyOf) {
        this.#keys.push(keys.dek);
        this.#keyOf = keys;
        this.#keyCount++;
      }
      writeChunkIv(keys.baseIv, chunk, this.#ivs.extend(IV_BYTES));
    }
    if (this.#sources.at(-1) !== item.source) this.#sources.push(item.source);
    const source = this.#sources.length - 1;
    this.#chunks.push(
      index,
      item.mode,
      source,
      item.offset + begin,
      length,
      item.destination + begin,
      this.#keyCount - 1,
    );
    if (resultBytes > 0) this.#results.push(packed, resultBytes);
    this.#resultBytes += resultBytes;
    this.#cost += length + CHUNK_OVERHEAD;
  }

  take(): PlannedSeal {
    const piece: SealPiece = {
      kind: 'seal',
      sources: this.#sources,
      algorithm: this.#spec.encryption?.algorithm ?? null,
      digest: this.#spec.integrity?.algorithm ?? null,
      chunks: Float64Array.from(this.#chunks),
      keys: this.#keys.finish(),
      ivs: this.#ivs.finish(),
      resultBytes: this.#resultBytes,
    };
    const results = this.#results;
    this.#chunks = [];
    this.#sources = [];
    this.#results = [];
    this.#resultBytes = 0;
    this.#keyOf = null;
    this.#keyCount = 0;
    this.#cost = 0;
    return { piece, results };
  }

  wipe(): void {
    this.#keys.wipe();
  }
}
