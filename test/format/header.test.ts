import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '#dist/errors.js';
import { encodeCanonical, encodeHeader } from '#dist/format/canonical.js';
import { MAX_HEADER_BYTES, parseHeader, readHeaderLength } from '#dist/format/header.js';
import { contentOf, headerContent, parseText } from './headers.js';
import { refusalSync, thrownBy } from '../support/errors.js';

function prefix(length: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, length, true);
  return bytes;
}

const entry = (shape: string, begin: number, end: number, dtype = 'U8'): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

describe('the length of a header', () => {
  it.each<[ErrorCode, bigint, number]>([
    ['HeaderTooSmall', 0n, 0],
    ['HeaderTooSmall', 0n, 7],
    ['HeaderTooLarge', 100_000_001n, 2 ** 40],
    ['HeaderTooLarge', 2n ** 32n, 2 ** 40],
    ['HeaderTooLarge', 2n ** 32n + 5n, 13],
    ['HeaderTooLarge', 2n ** 63n, 2 ** 40],
    ['HeaderTooLarge', 2n ** 64n - 1n, 2 ** 53],
    ['InvalidHeaderLength', 1n, 8],
    ['InvalidHeaderLength', 100_000_000n, 100_000_007],
  ])('%s: %d in a file of %d bytes', (code, length, fileSize) => {
    refusalSync(code, () => readHeaderLength(prefix(length).subarray(0, Math.min(8, fileSize)), fileSize));
  });

  it.each([
    [0n, 8],
    [1n, 9],
    [100_000_000n, 100_000_008],
    [2n, 2 ** 53 - 1],
  ])('%d in a file of %d bytes', (length, fileSize) => {
    expect(readHeaderLength(prefix(length), fileSize)).toBe(Number(length));
  });

  it('is read where it stands in a larger buffer', () => {
    const bytes = new Uint8Array(32);
    bytes.set(prefix(5n), 8);
    expect(readHeaderLength(bytes.subarray(8, 24), 100)).toBe(5);
    expect(MAX_HEADER_BYTES).toBe(100_000_000);
  });
});

describe('a header', () => {
  it('gives what was written, for any names, metadata, dtypes and shapes', () => {
    fc.assert(
      fc.property(headerContent, fc.constantFrom<8 | 4096>(8, 4096), fc.nat(200), (content, align, slack) => {
        const file = encodeHeader(content, { align, slack });
        const dataBytes = content.tensors.at(-1)?.end ?? 0;
        const length = readHeaderLength(file.subarray(0, 8), file.length + dataBytes);
        const header = parseHeader(file.subarray(8, 8 + length), file.length + dataBytes);
        expect(header.dataStart).toBe(file.length);
        expect(header.length).toBe(length);
        const { metadata, tensors } = contentOf(header);
        expect(tensors).toEqual(content.tensors);
        expect(metadata && new Map(metadata)).toEqual(content.metadata);
        content.tensors.forEach(({ name }, i) => expect(header.indexOf(name)).toBe(i));
        expect(header.indexOf('not there')).toBe(-1);
      }),
    );
  });

  it('gives tensors in data order, ties in the order of the text', () => {
    const header = parseText(
      `{"z":${entry('[0]', 2, 2)},"b":${entry('[2]', 0, 2)},"a":${entry('[0]', 2, 2)},"c":${entry('[0]', 0, 0)},"d":${entry('[1]', 2, 3)}}`,
      3,
    );
    expect(header.names).toEqual(['c', 'b', 'z', 'a', 'd']);
    expect([...header.begin]).toEqual([0, 0, 2, 2, 2]);
    expect(header.names.map((name) => header.indexOf(name))).toEqual([0, 1, 2, 3, 4]);
    expect(header.names.map((_, i) => header.shape(i))).toEqual([[0], [2], [0], [0], [1]]);
  });

  it('keeps dimensions above 2^53 exact', () => {
    const header = parseText(
      `{"a":${entry('[0,9007199254740993]', 0, 0)},"b":${entry('[9223372036854775808,0]', 0, 0)}}`,
      0,
    );
    expect(header.exactShape(0)).toEqual([0n, 9007199254740993n]);
    expect(header.exactShape(1)).toEqual([9223372036854775808n, 0n]);
    expect(header.shape(1)).toEqual([2 ** 63, 0]);
  });

  it('keeps metadata as a map, in the order of the text', () => {
    const { metadata } = parseText('{"__metadata__":{"b":"1","10":"2","__proto__":"3","a\\u0062":"4\\n"}}', 0);
    expect([...metadata!]).toEqual([
      ['b', '1'],
      ['10', '2'],
      ['__proto__', '3'],
      ['ab', '4\n'],
    ]);
    expect(metadata!.size).toBe(4);
    expect(metadata!.get('ab')).toBe('4\n');
    expect(metadata!.get('ab')).toBe('4\n');
    expect(metadata!.get('constructor')).toBeUndefined();
    expect(metadata!.has('10')).toBe(true);
    expect([...metadata!.values()]).toEqual(['1', '2', '3', '4\n']);
    const visited: string[] = [];
    metadata!.forEach((value, key) => visited.push(`${key}=${value}`));
    expect(visited).toEqual(['b=1', '10=2', '__proto__=3', 'ab=4\n']);
    expect(parseText('{}', 0).metadata).toBeNull();
    expect(parseText('{"__metadata__":{}}', 0).metadata!.size).toBe(0);
  });

  const one = `"a":${entry('[1]', 0, 1)}`;
  it.each<[ErrorCode, string, string, number]>([
    ['InvalidHeaderDeserialization', 'nothing', '', 0],
    ['InvalidHeaderDeserialization', 'an array', '[]', 0],
    ['InvalidHeaderDeserialization', 'white space before it', ' {}', 0],
    ['InvalidHeaderDeserialization', 'a newline after it', '{}\n', 0],
    ['InvalidHeaderDeserialization', 'a newline among the spaces', '{} \n ', 0],
    ['InvalidHeaderDeserialization', 'something after it', '{}x', 0],
    ['InvalidHeaderDeserialization', 'null as metadata', '{"__metadata__":null}', 0],
    ['InvalidHeaderDeserialization', 'a number in metadata', '{"__metadata__":{"a":1}}', 0],
    ['InvalidHeaderDeserialization', 'metadata twice', '{"__metadata__":{},"__metadata__":{}}', 0],
    ['InvalidHeaderDeserialization', 'metadata twice, once escaped', '{"__metadata__":{},"\\u005f_metadata__":{}}', 0],
    ['InvalidHeaderDeserialization', 'a metadata key twice', '{"__metadata__":{"a":"","\\u0061":""}}', 0],
    ['InvalidHeaderDeserialization', 'a name twice', `{${one},"b":${entry('[1]', 1, 2)},${one}}`, 2],
    ['InvalidHeaderDeserialization', 'a name twice, once escaped', `{${one},"\\u0061":${entry('[0]', 1, 1)}}`, 1],
    ['InvalidHeaderDeserialization', 'an empty entry', '{"a":{}}', 0],
    ['InvalidHeaderDeserialization', 'an entry that is an array', '{"a":["U8",[1],[0,1]]}', 1],
    ['InvalidHeaderDeserialization', 'no dtype', '{"a":{"shape":[1],"data_offsets":[0,1]}}', 1],
    ['InvalidHeaderDeserialization', 'no shape', '{"a":{"dtype":"U8","data_offsets":[0,1]}}', 1],
    ['InvalidHeaderDeserialization', 'no offsets', '{"a":{"dtype":"U8","shape":[1]}}', 1],
    [
      'InvalidHeaderDeserialization',
      'an unknown field',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}',
      1,
    ],
    [
      'InvalidHeaderDeserialization',
      'a field twice',
      '{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
    ],
    ['InvalidHeaderDeserialization', 'an unknown dtype', `{"a":${entry('[1]', 0, 1, 'U9')}}`, 1],
    ['InvalidHeaderDeserialization', 'a fraction', `{"a":${entry('[1.0]', 0, 1)}}`, 1],
    ['InvalidHeaderDeserialization', 'an exponent', `{"a":${entry('[1e0]', 0, 1)}}`, 1],
    ['InvalidHeaderDeserialization', 'a negative dimension', `{"a":${entry('[-1]', 0, 1)}}`, 1],
    ['InvalidHeaderDeserialization', 'minus zero', `{"a":${entry('[-0]', 0, 0)}}`, 0],
    ['InvalidHeaderDeserialization', 'a leading zero', `{"a":${entry('[01]', 0, 1)}}`, 1],
    ['InvalidHeaderDeserialization', '2^64', `{"a":${entry('[0,18446744073709551616]', 0, 0)}}`, 0],
    ['InvalidHeaderDeserialization', 'a thousand digits', `{"a":${entry(`[${'9'.repeat(1000)}]`, 0, 0)}}`, 0],
    ['InvalidHeaderDeserialization', 'one offset', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}', 1],
    ['InvalidHeaderDeserialization', 'three offsets', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}', 1],
    ['InvalidOffset', 'a hole', `{${one},"b":${entry('[1]', 2, 3)}}`, 3],
    ['InvalidOffset', 'an overlap', `{${one},"b":${entry('[1]', 0, 1)}}`, 1],
    ['InvalidOffset', 'a start after 0', `{"a":${entry('[1]', 1, 2)}}`, 2],
    ['InvalidOffset', 'an end before its begin', `{${one},"b":${entry('[0]', 1, 0)}}`, 1],
    ['ValidationOverflow', 'a product of 2^64', `{"a":${entry('[4294967296,4294967296]', 0, 0)}}`, 0],
    ['ValidationOverflow', 'a product of 2^64 before a zero', `{"a":${entry('[9223372036854775808,4,0]', 0, 0)}}`, 0],
    ['ValidationOverflow', '2^64 bits', `{"a":${entry('[2305843009213693952]', 0, 0)}}`, 0],
    ['MisalignedSlice', 'half a byte', `{"a":${entry('[3]', 0, 1, 'F4')}}`, 1],
    ['TensorInvalidInfo', 'a byte too many', `{"a":${entry('[1]', 0, 2)}}`, 2],
    ['TensorInvalidInfo', 'a byte too few', `{"a":${entry('[3]', 0, 2)}}`, 2],
    [
      'TensorInvalidInfo',
      '2^53 + 1 elements over 2^53 bytes',
      `{"a":${entry('[9007199254740993]', 0, 2 ** 53)}}`,
      2 ** 53,
    ],
    ['MetadataIncompleteBuffer', 'no data', `{${one}}`, 0],
    ['MetadataIncompleteBuffer', 'more data', `{${one}}`, 2],
    ['MetadataIncompleteBuffer', 'data without tensors', '{}', 1],
  ])('%s: %s', (code, _, text, dataBytes) => {
    refusalSync(code, () => parseText(text, dataBytes));
  });

  it.each([
    ['a byte 0xFF in a name', [0x7b, 0x22, 0xff, 0x22, 0x3a, 0x7b]],
    ['a cut sequence after the JSON', [0x7b, 0x7d, 0x20, 0xe2, 0x82]],
    [
      'an encoded surrogate in metadata',
      [...Buffer.from('{"__metadata__":{"a":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}}')],
    ],
  ])('InvalidHeader: %s', (_, bytes) => {
    refusalSync('InvalidHeader', () => parseText(Uint8Array.from(bytes), 0));
  });

  it('with any bytes changed is refused with a code, or is what it says', () => {
    const bytes = fc.constantFrom(...Buffer.from('{}[]":,\\u0a1 e'), 0x0a, 0x80, 0xc3, 0xff);
    const changes = fc.array(
      fc.tuple(fc.nat(), fc.constantFrom<'put' | 'insert' | 'cut'>('put', 'insert', 'cut'), bytes),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(headerContent, changes, (content, list) => {
        const text = [...encodeCanonical(content)];
        for (const [at, how, byte] of list)
          text.splice(at % text.length, how === 'insert' ? 0 : 1, ...(how === 'cut' ? [] : [byte]));
        const dataBytes = content.tensors.at(-1)?.end ?? 0;
        const error = thrownBy(() => {
          const header = parseText(Uint8Array.from(text), dataBytes);
          expect([...header.canonical()]).toEqual([...encodeCanonical(contentOf(header))]);
        });
        if (list.length === 0) expect(error).toBeNull();
      }),
      { numRuns: 3000 },
    );
  });

  it('is refused at once, and shortly, whatever a shape claims', () => {
    const shape = `[${'9223372036854775808,'.repeat(200_000)}0]`;
    const error = refusalSync('ValidationOverflow', () => parseText(`{"a":${entry(shape, 0, 0)}}`, 0));
    expect(error.message.length).toBeLessThan(400);
    const ones = refusalSync('TensorInvalidInfo', () =>
      parseText(`{"a":${entry(`[${'1,'.repeat(200_000)}1]`, 0, 0)}}`, 0),
    );
    expect(ones.message.length).toBeLessThan(400);
  });

  it('names tensor and position in its errors, and cuts hostile names', () => {
    const error = refusalSync('TensorInvalidInfo', () => parseText(`{"${'n'.repeat(1000)}":${entry('[3]', 0, 2)}}`, 2));
    expect(error.tensor).toBe('n'.repeat(1000));
    expect(error.message.length).toBeLessThan(400);
    expect(refusalSync('InvalidHeaderDeserialization', () => parseText('{"a";1}', 0)).position).toBe(4);
  });
});
