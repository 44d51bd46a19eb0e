import { AEAD_KEY_BYTES, IV_BYTES, SealMode } from '../types.js';
import { createSealer } from './aead.js';
import { PIECE_BYTES } from './chunks.js';
import { createHasher } from './digest.js';
import { SEAL_CHUNK_STRIDE, SealColumn } from './piece.js';
import type { SealPiece } from './piece.js';
import { PORTION_BYTES, forEachPortion, located } from './thread.js';
import type { Thread } from './thread.js';

/** Encrypts, digests or copies the chunks of a piece. Wipes its keys. Returns the tags and digests, in turn. */
export function sealPiece(piece: SealPiece, thread: Thread): Uint8Array<ArrayBuffer> {
  try {
    return new Sealing(piece, thread).run();
  } finally {
    piece.keys.fill(0);
  }
}

/** A row of `SealPiece.chunks`. */
type Chunk = Record<keyof typeof SealColumn, number>;

/** Makes the stored bytes of one chunk as its plaintext passes through. */
interface Protector {
  update(plaintext: Uint8Array): Uint8Array;
  /** Tag or digest; nothing for what is stored as it is. */
  finish(): Uint8Array;
}

class Sealing {
  readonly #piece: SealPiece;
  readonly #thread: Thread;
  readonly #results: Uint8Array<ArrayBuffer>;
  #resultLength = 0;
  #ivsTaken = 0;

  constructor(piece: SealPiece, thread: Thread) {
    this.#piece = piece;
    this.#thread = thread;
    this.#results = new Uint8Array(piece.resultBytes);
  }

  run(): Uint8Array<ArrayBuffer> {
    const rows = this.#piece.chunks.length / SEAL_CHUNK_STRIDE;
    for (let row = 0; row < rows;) {
      const first = this.#chunk(row);
      if (first.length > PIECE_BYTES) {
        this.#guarded(first, () => this.#sealLong(first));
        row++;
        continue;
      }
      // What lies together in a source is fetched by one read.
      const together = [first];
      let length = first.length;
      for (row++; row < rows; row++) {
        const next = this.#chunk(row);
        const follows = next.source === first.source && next.position === first.position + length;
        if (!follows || length + next.length > PIECE_BYTES) break;
        together.push(next);
        length += next.length;
      }
      this.#sealTogether(together, length);
    }
    return this.#results;
  }

  #sealTogether(chunks: readonly Chunk[], length: number): void {
    const plaintext = this.#thread.scratch(length);
    const { source, position } = chunks[0]!;
    this.#guarded(chunks[0]!, () => this.#thread.inputs[source]!.read(position, plaintext));
    let at = 0;
    for (const chunk of chunks) {
      this.#guarded(chunk, () => this.#sealShort(chunk, plaintext.subarray(at, at + chunk.length)));
      at += chunk.length;
    }
    this.#thread.advance(length);
  }

  #sealShort(chunk: Chunk, plaintext: Uint8Array): void {
    const protector = this.#protector(chunk);
    forEachPortion(plaintext.byteLength, (begin, end) => {
      this.#thread.output.write(chunk.destination + begin, protector.update(plaintext.subarray(begin, end)));
    });
    this.#keep(protector.finish());
  }

  #sealLong(chunk: Chunk): void {
    const protector = this.#protector(chunk);
    for (let begin = 0; begin < chunk.length; begin += PORTION_BYTES) {
      const plaintext = this.#thread.scratch(Math.min(PORTION_BYTES, chunk.length - begin));
      this.#thread.inputs[chunk.source]!.read(chunk.position + begin, plaintext);
      this.#thread.output.write(chunk.destination + begin, protector.update(plaintext));
      this.#thread.advance(plaintext.byteLength);
    }
    this.#keep(protector.finish());
  }

  #keep(result: Uint8Array): void {
    this.#results.set(result, this.#resultLength);
    this.#resultLength += result.byteLength;
  }

  /** To be called once for each chunk, in order. */
  #protector(chunk: Chunk): Protector {
    if (chunk.mode === SealMode.encrypt) return this.#encryptor(chunk.key);
    if (chunk.mode === SealMode.digest) return digester(this.#piece);
    return { update: (plaintext) => plaintext, finish: () => new Uint8Array(0) };
  }

  #encryptor(index: number): Protector {
    const { keys, ivs, algorithm } = this.#piece;
    const size = AEAD_KEY_BYTES[algorithm!];
    const iv = ivs.subarray(this.#ivsTaken, (this.#ivsTaken += IV_BYTES));
    const sealer = createSealer(algorithm!, keys.subarray(index * size, (index + 1) * size), iv);
    return {
      update: (plaintext) => sealer.update(plaintext),
      finish: () => {
        sealer.final();
        return sealer.getAuthTag();
      },
    };
  }

  #chunk(row: number): Chunk {
    const { chunks } = this.#piece;
    const column = (name: keyof typeof SealColumn) => chunks[row * SEAL_CHUNK_STRIDE + SealColumn[name]]!;
    return {
      item: column('item'),
      mode: column('mode'),
      source: column('source'),
      position: column('position'),
      length: column('length'),
      destination: column('destination'),
      key: column('key'),
    };
  }

  #guarded<Result>(chunk: Chunk, work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw located(error, { tensor: chunk.item, chunk: -1 });
    }
  }
}

function digester({ digest }: SealPiece): Protector {
  const hasher = createHasher(digest!);
  return {
    update: (plaintext) => {
      hasher.update(plaintext);
      return plaintext;
    },
    finish: () => hasher.digest(),
  };
}
