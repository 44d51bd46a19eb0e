import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeHeader, padHeader } from '#dist/format/canonical.js';
import { parseCryptoKeys } from '#dist/format/crypto-metadata.js';
import { encodeRecords, scanRecords } from '#dist/format/records.js';
import { WrappedKeysTemplate } from '#dist/format/wrapped-keys.js';
import { wrappedDekBytes } from '#dist/format/vocabulary.js';
import { entriesOf, openHeader, recordTexts, text } from './vectors.js';
import { parseText, trickyString } from './headers.js';
import { refusalSync } from '../support/errors.js';

const NAMES = ['wrapped_key', 'key_iv', 'key_tag'] as const;

/** Rows of wrapped keys as three base64 texts each. */
function base64Rows(rows: Uint8Array, stride: number): string[][] {
  return Array.from({ length: rows.length / stride }, (_, i) => {
    const row = Buffer.from(rows.subarray(i * stride, (i + 1) * stride));
    const key = stride - 28;
    return [row.subarray(0, key), row.subarray(key, key + 12), row.subarray(key + 12)].map((part) =>
      part.toString('base64'),
    );
  });
}

function rowsOf(count: number, stride: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length: count * stride }, (_, i) => seed + i * 7 + (i >> 8));
}

describe('WrappedKeysTemplate', () => {
  it('replaces the three fields of each record, in the order of the text, and not a character besides', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          trickyString.filter((name) => name !== '__metadata__'),
          { maxLength: 6 },
        ),
        fc.constantFrom('aes128gcm' as const, 'aes256gcm' as const, 'chacha20poly1305' as const),
        fc.constantFrom<1 | 2>(1, 2),
        fc.nat(255),
        (names, algorithm, version, seed) => {
          const stride = wrappedDekBytes(algorithm);
          const packed = names.map((name, i) => ({ name, bytes: rowsOf(1, stride + 12 + 16, seed + i) }));
          const before = encodeRecords(packed, { version, enc: { algorithm, kid: null, jku: null } });
          const template = new WrappedKeysTemplate(before, algorithm);
          expect(template.count).toBe(names.length);
          const rows = rowsOf(names.length, stride, seed + 1);
          const after = template.fill(rows);

          const expected = base64Rows(rows, stride);
          const old = JSON.parse(before) as Record<string, Record<string, string>>;
          const header = parseText(
            `{${[
              `"__metadata__":{"__encryption__":${JSON.stringify(after)}}`,
              ...names.map((name) => `${JSON.stringify(name)}:{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`),
            ].join(',')}}`,
            0,
          );
          const scan = scanRecords(after, header, version);
          const found = recordTexts(scan) as [number, ...string[]][];
          expect(found.map((row) => row.slice(1, 4))).toEqual(expected);
          for (const [tensor, ...fields] of found) {
            const record = old[header.names[tensor]!]!;
            expect(fields.slice(3)).toEqual(version === 1 ? [record.iv, record.tag] : [record.base_iv, record.tags]);
          }
          // Twice the same: what was filled in before leaves no trace.
          template.fill(rowsOf(names.length, stride, seed + 9));
          expect(template.fill(rows)).toBe(after);
          expect(after.length).toBe(before.length);
        },
      ),
    );
  });

  it('keeps white space, the order of fields, escapes and fields of other versions of the library', () => {
    const key = (n: number): string => Buffer.alloc(n, 0xff).toString('base64');
    const escaped = key(16).replaceAll('/', '\\/');
    const rest = `"extra":{"wrapped_key":[1,2.50,"x"],"key_iv":null} , "tags":"AAAA","base_iv":"B\\/BB"`;
    const before = `{ "a" :{"key_tag" : "${escaped}",${rest},"wrapped\\u005fkey":"${key(32)}","key_iv":"${key(12)}"},\n"b":{"wrapped_key":"${key(32)}","key_iv":"${key(12)}","key_tag":"${escaped}"} }`;
    const rows = rowsOf(2, 60);
    const [first, second] = base64Rows(rows, 60);
    expect(new WrappedKeysTemplate(before, 'aes256gcm').fill(rows)).toBe(
      `{ "a" :{"key_tag" : "${first![2]!}",${rest},"wrapped\\u005fkey":"${first![0]!}","key_iv":"${first![1]!}"},\n"b":{"wrapped_key":"${second![0]!}","key_iv":"${second![1]!}","key_tag":"${second![2]!}"} }`,
    );
  });

  it('gives each vector back when it is filled with what stood there', () => {
    let seen = 0;
    for (const entry of entriesOf('vectors.json', 'vectors')) {
      const header = openHeader(text(entry, 'file'));
      const encryption = header.metadata?.get('__encryption__');
      if (encryption === undefined) continue;
      const { algorithm } = parseCryptoKeys(header.metadata!.get('__crypto_keys__')!).enc;
      const records = JSON.parse(encryption) as Record<string, Record<(typeof NAMES)[number], string>>;
      const rows = Object.values(records).flatMap((record) => NAMES.map((name) => Buffer.from(record[name], 'base64')));
      // JSON.parse moves integer-like names to the front.
      if (Object.keys(records).some((name) => /^\d+$/.test(name))) continue;
      expect(new WrappedKeysTemplate(encryption, algorithm).fill(Buffer.concat(rows))).toBe(encryption);
      seen++;
    }
    expect(seen).toBeGreaterThan(100);
  });

  it('takes as many rows as there are records', () => {
    const template = new WrappedKeysTemplate('{}', 'aes128gcm');
    expect(template.count).toBe(0);
    expect(template.fill(new Uint8Array(0))).toBe('{}');
    expect(() => template.fill(new Uint8Array(44))).toThrow(/44 bytes/);
  });
});

describe('padHeader', () => {
  const content = { metadata: new Map([['a', 'b']]), tensors: [] };
  const length = encodeHeader(content, { align: 8 }).length;

  it('fits where there is room, and pads as usual where there is not', () => {
    const tight = new TextEncoder().encode('{"__metadata__":{"a":"b"}}').length + 8;
    for (const fit of [tight, tight + 1, length, 4096, 5000]) {
      expect(encodeHeader(content, { fit })).toHaveLength(fit);
    }
    expect(encodeHeader(content, { fit: tight - 1, slack: 1024 })).toHaveLength(4096);
    expect(encodeHeader(content, { fit: 0, slack: 4096 })).toHaveLength(8192);
  });

  it('takes padding off before it puts some on', () => {
    const padded = encodeHeader(content, { fit: 999 });
    expect(padHeader(padded.subarray(8), { align: 8 })).toEqual(encodeHeader(content, { align: 8 }));
    expect(new DataView(padded.buffer).getBigUint64(0, true)).toBe(991n);
  });

  it('refuses what no header may be', () => {
    refusalSync('HeaderTooLarge', () => encodeHeader(content, { fit: 100_000_009 }));
    expect(encodeHeader(content, { fit: 100_000_008 })).toHaveLength(100_000_008);
  });
});
