import { constants } from 'node:buffer';
import { types } from 'node:util';
import { CryptoTensorsError, argumentError } from '../errors.js';
import { bytesOf, isDetached, isResizable } from '../engine/memory.js';
import { detachedError } from '../engine/own.js';
import { MAX_THREADS } from '../open/options.js';
import { checkBoolean, checkFunction, checkInteger, checkSignal, ownOptions } from '../options.js';
import { option, say } from '../wording.js';

/** Options of one read. */
export interface ReadOptions {
  /** Allocate a `SharedArrayBuffer`, so that worker threads can use the tensors without a copy. */
  shared?: boolean;
  /**
   * Read into this memory instead of new memory. It must be large enough and start on a multiple of 8 bytes.
   *
   * A `SharedArrayBuffer` is filled where it is: others see, and could change, what is decrypted before it is verified, so no other
   * thread may use that range meanwhile. Two reads of one thread into the same range are refused (`InvalidOption`). An `ArrayBuffer` is **taken over** by the awaiting forms: it is empty from then on,
   * with all views of it, and comes back as the result's buffer (`tensor.bytes.buffer`), to be given for the next read. The forms
   * that block fill it where it is. Memory that cannot be taken over (of a `WebAssembly.Memory`, the pool of small `Buffer`s) is for
   * the forms that block; resizable memory is refused.
   *
   * When the read fails, what it had written has been wiped, and what was taken over is gone.
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

/** Read options as own properties, checked. @param more names of options that the function has beside those of a read */
export function ownReadOptions<Options extends ReadOptions = ReadOptions>(
  options: unknown,
  where: string,
  more: readonly (keyof Options & string)[] = [],
): Options {
  const own = ownOptions<Options>(options, [...READ_OPTIONS, ...more], where);
  const { shared, into, map, threads, signal, onProgress } = own as ReadOptions;
  checkBoolean(shared, 'options.shared');
  checkBoolean(map, 'options.map');
  if (map === true && (shared === true || into !== undefined)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('map')} gives views of the file itself: it goes with neither shared nor into`,
    );
  }
  checkInteger(threads, 'options.threads', 1, MAX_THREADS);
  checkSignal(signal);
  checkFunction(onProgress, 'options.onProgress');
  if (into !== undefined) intoBytes(into);
  return own as Options;
}

/**
 * Where `into` points: a plain view of it, as far as the runtime has typed arrays.
 *
 * @throws {TypeError} if it is no memory
 * @throws {CryptoTensorsError} `InvalidOption` if it is resizable or not aligned; `Detached`
 */
export function intoBytes(into: unknown): Uint8Array {
  if (!types.isUint8Array(into) && !types.isAnyArrayBuffer(into)) {
    throw argumentError('options.into', 'an ArrayBuffer, a SharedArrayBuffer or a Uint8Array', into);
  }
  const bytes = isDetached(into) ? null : bytesOf(into, constants.MAX_LENGTH);
  if (bytes === null) throw detachedError('options.into');
  if (isResizable(into)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('into')} is resizable and could shrink under the read: give an ArrayBuffer of fixed length, or a SharedArrayBuffer`,
    );
  }
  if (bytes.byteOffset % 8 !== 0) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('into')} must start on a multiple of 8 bytes in its buffer, but its byteOffset is ${bytes.byteOffset}`,
      { expected: 'a multiple of 8', found: String(bytes.byteOffset) },
    );
  }
  return bytes;
}
