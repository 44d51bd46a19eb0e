import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '#dist/errors.js';
import { encodeIntegrity, scanIntegrity } from '#dist/format/integrity.js';
import { parseText, trickyString } from './headers.js';
import { refusalSync } from '../support/errors.js';

const headerOf = (names: readonly string[]) =>
  parseText(
    `{${names.map((name) => `${JSON.stringify(name)}:{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`).join(',')}}`,
    0,
  );
const none = (): boolean => false;

describe('__integrity__', () => {
  it('comes back as it was written', () => {
    const names = fc.uniqueArray(
      trickyString.filter((name) => name !== '__metadata__'),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(
        names,
        fc.constantFrom('sha256' as const, 'blake3' as const),
        fc.integer({ min: 1, max: 2 ** 31 }),
        (list, algorithm, chunkSize) => {
          const tensors = list.map((name, i) => ({ name, bytes: new Uint8Array(32 * i).fill(i) }));
          const text = encodeIntegrity({ algorithm, chunkSize, tensors });
          const header = headerOf(list);
          const scan = scanIntegrity(text, header, none);
          expect(scan).toMatchObject({ algorithm, chunkSize });
          const found = new Map(
            Array.from({ length: scan.records.length / 3 }, (_, row) => {
              const [tensor, start, end] = scan.records.subarray(row * 3, row * 3 + 3);
              return [header.names[tensor!], Buffer.from(scan.document.subarray(start, end)).toString()];
            }),
          );
          expect(found).toEqual(
            new Map(tensors.map(({ name, bytes }) => [name, Buffer.from(bytes).toString('base64')])),
          );
        },
      ),
    );
  });

  it('lists names in UTF-8 order', () => {
    const tensors = ['b', '\u{1f600}', '\uffff', 'a'].map((name) => ({ name, bytes: new Uint8Array(0) }));
    expect(encodeIntegrity({ algorithm: 'sha256', chunkSize: 2, tensors })).toBe(
      '{"alg":"sha256","chunk_size":2,"tensors":{"a":"","b":"","\uffff":"","\u{1f600}":""}}',
    );
  });

  it('takes any order of keys, those that it does not know, and any chunk size', () => {
    const scan = scanIntegrity(
      '{"more":[{}],"tensors":{"a":"AA=="},"chunk_size":18446744073709551615,"alg":"blake3"}',
      headerOf(['a']),
      none,
    );
    expect(scan).toMatchObject({ algorithm: 'blake3', chunkSize: 2 ** 53 - 1 });
    expect([...scan.records]).toHaveLength(3);
  });

  it.each<[ErrorCode, string, string]>([
    ['UnsupportedAlgorithm', 'another digest', '{"alg":"sha1","chunk_size":1,"tensors":{"a":""}}'],
    ['UnsupportedAlgorithm', 'no digest', '{"chunk_size":1,"tensors":{"a":""}}'],
    ['InvalidCryptoMetadata', 'no chunk size', '{"alg":"sha256","tensors":{"a":""}}'],
    ['InvalidCryptoMetadata', 'a chunk size of 0', '{"alg":"sha256","chunk_size":0,"tensors":{"a":""}}'],
    ['InvalidCryptoMetadata', 'a chunk size of 1.0', '{"alg":"sha256","chunk_size":1.0,"tensors":{"a":""}}'],
    ['InvalidCryptoMetadata', 'no tensors', '{"alg":"sha256","chunk_size":1}'],
    ['InvalidCryptoMetadata', 'an array of tensors', '{"alg":"sha256","chunk_size":1,"tensors":["a"]}'],
    [
      'InvalidCryptoMetadata',
      'a tensor that is not there',
      '{"alg":"sha256","chunk_size":1,"tensors":{"a":"","x":""}}',
    ],
    ['InvalidCryptoMetadata', 'an encrypted tensor', '{"alg":"sha256","chunk_size":1,"tensors":{"a":"","b":""}}'],
    ['InvalidCryptoMetadata', 'a tensor twice', '{"alg":"sha256","chunk_size":1,"tensors":{"a":"","\\u0061":""}}'],
    ['InvalidCryptoMetadata', 'tensors twice', '{"alg":"sha256","chunk_size":1,"tensors":{"a":""},"tensors":{}}'],
    ['InvalidCryptoMetadata', 'a tensor that is not listed', '{"alg":"sha256","chunk_size":1,"tensors":{}}'],
    ['InvalidCryptoMetadata', 'a digest that is a number', '{"alg":"sha256","chunk_size":1,"tensors":{"a":1}}'],
    ['InvalidCryptoMetadata', 'an escape in a digest', '{"alg":"sha256","chunk_size":1,"tensors":{"a":"A\\u0041=="}}'],
    ['InvalidCryptoMetadata', 'something after it', '{"alg":"sha256","chunk_size":1,"tensors":{"a":""}} x'],
  ])('is refused with %s for %s', (code, _, text) => {
    refusalSync(code, () => scanIntegrity(text, headerOf(['a', 'b']), (i) => i === 1));
  });
});
