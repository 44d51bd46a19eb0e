import { throwIfAborted } from '../abort.js';
import { letOut } from '../engine/memory.js';
import { CryptoTensorsError, argumentError } from '../errors.js';
import type { Model } from '../model/model.js';
import { readPlainFile } from '../model/side-files.js';
import { NOT_CLONEABLE, notCloneable } from '../not-cloneable.js';
import { ownOptions, checkSignal } from '../options.js';
import type { Twin } from '../twin.js';
import { demandTensors, readPlans } from './read-tensors.js';
import type { ReadContext } from './read-tensors.js';
import type { Reads } from './reads.js';

/** Where a file's bytes are, and what they are held against. */
type Stored =
  | { readonly kind: 'sealed'; readonly model: Model }
  | { readonly kind: 'plain'; readonly path: string; readonly digest: string };

/** Options of reading a file. */
export interface FileReadOptions {
  /** Ends the read with an `AbortError`. */
  signal?: AbortSignal;
}

/** So much of a sealed file is decrypted ahead of who reads a stream. */
const STREAM_BYTES = 2 * 1024 * 1024;

/**
 * A file of a model beside its weights. What is read was verified: of a sealed file the chunks that were touched, of a plain one all
 * of it, against the digest in the model's signed headers. Made by `SafeFile.getFile`.
 */
export class ModelFile {
  /** As the model lists it. */
  readonly path: string;
  /** True if it is stored encrypted. */
  readonly sealed: boolean;
  readonly #stored: Stored;
  readonly #reads: Reads;
  /** @internal */
  readonly [NOT_CLONEABLE] = notCloneable('a ModelFile: post its bytes, or the SafeFile.share()');

  /** @internal Use `SafeFile.getFile`. */
  constructor(path: string, stored: Stored, reads: Reads) {
    this.path = path;
    this.sealed = stored.kind === 'sealed';
    this.#stored = stored;
    this.#reads = reads;
  }

  /**
   * All of it.
   *
   * @throws {CryptoTensorsError} `ModelMismatch` for a plain file that was changed; `BadTag`, `FileChanged`, `PolicyDenied`,
   * `FileError`, `Closed`
   * @throws {AbortError} when `signal` fires or the model is closed meanwhile
   */
  async bytes(options: FileReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#reads.run(ownFileOptions(options, 'bytes'), (context) => this.#read(0, Infinity, context));
  }

  /** The same, blocking the calling thread. */
  bytesSync(options: FileReadOptions = {}): Uint8Array<ArrayBuffer> {
    return this.#reads.runSync(ownFileOptions(options, 'bytesSync'), (context) => this.#read(0, Infinity, context));
  }

  /** All of it as text: UTF-8, without a byte order mark. @throws the same as `bytes`; TypeError for what is no UTF-8 */
  async text(options: FileReadOptions = {}): Promise<string> {
    return decodeText(await this.bytes(options));
  }

  /** The same, blocking the calling thread. */
  textSync(options: FileReadOptions = {}): string {
    return decodeText(this.bytesSync(options));
  }

  /**
   * Bytes `begin` to `end`, which is not one of them and may lie behind the last. Of a sealed file only the chunks that they touch are
   * read; a plain file is read wholly, since one digest covers it.
   *
   * @throws {CryptoTensorsError} the same as `bytes`; `SliceOutOfRange`
   */
  async read(begin: number, end: number, options: FileReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(begin, end);
    return this.#reads.run(ownFileOptions(options, 'read'), (context) => this.#read(begin, end, context));
  }

  /** The same, blocking the calling thread. */
  readSync(begin: number, end: number, options: FileReadOptions = {}): Uint8Array<ArrayBuffer> {
    checkRange(begin, end);
    return this.#reads.runSync(ownFileOptions(options, 'readSync'), (context) => this.#read(begin, end, context));
  }

  /** All of it piece by piece, in bounded memory if it is sealed; each piece was verified. @throws the same as `bytes` */
  stream(options: FileReadOptions = {}): ReadableStream<Uint8Array<ArrayBuffer>> {
    const own = ownFileOptions(options, 'stream');
    let at = 0;
    let whole: Uint8Array<ArrayBuffer> | null = null;
    return new ReadableStream({
      pull: async (controller) => {
        if (!this.sealed) whole ??= await this.bytes(own);
        const piece = whole?.slice(at, at + STREAM_BYTES) ?? (await this.read(at, at + STREAM_BYTES, own));
        at += piece.byteLength;
        if (piece.byteLength > 0) controller.enqueue(piece);
        else controller.close();
      },
    });
  }

  *#read(begin: number, end: number, context: ReadContext): Twin<Uint8Array<ArrayBuffer>> {
    const stored = this.#stored;
    if (stored.kind === 'sealed') return yield* readSealed(stored.model, begin, end, context);
    throwIfAborted(context.signal);
    const bytes = yield* readPlainFile(context.engine, stored.path, stored.digest);
    throwIfAborted(context.signal);
    return bytes.subarray(begin, end);
  }
}

function* readSealed(model: Model, begin: number, end: number, context: ReadContext): Twin<Uint8Array<ArrayBuffer>> {
  yield* demandTensors([{ model, index: 0 }], context.signal);
  const start = Math.min(begin, model.header.end[0]!);
  const byteLength = Math.min(end, model.header.end[0]!) - start;
  const bytes = context.engine.allocateUnsafe(byteLength) as Uint8Array<ArrayBuffer>;
  const copies = Float64Array.of(0, start, byteLength, 0);
  yield* readPlans([{ model, copies, start: 0, byteLength }], bytes, context);
  letOut(bytes);
  return bytes;
}

function decodeText(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}

function checkRange(begin: unknown, end: unknown): void {
  for (const [name, value] of Object.entries({ begin, end })) {
    if (typeof value !== 'number') throw argumentError(name, 'a number of bytes', value);
  }
  if (Number.isSafeInteger(begin) && (begin as number) >= 0 && (end as number) >= (begin as number)) return;
  throw new CryptoTensorsError(
    'SliceOutOfRange',
    `bytes ${String(begin)} to ${String(end)} are no part of a file: begin must be an integer from 0, and end not lie before it`,
  );
}

function ownFileOptions(options: unknown, method: string): FileReadOptions {
  const own = ownOptions<FileReadOptions>(options, ['signal'], `ModelFile.${method}`);
  checkSignal(own.signal);
  return own;
}
