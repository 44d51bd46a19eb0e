/** The header of a file: its length, its tensors, its metadata, and the bytes of it that are signed (FORMAT.md §1, §2). */
import { CryptoTensorsError } from '../errors.js';
import { mapped, runSync, type Twin } from '../twin.js';
import { LENGTH_BYTES, MAX_HEADER_BYTES, encodeCanonical, type HeaderTensor } from './canonical.js';
import { DTYPES, type Dtype } from './dtype.js';
import { scanHeader, scannedShape, type ScannedHeader } from './header-scan.js';
import { dataOrder, validateLayout, type TensorOffsets } from './header-validate.js';
import type { MetadataMap } from './metadata-map.js';
import type { NameTable } from './name-table.js';

export { MAX_HEADER_BYTES } from './canonical.js';

/**
 * Reads the length of the header from the first 8 bytes of a file.
 *
 * @throws {CryptoTensorsError} `HeaderTooSmall`, `HeaderTooLarge`, `InvalidHeaderLength`
 */
export function readHeaderLength(prefix: Uint8Array, fileSize: number): number {
  if (prefix.length < LENGTH_BYTES || fileSize < LENGTH_BYTES) {
    throw lengthError('HeaderTooSmall', fileSize, `at least ${LENGTH_BYTES}`, 'the file has');
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw lengthError('HeaderTooLarge', length, `at most ${MAX_HEADER_BYTES}`, 'the file claims a header of');
  }
  const available = fileSize - LENGTH_BYTES;
  if (length > available) {
    throw lengthError(
      'InvalidHeaderLength',
      length,
      `at most ${available}, which is what follows`,
      'the file claims a header of',
    );
  }
  return Number(length);
}

/**
 * Parses and validates a whole header. Keeps `bytes`, which must not change afterwards.
 *
 * @param bytes the header, without the 8 bytes of length before it
 * @param fileSize size of the whole file; null if the data is elsewhere and its length unknown: a detached header
 * @throws {CryptoTensorsError} `InvalidHeader`, `InvalidHeaderDeserialization`, then in data order `InvalidOffset`,
 * `ValidationOverflow`, `MisalignedSlice`, `TensorInvalidInfo`, then `MetadataIncompleteBuffer`
 */
export function parseHeader(bytes: Uint8Array, fileSize: number | null): Header {
  return runSync(headerSteps(bytes, fileSize));
}

/** The same, giving way to the event loop in the awaiting form. */
export function* headerSteps(bytes: Uint8Array, fileSize: number | null): Twin<Header> {
  const { names: table, ...scan } = yield* scanHeader(bytes);
  const order = yield* dataOrder(scan);
  const strings = yield* table.strings();
  const names = order === null ? strings : yield* mapped(order, (i) => strings[i]!);
  const dataBytes = fileSize === null ? null : fileSize - LENGTH_BYTES - bytes.length;
  return new Header({ bytes, scan, order, table, names, layout: yield* validateLayout(scan, order, names, dataBytes) });
}

interface HeaderParts {
  bytes: Uint8Array;
  scan: Omit<ScannedHeader, 'names'>;
  /** Position in the text of each tensor; null where it is the same. */
  order: Uint32Array | null;
  /** Names in the order of the text. */
  table: NameTable;
  /** Names in data order. */
  names: readonly string[];
  layout: TensorOffsets;
}

/** A validated header. Tensors are counted in data order: by offset, ties in the order of the text. */
export class Header {
  /** The header as it stands in the file, without the 8 bytes of length before it. Not to be changed. */
  readonly bytes: Uint8Array;
  /** Length of the header in bytes: N. */
  readonly length: number;
  /** Where the data section begins in a file of this header: 8 + N. Of a detached header it begins elsewhere: `Model.dataStart`. */
  readonly dataStart: number;
  /** Number of tensors. */
  readonly count: number;
  readonly names: readonly string[];
  /** Offsets in the data section. */
  readonly begin: Float64Array;
  readonly end: Float64Array;
  /** In the order of the text; null where there is no `__metadata__`. */
  readonly metadata: MetadataMap | null;

  readonly #scan: Omit<ScannedHeader, 'names'>;
  /** Position in the text of each tensor; null where it is the same. */
  readonly #order: Uint32Array | null;
  readonly #inverse: Uint32Array | null;
  /** Names in the order of the text. */
  readonly #table: NameTable;

  /** Use `parseHeader`. */
  constructor({ bytes, scan, order, table, names, layout: { begin, end } }: HeaderParts) {
    this.length = bytes.length;
    this.dataStart = LENGTH_BYTES + bytes.length;
    this.bytes = bytes;
    this.#scan = scan;
    this.metadata = scan.metadata;
    this.count = names.length;
    this.#order = order;
    this.#inverse = order === null ? null : invert(order);
    this.#table = table;
    this.names = names;
    this.begin = begin;
    this.end = end;
  }

  /** Length of the data section. */
  get dataBytes(): number {
    return this.end.at(-1) ?? 0;
  }

  /** Index of a tensor, or -1 where there is none of that name. */
  indexOf(name: string): number {
    return this.#dataIndex(this.#table.indexOf(name));
  }

  /** `indexOf` for a name that stands in UTF-8 at `[start, end)` of `bytes`. */
  indexOfBytes(bytes: Uint8Array, start = 0, end = bytes.length): number {
    return this.#dataIndex(this.#table.indexOfBytes(bytes, start, end));
  }

  dtype(index: number): Dtype {
    return DTYPES[this.#scan.dtypes[this.#textIndex(index)]!]!;
  }

  /** Dimensions. Rounded above 2^53, which only an empty tensor's can be: see `exactShape`. */
  shape(index: number): number[] {
    return scannedShape(this.#scan, this.#textIndex(index)).map(Number);
  }

  exactShape(index: number): bigint[] {
    return scannedShape(this.#scan, this.#textIndex(index)).map(BigInt);
  }

  /**
   * The bytes that the signature covers (FORMAT.md §2): cut out of the header where its text is in canonical form, as writers
   * write it; built anew otherwise.
   */
  canonical(): Uint8Array {
    const { cut } = this.#scan;
    if (cut === null || this.#order !== null) {
      return encodeCanonical({ metadata: this.metadata, tensors: this.tensors() });
    }
    const bytes = new Uint8Array(cut.length - (cut.end - cut.start));
    bytes.set(this.bytes.subarray(0, cut.start));
    bytes.set(this.bytes.subarray(cut.end, cut.length), cut.start);
    return bytes;
  }

  /** The tensors in data order, as a header is written from them. */
  tensors(): HeaderTensor[] {
    return this.names.map((name, i) => ({
      name,
      dtype: this.dtype(i),
      shape: scannedShape(this.#scan, this.#textIndex(i)),
      begin: this.begin[i]!,
      end: this.end[i]!,
    }));
  }

  #dataIndex(textIndex: number): number {
    return this.#inverse === null || textIndex < 0 ? textIndex : this.#inverse[textIndex]!;
  }

  #textIndex(index: number): number {
    return this.#order === null ? index : this.#order[index]!;
  }
}

/** The other way round: index in data order of each position in the text. */
function invert(order: Uint32Array): Uint32Array {
  const inverse = new Uint32Array(order.length);
  order.forEach((position, index) => (inverse[position] = index));
  return inverse;
}

function lengthError(
  code: 'HeaderTooSmall' | 'HeaderTooLarge' | 'InvalidHeaderLength',
  found: number | bigint,
  expected: string,
  what: string,
): CryptoTensorsError {
  return new CryptoTensorsError(
    code,
    `${what} ${found.toString()} bytes, but must be ${expected}: it was cut off, or is not a safetensors file`,
    { expected: `${expected} bytes`, found: `${found.toString()} bytes` },
  );
}
