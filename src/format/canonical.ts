/** The text of a header: as it is signed (canonical, FORMAT.md §2) and as it is written. */
import { CryptoTensorsError } from '../errors.js';
import type { Dtype } from './dtype.js';
import { JsonWriter } from './json-writer.js';
import { compareUtf8 } from './utf8-order.js';
import { Reserved } from './vocabulary.js';
import { withoutPrototype } from '../options.js';

export { compareUtf8 } from './utf8-order.js';

/** Longest header that a file may have (FORMAT.md §1). */
export const MAX_HEADER_BYTES = 100_000_000;
/** Bytes of the header's length, before the header. */
export const LENGTH_BYTES = 8;
const SPACE = 0x20;

/** A tensor as the header describes it. */
export interface HeaderTensor {
  name: string;
  dtype: Dtype;
  /** Exact: a bigint where a dimension is no safe integer. */
  shape: readonly (number | bigint)[];
  /** Offsets in the data section. */
  begin: number;
  end: number;
}

/** What a header says. */
export interface HeaderContent {
  /** Null: no `__metadata__` at all. */
  metadata: ReadonlyMap<string, string> | null;
  /** In data order. */
  tensors: readonly HeaderTensor[];
}

/** How a header is padded. */
export interface HeaderPadding {
  /** The data section begins on a multiple of this: a page, so that tensors can be mapped (FORMAT.md §5); 8 as in safetensors. */
  align?: 8 | 4096;
  /** Spaces to leave at the least, so that another header fits in its place later. */
  slack?: number;
  /** Be exactly this many bytes instead, the 8 of the length among them, if the text fits: so that the data need not move. */
  fit?: number | undefined;
}

/** The bytes that are signed: compact, metadata sorted, without `__signature__`, without padding. */
export function encodeCanonical({ metadata, tensors }: HeaderContent): Uint8Array<ArrayBuffer> {
  return encodeText(metadata === null ? null : [...metadata].filter(([key]) => key !== Reserved.signature), tensors);
}

/**
 * The first bytes of a file, up to the data section: the header's length, its text with `__signature__`, spaces.
 *
 * @throws {CryptoTensorsError} `HeaderTooLarge` if it exceeds 100,000,000 bytes
 */
export function encodeHeader(content: HeaderContent, padding: HeaderPadding = {}): Uint8Array<ArrayBuffer> {
  return padHeader(encodeText(content.metadata === null ? null : [...content.metadata], content.tensors), padding);
}

/** The same from a text that is there already. Padding that it has is taken off first. */
export function padHeader(text: Uint8Array, padding: HeaderPadding = {}): Uint8Array<ArrayBuffer> {
  const { align = 4096, slack = 0, fit = 0 } = withoutPrototype(padding);
  let end = text.length;
  while (end > 0 && text[end - 1] === SPACE) end--;
  const natural = Math.ceil((LENGTH_BYTES + end + slack) / align) * align;
  const dataStart = LENGTH_BYTES + end <= fit ? fit : natural;
  const length = dataStart - LENGTH_BYTES;
  if (length > MAX_HEADER_BYTES) {
    throw new CryptoTensorsError(
      'HeaderTooLarge',
      `the header would be ${length} bytes with its padding, but may have ${MAX_HEADER_BYTES}; store fewer tensors or less metadata in one file, or encrypt in larger chunks`,
      { expected: `at most ${MAX_HEADER_BYTES} bytes`, found: `${length} bytes` },
    );
  }
  const bytes = new Uint8Array(dataStart).fill(SPACE, LENGTH_BYTES + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text.subarray(0, end), LENGTH_BYTES);
  return bytes;
}

function encodeText(metadata: [string, string][] | null, tensors: readonly HeaderTensor[]): Uint8Array<ArrayBuffer> {
  const writer = new JsonWriter(tensors.length * 128);
  writer.raw('{');
  if (metadata !== null) writeMetadata(writer, metadata);
  for (let i = 0; i < tensors.length; i++) {
    if (i > 0 || metadata !== null) writer.raw(',');
    writeTensor(writer, tensors[i]!);
  }
  writer.raw('}');
  return writer.bytes();
}

function writeMetadata(writer: JsonWriter, metadata: [string, string][]): void {
  writer.raw('"__metadata__":{');
  metadata.sort(([a], [b]) => compareUtf8(a, b));
  for (const [i, [key, value]] of metadata.entries()) {
    if (i > 0) writer.raw(',');
    writer.string(key);
    writer.raw(':');
    writer.string(value);
  }
  writer.raw('}');
}

function writeTensor(writer: JsonWriter, { name, dtype, shape, begin, end }: HeaderTensor): void {
  writer.string(name);
  writer.raw(':{"dtype":"');
  writer.raw(dtype);
  writer.raw('","shape":[');
  for (let i = 0; i < shape.length; i++) {
    if (i > 0) writer.raw(',');
    writer.uint(shape[i]!);
  }
  writer.raw('],"data_offsets":[');
  writer.uint(begin);
  writer.raw(',');
  writer.uint(end);
  writer.raw(']}');
}
