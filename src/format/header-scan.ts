/** Reads the text of a header into flat lists: no object per tensor. Structure only; offsets and sizes are checked later. */
import { CryptoTensorsError, quote } from '../errors.js';
import { DTYPES, dtypeRank } from './dtype.js';
import { JsonKey } from './json-key.js';
import { Byte, JsonScanner, decodeUtf8 } from './json-scanner.js';
import { wholeText } from './json-text.js';
import { MetadataMap } from './metadata-map.js';
import { NameTable } from './name-table.js';
import { UintList } from './uint-list.js';
import { compareUtf8 } from './utf8-order.js';

/** Tensors in the order of the text. */
export interface ScannedTensors {
  /** Ranks of the dtypes. */
  dtypes: number[];
  begins: UintList;
  ends: UintList;
  /** Dimensions of all tensors, one after another; those of tensor i end at `shapeEnds[i]`. */
  dimensions: UintList;
  shapeEnds: number[];
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
const SIGNATURE = new JsonKey('__signature__');
const DTYPE = new JsonKey('dtype');
const SHAPE = new JsonKey('shape');
const DATA_OFFSETS = new JsonKey('data_offsets');
const DTYPE_LITERALS = DTYPES.map((dtype) => new TextEncoder().encode(`"${dtype}"`));
/** Fields of a tensor, as bits: which have been seen. */
const Field = { dtype: 1, shape: 2, offsets: 4, all: 7 } as const;

/**
 * @throws {CryptoTensorsError} `InvalidHeader` where it is not UTF-8, `InvalidHeaderDeserialization` where it is not JSON of the
 * right shape
 */
export function scanHeader(bytes: Uint8Array): ScannedHeader {
  const scanner = new JsonScanner(wholeText(bytes), { code: 'InvalidHeaderDeserialization', name: 'the header' });
  try {
    const header = new HeaderScan(scanner).run();
    if (!scanner.ascii) requireUtf8(bytes);
    return header;
  } catch (error) {
    // Text that is not UTF-8 is no JSON either, but has a code of its own.
    requireUtf8(bytes);
    throw error;
  }
}

function requireUtf8(bytes: Uint8Array): void {
  try {
    decodeUtf8(bytes);
  } catch (cause) {
    throw new CryptoTensorsError(
      'InvalidHeader',
      'the header is not UTF-8: the file is damaged or is no safetensors file',
      { expected: 'UTF-8 text', cause },
    );
  }
}

/** Exact dimensions of the tensor that is the `index`-th in the text. */
export function scannedShape({ dimensions, shapeEnds }: ScannedTensors, index: number): (number | bigint)[] {
  return dimensions.slice(index === 0 ? 0 : shapeEnds[index - 1]!, shapeEnds[index]!);
}

class HeaderScan {
  private readonly header: ScannedHeader = {
    names: new NameTable(),
    dtypes: [],
    begins: new UintList(),
    ends: new UintList(),
    dimensions: new UintList(),
    shapeEnds: [],
    metadata: null,
    cut: null,
  };
  /** Whether members stand in canonical order so far (FORMAT.md §2). White space and escapes are the scanner's flag. */
  private inOrder = true;
  /** Rank of the dtype of the tensor before. */
  private lastDtype = 0;
  private cutStart = 0;
  private cutEnd = 0;

  constructor(private readonly scanner: JsonScanner) {}

  run(): ScannedHeader {
    const { scanner, header } = this;
    if (scanner.bytes[0] !== Byte.openBrace) scanner.fail("'{'", 0);
    scanner.open(Byte.openBrace);
    if (!scanner.isEmpty(Byte.closeBrace)) {
      do {
        scanner.key();
        if (scanner.isKey(METADATA)) this.metadata();
        else this.tensor();
      } while (scanner.hasMore(Byte.closeBrace));
    }
    const length = scanner.position;
    const canonical = scanner.canonical && this.inOrder;
    this.padding(length);
    if (canonical) header.cut = { start: this.cutStart, end: this.cutEnd, length };
    return header;
  }

  private metadata(): void {
    const { scanner, header } = this;
    if (header.metadata !== null) scanner.refuse('holds "__metadata__" twice', scanner.start);
    if (header.names.count > 0) this.inOrder = false;
    const metadata = (header.metadata = new MetadataMap(scanner.bytes));
    scanner.open(Byte.openBrace);
    if (scanner.isEmpty(Byte.closeBrace)) return;
    let previous: string | null = null;
    do {
      const from = scanner.position;
      scanner.key();
      const { start } = scanner;
      const isSignature = scanner.isKey(SIGNATURE);
      const key = scanner.value();
      if (previous !== null && compareUtf8(previous, key) > 0) this.inOrder = false;
      scanner.string();
      if (!metadata.add(key, { start: scanner.start, end: scanner.end, escapes: scanner.escapes })) {
        scanner.refuse(`holds the metadata key ${quote(key)} twice`, start);
      }
      if (isSignature) this.cutOut(from, scanner.position, previous === null);
      previous = key;
    } while (scanner.hasMore(Byte.closeBrace));
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
    scanner.open(Byte.openBracket);
    if (!scanner.isEmpty(Byte.closeBracket)) {
      do {
        header.dimensions.push(scanner.uint());
      } while (scanner.hasMore(Byte.closeBracket));
    }
    header.shapeEnds.push(header.dimensions.length);
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
