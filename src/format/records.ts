/** `__encryption__`: the crypto records of the encrypted tensors (FORMAT.md §2). Up to 100,000 of them are read at every opening. */
import { CryptoTensorsError, quote } from '../errors.js';
import { ITEMS_PER_BREATH, breathe, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { base64Length } from './base64.js';
import type { CryptoKeysToWrite } from './crypto-metadata.js';
import type { Header } from './header.js';
import { JsonKey } from './json-key.js';
import { Byte, JsonScanner } from './json-scanner.js';
import { JsonWriter } from './json-writer.js';
import { wholeText, type JsonText } from './json-text.js';
import { scanJsonValue } from './json.js';
import { sortByName } from './utf8-order.js';
import { AEAD_KEY_BYTES, IV_BYTES, Reserved, TAG_BYTES } from './vocabulary.js';

/** Numbers per record in `RecordScan.records`; the layout is the engine's (`TableSpec.encryption`). */
const RECORD_STRIDE = 11;

/** Where the fields of the records stand. */
export interface RecordScan {
  /** UTF-8 text that the ranges point into; more than `__encryption__` where that was scanned in the header. */
  document: Uint8Array;
  /**
   * Rows of 11: tensor index; then [start, end) in `document` of the base64 text of `wrapped_key`, `key_iv`, `key_tag`,
   * `iv` or `base_iv`, `tag` or `tags`.
   */
  records: Int32Array;
}

/** An encrypted tensor to write. */
export interface PackedRecord {
  name: string;
  /** Its `wrapped_key`, `key_iv`, `key_tag`, `iv` or `base_iv`, `tag` or `tags`, one after another, as the engine returns them. */
  bytes: Uint8Array;
}

/** Field names in the order of a row, which is also the order in which the reference writes them. */
const FIELDS = {
  1: ['wrapped_key', 'key_iv', 'key_tag', 'iv', 'tag'],
  2: ['wrapped_key', 'key_iv', 'key_tag', 'base_iv', 'tags'],
} as const;
const KEYS = { 1: FIELDS[1].map(toKey), 2: FIELDS[2].map(toKey) } as const;
const FIELD_COUNT = 5;

/** Bytes of the fields after `wrapped_key` whose length does not depend on the tensor. */
const FIXED_FIELDS = { 1: [IV_BYTES, TAG_BYTES], 2: [IV_BYTES, TAG_BYTES, IV_BYTES] } as const;

/**
 * Finds the fields of all records. Their base64 and lengths are left to the engine.
 *
 * @param text the value of `__encryption__`, as a string or as it stands in the header
 * @throws {CryptoTensorsError} `InvalidCryptoMetadata`, naming tensor and field where there is one
 */
export function scanRecords(text: JsonText | string, header: Header, version: 1 | 2): RecordScan {
  return runSync(recordSteps(text, header, version));
}

/** The same, giving way to the event loop in the awaiting form. */
export function* recordSteps(text: JsonText | string, header: Header, version: 1 | 2): Twin<RecordScan> {
  return yield* new RecordsScan(text, header, version).run();
}

class RecordsScan {
  private readonly scanner: JsonScanner;
  private readonly records: Int32Array;
  /** 1 where a tensor has a record. */
  private readonly seen: Uint8Array;
  /** Values whose escapes had to be resolved; they go behind the text, so that every range is plain base64. */
  private readonly resolved: Uint8Array[] = [];
  private resolvedLength = 0;
  /** Characters of the fields that have one length in every valid record; that of `wrapped_key` is the last one's. */
  private readonly lengths: number[];
  private readonly own: readonly JsonKey[];
  private readonly foreign: readonly JsonKey[];

  constructor(
    text: JsonText | string,
    private readonly header: Header,
    private readonly version: 1 | 2,
  ) {
    this.scanner = new JsonScanner(typeof text === 'string' ? wholeText(text) : text, {
      code: 'InvalidCryptoMetadata',
      name: Reserved.encryption,
    });
    this.records = new Int32Array(header.count * RECORD_STRIDE);
    this.seen = new Uint8Array(header.count);
    this.lengths = [0, ...FIXED_FIELDS[version].map(base64Length)];
    this.own = KEYS[version];
    this.foreign = KEYS[version === 1 ? 2 : 1].slice(3);
  }

  *run(): Twin<RecordScan> {
    const { scanner } = this;
    let row = 0;
    scanner.open(Byte.openBrace);
    if (!scanner.isEmpty(Byte.closeBrace)) {
      do {
        if (row % (ITEMS_PER_BREATH * RECORD_STRIDE) === 0) yield* breathe();
        scanner.key();
        this.record(this.tensor(), row);
        row += RECORD_STRIDE;
      } while (scanner.hasMore(Byte.closeBrace));
    }
    scanner.finish();
    return { document: this.document(), records: this.records.subarray(0, row) };
  }

  /** The tensor that the key just scanned names. */
  private tensor(): number {
    const { scanner, header } = this;
    const index =
      scanner.escapes !== 'none'
        ? header.indexOfBytes(scanner.valueBytes())
        : header.indexOfBytes(scanner.bytes, scanner.start, scanner.end);
    if (index < 0) throw invalidRecord(scanner.value(), 'stands for a tensor that is not in the file');
    if (this.seen[index] === 1) throw invalidRecord(scanner.value(), 'stands there twice');
    this.seen[index] = 1;
    return index;
  }

  private record(tensor: number, row: number): void {
    const { scanner, records } = this;
    records[row] = tensor;
    if (scanner.peek() !== Byte.openBrace) throw this.invalid(tensor, 'is not an object');
    scanner.open(Byte.openBrace);
    let foreignSeen = 0;
    let unknown: Set<string> | null = null;
    let next = 0;
    if (!scanner.isEmpty(Byte.closeBrace)) {
      do {
        const field = this.ownField(next);
        if (field >= 0) {
          this.value(tensor, row, field);
          next = field + 1;
          continue;
        }
        const foreign = this.foreign.findIndex((key) => scanner.isKey(key));
        if (foreign >= 0) {
          if ((foreignSeen & (1 << foreign)) !== 0) throw this.twice(tensor, scanner.value());
          foreignSeen |= 1 << foreign;
          this.absent(tensor);
        } else {
          unknown ??= new Set();
          this.skip(tensor, unknown);
        }
      } while (scanner.hasMore(Byte.closeBrace));
    }
    for (let field = 0; field < FIELD_COUNT; field++) {
      if (records[row + 2 + 2 * field] === 0) throw this.invalid(tensor, `lacks "${FIELDS[this.version][field]!}"`);
    }
  }

  /** Scans a key. Which field it is, or -1; the one that comes `next` in the usual order is tried first. */
  private ownField(next: number): number {
    const { scanner, own } = this;
    if (next < FIELD_COUNT && scanner.skipKey(own[next]!)) return next;
    scanner.key();
    return own.findIndex((key) => scanner.isKey(key));
  }

  private value(tensor: number, row: number, field: number): void {
    const { scanner, records } = this;
    const name = FIELDS[this.version][field]!;
    const at = row + 1 + 2 * field;
    if (records[at + 1] !== 0) throw this.twice(tensor, name);
    if (scanner.peek() !== scanner.quote) throw this.invalid(tensor, `must have a string in "${name}"`);
    const length = this.lengths[field];
    if (length === undefined) scanner.string();
    else scanner.stringOfLength(length);
    if (scanner.escapes === 'none') {
      records[at] = scanner.start;
      records[at + 1] = scanner.end;
      if (field === 0) this.lengths[0] = scanner.end - scanner.start;
    } else {
      const resolved = scanner.valueBytes();
      records[at] = scanner.bytes.length + this.resolvedLength;
      this.resolvedLength += resolved.length;
      records[at + 1] = scanner.bytes.length + this.resolvedLength;
      this.resolved.push(resolved);
    }
  }

  /** A field of the other version may be there if it is null. */
  private absent(tensor: number): void {
    const name = this.scanner.value();
    if (scanJsonValue(this.scanner, 3) === null) return;
    throw this.invalid(tensor, `has "${name}", which does not belong to version ${this.version}`);
  }

  /** Fields that this version of the library does not know mean nothing, but must be JSON without duplicate keys. */
  private skip(tensor: number, unknown: Set<string>): void {
    const name = this.scanner.value();
    if (unknown.has(name)) throw this.twice(tensor, name);
    unknown.add(name);
    scanJsonValue(this.scanner, 3);
  }

  private document(): Uint8Array {
    const { bytes } = this.scanner;
    if (this.resolved.length === 0) return bytes;
    const document = new Uint8Array(bytes.length + this.resolvedLength);
    document.set(bytes);
    let at = bytes.length;
    for (const resolved of this.resolved) {
      document.set(resolved, at);
      at += resolved.length;
    }
    return document;
  }

  private twice(tensor: number, field: string): CryptoTensorsError {
    return this.invalid(tensor, `has ${quote(field)} twice`);
  }

  private invalid(tensor: number, problem: string): CryptoTensorsError {
    return invalidRecord(this.header.names[tensor]!, problem);
  }
}

/**
 * The text of `__encryption__`, as the reference writes it. Its length depends on names and lengths alone, so zeroed bytes
 * give the length of the real text.
 */
export function encodeRecords(
  records: readonly PackedRecord[],
  { version, enc }: Pick<CryptoKeysToWrite, 'version' | 'enc'>,
): string {
  const fields = FIELDS[version];
  const ends = fieldEnds(AEAD_KEY_BYTES[enc.algorithm]);
  const writer = new JsonWriter(records.length * 256);
  let separator = '{';
  for (const { name, bytes } of sortByName(records)) {
    writer.raw(separator);
    writer.string(name);
    let start = 0;
    for (let field = 0; field < FIELD_COUNT; field++) {
      writer.raw(field === 0 ? ':{"' : ',"');
      writer.raw(fields[field]!);
      writer.raw('":');
      const end = ends[field] ?? bytes.length;
      writer.base64(bytes, start, end);
      start = end;
    }
    writer.raw('}');
    separator = ',';
  }
  if (records.length === 0) writer.raw('{');
  writer.raw('}');
  return new TextDecoder().decode(writer.bytes());
}

/** Ends of the first four fields in a packed record; the last field, the tags, takes the rest. */
function fieldEnds(wrappedKeyBytes: number): number[] {
  const keyIv = wrappedKeyBytes + IV_BYTES;
  const keyTag = keyIv + TAG_BYTES;
  return [wrappedKeyBytes, keyIv, keyTag, keyTag + IV_BYTES];
}

function toKey(name: string): JsonKey {
  return new JsonKey(name);
}

function invalidRecord(tensor: string, problem: string): CryptoTensorsError {
  return new CryptoTensorsError('InvalidCryptoMetadata', `__encryption__: the record of ${quote(tensor)} ${problem}`, {
    tensor,
  });
}
