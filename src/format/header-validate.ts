/** What FORMAT.md §1 asks of offsets and sizes, in exact arithmetic, before any view of the data exists. */
import { CryptoTensorsError, quote } from '../errors.js';
import { ITEMS_PER_BREATH, breathe } from '../twin.js';
import type { Twin } from '../twin.js';
import { DTYPES } from './dtype.js';
import { scannedShape, type ScannedTensors } from './header-scan.js';
import { bytesOfElements, describeShape } from './tensor-size.js';

/** Where the tensors are in the data section, in data order. */
export interface TensorOffsets {
  begin: Float64Array;
  end: Float64Array;
}

/**
 * Positions in the text in data order: by (begin, end), and of two empty tensors at one offset the one that comes first in
 * the text, because that is the order that was signed (FORMAT.md §2). Null where the text is in data order.
 */
export function* dataOrder({ begins, ends }: ScannedTensors): Twin<Uint32Array | null> {
  const compare = (a: number, b: number): number =>
    compareExact(begins.at(a), begins.at(b)) || compareExact(ends.at(a), ends.at(b));
  let i = 1;
  while (i < begins.length && compare(i - 1, i) <= 0) {
    if (++i % ITEMS_PER_BREATH === 0) yield* breathe();
  }
  if (i >= begins.length) return null;
  return yield* sortedOrder(begins.length, (a, b) => compare(a, b) || a - b);
}

/** As many numbers as are sorted at once. */
const RUN = 1024;

/** The numbers below `count` in an order, by merging: a sort of all of them would hold the event loop. */
function* sortedOrder(count: number, compare: (a: number, b: number) => number): Twin<Uint32Array> {
  let from: Uint32Array = Uint32Array.from({ length: count }, (_, i) => i);
  for (let first = 0; first < count; first += RUN) {
    yield* breathe();
    from.subarray(first, first + RUN).sort(compare);
  }
  let to: Uint32Array = new Uint32Array(count);
  for (let width = RUN; width < count; width *= 2) {
    for (let first = 0; first < count; first += 2 * width) {
      const middle = Math.min(first + width, count);
      const end = Math.min(first + 2 * width, count);
      for (let left = first, right = middle, at = first; at < end; at++) {
        if (at % ITEMS_PER_BREATH === 0) yield* breathe();
        const takesLeft = right === end || (left < middle && compare(from[left]!, from[right]!) <= 0);
        to[at] = from[takesLeft ? left++ : right++]!;
      }
    }
    [from, to] = [to, from];
  }
  return from;
}

/**
 * Tensors follow one another from 0 to the end of the data section, without hole or overlap, each as long as shape and dtype
 * say.
 *
 * @param scan tensors in the order of the text
 * @param order as `dataOrder` returned it
 * @param names in data order
 * @param dataBytes length of the data section; null if it is not known
 * @throws {CryptoTensorsError} per tensor in data order `InvalidOffset`, `ValidationOverflow`, `MisalignedSlice`,
 * `TensorInvalidInfo`; then `MetadataIncompleteBuffer`, or `ValidationOverflow` where that cannot be told
 */
export function* validateLayout(
  scan: ScannedTensors,
  order: Uint32Array | null,
  names: readonly string[],
  dataBytes: number | null,
): Twin<TensorOffsets> {
  const count = names.length;
  const begin = new Float64Array(count);
  const end = new Float64Array(count);
  let position: number | bigint = 0;
  for (let k = 0; k < count; k++) {
    if (k % ITEMS_PER_BREATH === 0) yield* breathe();
    const i = order === null ? k : order[k]!;
    const from = scan.begins.at(i);
    const to = scan.ends.at(i);
    if (from !== position || to < from) throw invalidOffset(names[k]!, from, to, position);
    checkSize(names[k]!, scan, i);
    begin[k] = Number(from);
    end[k] = Number(to);
    position = to;
  }
  if (dataBytes !== null && position !== dataBytes) throw incompleteBuffer(position, dataBytes);
  if (!Number.isSafeInteger(position)) throw beyondEveryFile(position);
  return { begin, end };
}

function checkSize(name: string, scan: ScannedTensors, i: number): void {
  const begin = scan.begins.at(i);
  const end = scan.ends.at(i);
  const dtype = DTYPES[scan.dtypes[i]!]!;
  const expected = bytesOfElements(name, dtype, scan.elements[i]!, () => scannedShape(scan, i));
  const found = typeof begin === 'number' && typeof end === 'number' ? end - begin : BigInt(end) - BigInt(begin);
  // Loosely: a difference of two bigints may be small.
  if (found == expected) return;
  throw new CryptoTensorsError(
    'TensorInvalidInfo',
    `the tensor ${quote(name)} is ${expected} bytes by its shape, ${describeShape(scannedShape(scan, i))} of ${dtype}, but its data_offsets [${begin},${end}] are ${found} bytes apart`,
    { tensor: name, expected: `${expected} bytes`, found: `${found} bytes` },
  );
}

function compareExact(a: number | bigint, b: number | bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function invalidOffset(
  name: string,
  begin: number | bigint,
  end: number | bigint,
  position: number | bigint,
): CryptoTensorsError {
  const found = `[${begin},${end}]`;
  return new CryptoTensorsError(
    'InvalidOffset',
    `the tensor ${quote(name)} has data_offsets ${found}, but must begin at ${position}, where the one before it ends, and not end before that: tensors may leave no hole and not overlap`,
    { tensor: name, expected: `[${position},…]`, found },
  );
}

function beyondEveryFile(end: number | bigint): CryptoTensorsError {
  return new CryptoTensorsError(
    'ValidationOverflow',
    `the tensors take ${end} bytes, which is more than any file holds: at most ${Number.MAX_SAFE_INTEGER}`,
    { expected: `at most ${Number.MAX_SAFE_INTEGER} bytes`, found: `${end} bytes` },
  );
}

function incompleteBuffer(end: number | bigint, dataBytes: number): CryptoTensorsError {
  return new CryptoTensorsError(
    'MetadataIncompleteBuffer',
    `the tensors take ${end} bytes, but the file has ${dataBytes} bytes of data: it was cut off or something was appended; fetch it again`,
    { expected: `${end} bytes of data`, found: `${dataBytes} bytes` },
  );
}
