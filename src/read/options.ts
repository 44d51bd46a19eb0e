import { constants } from 'node:buffer';
import { CryptoTensorsError, argumentError } from '../errors.js';
import { MAX_THREADS } from '../open/options.js';
import { checkBoolean, checkFunction, checkInteger, checkOptionNames, checkSignal } from '../options.js';

/** Options of one read. */
export interface ReadOptions {
  /** Allocate a `SharedArrayBuffer`, so that worker threads can use the tensors without a copy. */
  shared?: boolean;
  /**
   * Read into this memory instead of new memory. It must be large enough and start on a multiple of 8 bytes. While the
   * read runs it belongs to the library, and when the read fails it has been **wiped**.
   */
  into?: ArrayBufferLike | Uint8Array;
  /**
   * Map tensors that nothing protects instead of reading them: no copy, no memory of their own, nothing is read before it is
   * touched. **The bytes are those of the file, now and later**: whoever can write to it can change the tensors under you, and
   * if it is cut short the process dies at the next touch (SIGBUS). For files that nobody else can write to. Tensors with a tag
   * or a digest are refused: they must be copied before they can be verified.
   */
  map?: boolean;
  /** Threads to use at the most. Default: the file's own `threads`. */
  threads?: number;
  /** Ends the read with an `AbortError`, within one chunk per thread. */
  signal?: AbortSignal;
  /** Called on the event loop with bytes done and bytes in total. */
  onProgress?: (done: number, total: number) => void;
}

const READ_OPTIONS: readonly (keyof ReadOptions)[] = ['shared', 'into', 'map', 'threads', 'signal', 'onProgress'];

export function checkReadOptions(options: ReadOptions | undefined, where: string, more: readonly string[] = []): void {
  checkOptionNames(options, [...READ_OPTIONS, ...more], where);
  checkBoolean(options?.shared, 'options.shared');
  checkBoolean(options?.map, 'options.map');
  if (options?.map === true && (options.shared === true || options.into !== undefined)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      'options.map gives views of the file itself: it goes with neither shared nor into',
    );
  }
  checkInteger(options?.threads, 'options.threads', 1, MAX_THREADS);
  checkSignal(options?.signal);
  checkFunction(options?.onProgress, 'options.onProgress');
  if (options?.into !== undefined) checkInto(options.into);
}

/** Where `into` points, as bytes. */
export function intoBytes(into: ArrayBufferLike | Uint8Array): Uint8Array {
  // As much of it as the runtime has typed arrays for.
  return into instanceof Uint8Array ? into : new Uint8Array(into, 0, Math.min(into.byteLength, constants.MAX_LENGTH));
}

function checkInto(into: unknown): void {
  const isMemory = into instanceof Uint8Array || into instanceof ArrayBuffer || into instanceof SharedArrayBuffer;
  if (!isMemory) throw argumentError('options.into', 'an ArrayBuffer, a SharedArrayBuffer or a Uint8Array', into);
  if (into instanceof Uint8Array && into.byteOffset % 8 !== 0) {
    throw new CryptoTensorsError(
      'InvalidOption',
      `options.into must start on a multiple of 8 bytes in its buffer, but its byteOffset is ${into.byteOffset}`,
      { expected: 'a multiple of 8', found: String(into.byteOffset) },
    );
  }
}
