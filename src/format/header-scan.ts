/** Reads the text of a header into flat lists: no object per tensor. Structure only; offsets and sizes are checked later. */
import { CryptoTensorsError, quote } from '../errors.js';
import { ITEMS_PER_BREATH, breathe } from '../twin.js';
import type { Twin } from '../twin.js';
import { DTYPES, dtypeRank } from './dtype.js';
import { JsonKey } from './json-key.js';
import { Byte, JsonScanner } from './json-scanner.js';
import { wholeText } from './json-text.js';
import { MetadataMap } from './metadata-map.js';
import { NameTable } from './name-table.js';
import { UintList } from './uint-list.js';
import { Reserved } from './vocabulary.js';

/** Tensors in the order of the text. */
export interface ScannedTensors {
  /** Ranks of the dtypes. */
  dtypes: number[];
  begins: UintList;
  ends: UintList;
  /** The text, and where in it the shape of each tensor stands: dimensions are read again when somebody asks for them. */
  bytes: Uint8Array;
  shapeStarts: number[];
  /** Products of the dimensions; -1 where a partial product is no safe integer. */
  elements: number[];
}

export interface ScannedHeader extends ScannedTensors {
  names: NameTable;
  /** Null where there is no `__metadata__`. */
  metadata: MetadataMap | null;
  /**
   * What has to be cut out of the text to get the signed one, if the tensors stand in data order. Null if anything else is
   * not in canonical form, and the signed text must be rebuilt.
   */
  cut: CanonicalCut | null;
}

/** The signed text is `[0, start)` and `[end, length)` of the header's bytes. */
export interface CanonicalCut {
  start: number;
  end: number;
  length: number;
}

const METADATA = new JsonKey('__metadata__');
const SIGNATURE = new JsonKey(Reserved.signature);
const DTYPE = new JsonKey('dtype');
const SHAPE = new JsonKey('shape');
const DATA_OFFSETS = new JsonKey('data_offsets');
const DTYPE_LITERALS = DTYPES.map((dtype) => new TextEncoder().encode(`"${dtype}"`));
/** Fields of a tensor, as bits: which have been seen. */
const Field = { dtype: 1, shape: 2, offsets: 4, all: 7 } as const;

/** As many keys as `__metadata__` may have. */
const MAX_METADATA_KEYS = 1_000_000;
/** As many dimensions as a tensor may have. */
const MAX_DIMENSIONS = 1_000_000;
const SUBJECT = { code: 'InvalidHeaderDeserialization', name: 'the header' } as const;

/**
 * @throws {CryptoTensorsError} `InvalidHeader` where it is not UTF-8, `InvalidHeaderDeserialization` where it is not JSON of the
 * right shape
 */
export function* scanHeader(bytes: Uint8Array): Twin<ScannedHeader> {
  const scanner = new JsonScanner(wholeText(bytes), SUBJECT);
  try {
    const header = yield* new HeaderScan(scanner).run();
    if (!scanner.ascii) yield* requireUtf8(bytes);
    return header;
  } catch (error) {
    // Text that is not UTF-8 is no JSON either, but has a code of its own.
    yield* requireUtf8(bytes);
    throw error;
  }
}

/** Bytes of text that are looked at between two breaths. */
const UTF8_STRIDE = 1 << 20;

function* requireUtf8(bytes: Uint8Array): Twin<void> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    for (let at = 0; at < bytes.length; at += UTF8_STRIDE) {
      decoder.decode(bytes.subarray(at, at + UTF8_STRIDE), { stream: true });
      yield* breathe();
    }
    decoder.decode();
  } catch (cause) {
    throw new CryptoTensorsError(
      'InvalidHeader',
      'the header is not UTF-8: the file is damaged or is no safetensors file',
      { expected: 'UTF-8 text', cause },
    );
  }
}

/** Exact dimensions of the tensor that is the `index`-th in the text. */
export function scannedShape({ bytes, shapeStarts }: ScannedTensors, index: number): (number | bigint)[] {
  const scanner = new JsonScanner(wholeText(bytes), SUBJECT);
  scanner.position = shapeStarts[index]!;
  const shape: (number | bigint)[] = [];
  scanner.open(Byte.openBracket);
  if (scanner.isEmpty(Byte.closeBracket)) return shape;
  do {
    shape.push(scanner.uint());
  } while (scanner.hasMore(Byte.closeBracket));
  return shape;
}

class HeaderScan {
  private readonly header: ScannedHeader;
  /** Whether members stand in canonical order so far (FORMAT.md §2). White space and escapes are the scanner's flag. */
  private inOrder = true;
  /** Rank of the dtype of the tensor before. */
  private lastDtype = 0;
  private cutStart = 0;
  private cutEnd = 0;

  constructor(private readonly scanner: JsonScanner) {
    this.header = {
      bytes: scanner.bytes,
      names: new NameTable(),
      dtypes: [],
      begins: new UintList(),
      ends: new UintList(),
      shapeStarts: [],
      elements: [],
      metadata: null,
      cut: null,
    };
  }

  *run(): Twin<ScannedHeader> {
    const { scanner, header } = this;
    if (scanner.bytes[0] !== Byte.openBrace) scanner.fail("'{'", 0);
    scanner.open(Byte.openBrace);
    if (!scanner.isEmpty(Byte.closeBrace)) {
      do {
        if (header.names.count % ITEMS_PER_BREATH === 0) yield* breathe();
        scanner.key();
        if (scanner.isKey(METADATA)) yield* this.metadata();
        else this.tensor();
      } while (scanner.hasMore(Byte.closeBrace));
    }
    const length = scanner.position;
    const canonical = scanner.canonical && this.inOrder;
    this.padding(length);
    if (canonical) header.cut = { start: this.cutStart, end: this.cutEnd, length };
    return header;
  }

  private *metadata(): Twin<void> {
    const { scanner, header } = this;
    if (header.metadata !== null) scanner.refuse('holds "__metadata__" twice', scanner.start);
    if (header.names.count > 0) this.inOrder = false;
    const metadata = (header.metadata = new MetadataMap(scanner.bytes));
    scanner.open(Byte.openBrace);
    if (scanner.isEmpty(Byte.closeBrace)) return;
    do {
      if (metadata.size % ITEMS_PER_BREATH === 0) yield* breathe();
      this.metadataMember(metadata);
    } while (scanner.hasMore(Byte.closeBrace));
  }

  private metadataMember(metadata: MetadataMap): void {
    const { scanner } = this;
    const from = scanner.position;
    scanner.key();
    const { start, end } = scanner;
    const isFirst = metadata.size === 0;
    const isSignature = scanner.isKey(SIGNATURE);
    const isNew =
      scanner.escapes === 'none' ? metadata.add(scanner.bytes, start, end) : metadata.add(scanner.valueBytes());
    if (!isNew) scanner.refuse(`holds the metadata key ${quote(scanner.value())} twice`, start);
    if (metadata.size > MAX_METADATA_KEYS) {
      scanner.refuse(`holds more than ${MAX_METADATA_KEYS} metadata keys, which no model needs`, start);
    }
    if (!isFirst && metadata.lastIsOutOfOrder) this.inOrder = false;
    scanner.string();
    metadata.setLast({ start: scanner.start, end: scanner.end, escapes: scanner.escapes });
    if (isSignature) this.cutOut(from, scanner.position, isFirst);
  }

  /** Notes where the signature's member stands, with the one comma that goes with it. Holds where there is no white space. */
  private cutOut(start: number, end: number, isFirst: boolean): void {
    const hasNext = this.scanner.bytes[end] === Byte.comma;
    this.cutStart = isFirst ? start : start - 1;
    this.cutEnd = isFirst && hasNext ? end + 1 : end;
  }

  private tensor(): void {
    const { scanner } = this;
    const name = this.name();
    scanner.open(Byte.openBrace);
    if (scanner.isEmpty(Byte.closeBrace)) this.missing(0, name);
    let seen = 0;
    do {
      const field = this.field();
      if ((seen & field) !== 0) scanner.refuse('holds a field of a tensor twice');
      if (field < seen) this.inOrder = false;
      seen |= field;
      if (field === Field.dtype) this.dtype();
      else if (field === Field.shape) this.shape();
      else this.offsets();
    } while (scanner.hasMore(Byte.closeBrace));
    if (seen !== Field.all) this.missing(seen, name);
  }

  private field(): number {
    const { scanner } = this;
    if (scanner.skipKey(DTYPE)) return Field.dtype;
    if (scanner.skipKey(SHAPE)) return Field.shape;
    if (scanner.skipKey(DATA_OFFSETS)) return Field.offsets;
    scanner.key();
    if (scanner.isKey(DTYPE)) return Field.dtype;
    if (scanner.isKey(SHAPE)) return Field.shape;
    if (scanner.isKey(DATA_OFFSETS)) return Field.offsets;
    return scanner.refuse(`holds ${quote(scanner.value())}, which is no field of a tensor`, scanner.start);
  }

  /** Adds the name just scanned. Of two equal ones readers could disagree about which counts. */
  private name(): number {
    const { scanner, header } = this;
    const { start } = scanner;
    const isNew =
      scanner.escapes !== 'none'
        ? header.names.add(scanner.valueBytes())
        : header.names.add(scanner.bytes, start, scanner.end);
    if (!isNew) scanner.refuse(`holds the tensor ${quote(scanner.value())} twice`, start);
    return start;
  }

  private missing(seen: number, position: number): never {
    const missing = (seen & Field.dtype) === 0 ? 'dtype' : (seen & Field.shape) === 0 ? 'shape' : 'data_offsets';
    return this.scanner.refuse(`lacks "${missing}" of a tensor`, position);
  }

  private dtype(): void {
    const { scanner, header } = this;
    // Tensors of one dtype usually stand together.
    if (!scanner.skip(DTYPE_LITERALS[this.lastDtype]!)) {
      scanner.string();
      this.lastDtype = dtypeRank(scanner.value());
      if (this.lastDtype < 0) scanner.refuse(`holds ${quote(scanner.value())}, which is no dtype`, scanner.start);
    }
    header.dtypes.push(this.lastDtype);
  }

  private shape(): void {
    const { scanner, header } = this;
    let elements = 1;
    let count = 0;
    scanner.peek();
    header.shapeStarts.push(scanner.position);
    scanner.open(Byte.openBracket);
    if (!scanner.isEmpty(Byte.closeBracket)) {
      do {
        const dimension = scanner.uint();
        if (++count > MAX_DIMENSIONS) scanner.refuse(`holds a tensor of more than ${MAX_DIMENSIONS} dimensions`);
        if (elements < 0) continue;
        elements = typeof dimension === 'bigint' ? -1 : elements * dimension;
        if (elements > Number.MAX_SAFE_INTEGER) elements = -1;
      } while (scanner.hasMore(Byte.closeBracket));
    }
    header.elements.push(elements);
  }

  private offsets(): void {
    const { scanner, header } = this;
    scanner.open(Byte.openBracket);
    header.begins.push(scanner.uint());
    if (!scanner.hasMore(Byte.closeBracket)) scanner.fail('two offsets');
    header.ends.push(scanner.uint());
    if (scanner.hasMore(Byte.closeBracket)) scanner.fail('two offsets');
  }

  /** FORMAT.md §1: spaces, and nothing else, may follow. */
  private padding(from: number): void {
    const { bytes } = this.scanner;
    for (let p = from; p < bytes.length; p++) if (bytes[p] !== Byte.space) this.scanner.fail('spaces up to the end', p);
  }
}
