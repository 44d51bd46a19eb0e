/** `__integrity__`: digests of the tensors that are stored in the clear (FORMAT.md §5). */
import { CryptoTensorsError, quote } from '../errors.js';
import { ITEMS_PER_BREATH, breathe, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { invalidMetadata } from './crypto-metadata.js';
import type { Header } from './header.js';
import { Byte, JsonScanner } from './json-scanner.js';
import { JsonWriter } from './json-writer.js';
import { wholeText, type JsonText } from './json-text.js';
import { describeJson, scanJsonValue, type JsonValue } from './json.js';
import { sortByName } from './utf8-order.js';
import { DIGEST_ALGORITHMS, DIGEST_STRIDE, Reserved, type DigestAlgorithm } from './vocabulary.js';

/** Where the digests stand. */
export interface IntegrityScan {
  algorithm: DigestAlgorithm;
  /** Bytes per digest, capped at 2^53 - 1. */
  chunkSize: number;
  /** UTF-8 text that the ranges point into; more than `__integrity__` where that was scanned in the header. */
  document: Uint8Array;
  /** Rows of 3: tensor index; [start, end) in `document` of the base64 text of its digests. */
  records: Int32Array;
}

/** `__integrity__` to write. */
export interface IntegrityToWrite {
  algorithm: DigestAlgorithm;
  chunkSize: number;
  /** `bytes`: the 32-byte digests of the tensor's chunks, one after another. */
  tensors: readonly { name: string; bytes: Uint8Array }[];
}

/**
 * Finds the digests. Their base64 and lengths are left to the engine.
 *
 * @param text the value of `__integrity__`, as a string or as it stands in the header
 * @param isEncrypted whether the tensor of this index has a crypto record
 * @throws {CryptoTensorsError} `UnsupportedAlgorithm`; `InvalidCryptoMetadata`, also where a tensor that is stored in the clear is
 * not listed, or any other is
 */
export function scanIntegrity(
  text: JsonText | string,
  header: Header,
  isEncrypted: (index: number) => boolean,
): IntegrityScan {
  return runSync(integritySteps(text, header, isEncrypted));
}

/** The same, giving way to the event loop in the awaiting form. */
export function* integritySteps(
  text: JsonText | string,
  header: Header,
  isEncrypted: (index: number) => boolean,
): Twin<IntegrityScan> {
  return yield* new DigestsScan(text, header, isEncrypted).run();
}

/** The text of `__integrity__`. Its length depends on names and lengths alone. */
export function encodeIntegrity({ algorithm, chunkSize, tensors }: IntegrityToWrite): string {
  const writer = new JsonWriter();
  writer.raw(`{"alg":"${algorithm}","chunk_size":${chunkSize},"tensors":{`);
  const sorted = sortByName(tensors);
  for (let i = 0; i < sorted.length; i++) {
    const { name, bytes } = sorted[i]!;
    if (i > 0) writer.raw(',');
    writer.string(name);
    writer.raw(':');
    writer.base64(bytes, 0, bytes.length);
  }
  writer.raw('}}');
  return new TextDecoder().decode(writer.bytes());
}

class DigestsScan {
  private readonly scanner: JsonScanner;
  private readonly records: Int32Array;
  private row = 0;
  /** 1 where a tensor is listed. */
  private readonly listed: Uint8Array;

  constructor(
    text: JsonText | string,
    private readonly header: Header,
    private readonly isEncrypted: (index: number) => boolean,
  ) {
    this.scanner = new JsonScanner(typeof text === 'string' ? wholeText(text) : text, {
      code: 'InvalidCryptoMetadata',
      name: Reserved.integrity,
    });
    this.records = new Int32Array(header.count * DIGEST_STRIDE);
    this.listed = new Uint8Array(header.count);
  }

  *run(): Twin<IntegrityScan> {
    const { scanner } = this;
    const members = new Map<string, JsonValue>();
    scanner.open(Byte.openBrace);
    if (!scanner.isEmpty(Byte.closeBrace)) {
      do {
        scanner.key();
        const key = scanner.value();
        if (members.has(key)) scanner.refuse('holds a key twice', scanner.start);
        members.set(key, key === 'tensors' ? yield* this.tensors() : scanJsonValue(scanner, 2));
      } while (scanner.hasMore(Byte.closeBrace));
    }
    scanner.finish();
    const algorithm = parseAlgorithm(members.get('alg'));
    const chunkSize = parseChunkSize(members.get('chunk_size'));
    if (!members.has('tensors')) throw invalidMetadata('"tensors" of __integrity__', 'an object', 'missing');
    this.requireAll();
    return { algorithm, chunkSize, document: scanner.bytes, records: this.records.subarray(0, this.row) };
  }

  private *tensors(): Twin<null> {
    const { scanner } = this;
    scanner.open(Byte.openBrace);
    if (scanner.isEmpty(Byte.closeBrace)) return null;
    do {
      if (this.row % (ITEMS_PER_BREATH * DIGEST_STRIDE) === 0) yield* breathe();
      scanner.key();
      const index = this.listable();
      scanner.string();
      if (scanner.escapes !== 'none') throw invalidTensor(this.header.names[index]!, 'must be base64 without escapes');
      this.records.set([index, scanner.start, scanner.end], this.row);
      this.row += DIGEST_STRIDE;
    } while (scanner.hasMore(Byte.closeBrace));
    return null;
  }

  /** The tensor that the key just scanned names. */
  private listable(): number {
    const { scanner, header } = this;
    const index = header.indexOfBytes(scanner.valueBytes());
    const name = index < 0 ? scanner.value() : header.names[index]!;
    if (index < 0) throw invalidTensor(name, 'is not in the file');
    if (this.isEncrypted(index)) throw invalidTensor(name, 'is encrypted; digests are of tensors stored in the clear');
    if (this.listed[index] === 1) throw invalidTensor(name, 'is listed twice');
    this.listed[index] = 1;
    return index;
  }

  /** FORMAT.md §5: all tensors that are stored in the clear are listed. */
  private requireAll(): void {
    const { names } = this.header;
    const unlisted = names.findIndex((_, i) => this.listed[i] === 0 && !this.isEncrypted(i));
    if (unlisted >= 0) throw invalidTensor(names[unlisted]!, 'is stored in the clear, but not listed');
  }
}

function parseAlgorithm(value: JsonValue | undefined): DigestAlgorithm {
  const algorithm = DIGEST_ALGORITHMS.find((known) => known === value);
  if (algorithm !== undefined) return algorithm;
  const found = typeof value === 'string' ? quote(value) : describeJson(value);
  throw new CryptoTensorsError(
    'UnsupportedAlgorithm',
    `the digests in __integrity__ are by ${found}; this library knows ${DIGEST_ALGORITHMS.join(' and ')}`,
    { expected: DIGEST_ALGORITHMS.join(' or '), found },
  );
}

function parseChunkSize(value: JsonValue | undefined): number {
  if (typeof value === 'bigint') return Number.MAX_SAFE_INTEGER;
  if (typeof value === 'number' && value > 0) return value;
  throw invalidMetadata('"chunk_size" of __integrity__', 'a positive integer', value === 0 ? '0' : describeJson(value));
}

function invalidTensor(tensor: string, problem: string): CryptoTensorsError {
  return new CryptoTensorsError('InvalidCryptoMetadata', `__integrity__: the tensor ${quote(tensor)} ${problem}`, {
    tensor,
  });
}
