import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRecords, scanRecords } from '#dist/format/records.js';
import type { JsonText } from '#dist/format/json-text.js';
import type { Header } from '#dist/format/header.js';
import { parseText, trickyString } from './headers.js';
import { refusalSync } from '../support/errors.js';
import { recordTexts } from './vectors.js';

const FIELDS = {
  1: ['wrapped_key', 'key_iv', 'key_tag', 'iv', 'tag'],
  2: ['wrapped_key', 'key_iv', 'key_tag', 'base_iv', 'tags'],
} as const;

/** A header of empty tensors with these names and this `__encryption__`. */
function headerOf(names: readonly string[], encryption = '{}'): Header {
  const tensors = names.map((name) => `${JSON.stringify(name)}:{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`);
  return parseText(`{${[`"__metadata__":{"__encryption__":${JSON.stringify(encryption)}}`, ...tensors].join(',')}}`, 0);
}

function standing(header: Header): JsonText {
  return header.metadata!.getJson('__encryption__')!;
}

describe('records', () => {
  const packed = fc.record({
    version: fc.constantFrom<1 | 2>(1, 2),
    algorithm: fc.constantFrom('aes128gcm' as const, 'aes256gcm' as const, 'chacha20poly1305' as const),
    names: fc.uniqueArray(
      trickyString.filter((name) => name !== '__metadata__'),
      { maxLength: 6 },
    ),
    tags: fc.nat(4),
    seed: fc.nat(255),
  });

  it('are found again where they were written', () => {
    fc.assert(
      fc.property(packed, ({ version, algorithm, names, tags, seed }) => {
        const lengths = [algorithm === 'aes128gcm' ? 16 : 32, 12, 16, 12, 16 * (1 + tags)];
        const records = names.map((name, i) => ({
          name,
          bytes: Uint8Array.from({ length: lengths.reduce((a, b) => a + b) }, (_, k) => seed + i * 37 + k * 11),
        }));
        const text = encodeRecords(records, { version, enc: { algorithm, kid: null, jku: null } });
        const header = headerOf(names, text);
        const scan = scanRecords(standing(header), header, version);

        const sorted = [...records].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
        expect(Object.keys(JSON.parse(text) as object).sort()).toEqual(names.slice().sort());
        expect(recordTexts(scan)).toEqual(
          sorted.map(({ name, bytes }) => {
            let at = 0;
            return [
              header.indexOf(name),
              ...lengths.map((length) => Buffer.from(bytes.slice(at, (at += length))).toString('base64')),
            ];
          }),
        );
        expect(recordTexts(scanRecords(text, header, version))).toEqual(recordTexts(scan));

        const zeroed = records.map(({ name, bytes }) => ({ name, bytes: new Uint8Array(bytes.length) }));
        expect(encodeRecords(zeroed, { version, enc: { algorithm, kid: null, jku: null } })).toHaveLength(text.length);
      }),
    );
  });

  it('are written with the fields in the order of the reference', () => {
    const record = { name: 'w', bytes: new Uint8Array(16 + 12 + 16 + 12 + 16) };
    const enc = { algorithm: 'aes128gcm' as const, kid: null, jku: null };
    for (const version of [1, 2] as const) {
      const document = JSON.parse(encodeRecords([record], { version, enc })) as { w: Record<string, string> };
      expect(Object.keys(document.w)).toEqual(FIELDS[version]);
    }
    expect(encodeRecords([], { version: 2, enc })).toBe('{}');
  });

  const good = '"wrapped_key":"AA==","key_iv":"AQ==","key_tag":"Ag==","base_iv":"Aw==","tags":"BA=="';
  const texts = [0, 'AA==', 'AQ==', 'Ag==', 'Aw==', 'BA=='];

  it.each([
    ['compact', `{"w":{${good}}}`],
    ['with white space', ` {\n"w" : { ${good.replaceAll(':', ' : ').replaceAll(',', '\t,\r\n')} } } `],
    [
      'in another order',
      `{"w":{"tags":"BA==","key_tag":"Ag==","base_iv":"Aw==","wrapped_key":"AA==","key_iv":"AQ=="}}`,
    ],
    ['with escapes in a name', `{"\\u0077":{${good}}}`],
    ['with escapes in a field', `{"w":{${good.replace('key_iv', 'key\\u005fiv')}}}`],
    ['with escapes in a value', `{"w":{${good.replace('AA==', 'A\\u0041=\\u003d').replace('BA==', '\\u0042A==')}}}`],
    ['with fields of the other version that are null', `{"w":{"iv":null,${good},"tag":null}}`],
    ['with fields that nobody knows', `{"w":{${good},"enc_algo":"x","more":{"a":[1,{"b":null}]},"":1}}`],
  ])('are found %s', (_, text) => {
    const header = headerOf(['w'], text);
    expect(recordTexts(scanRecords(standing(header), header, 2))).toEqual([texts]);
    expect(recordTexts(scanRecords(text, header, 2))).toEqual([texts]);
  });

  it('are found where slashes are escaped in values of the usual length', () => {
    const value = (length: number, escaped: boolean): string =>
      (escaped ? '/' : 'A').repeat(length).replaceAll('/', '\\/');
    const record = (escaped: boolean): string =>
      `{"wrapped_key":"${value(44, escaped)}","key_iv":"${value(16, escaped)}","key_tag":"${value(24, escaped)}","base_iv":"${value(16, escaped)}","tags":"${value(24, escaped)}"}`;
    const text = `{"a":${record(false)},"b":${record(true)},"c":${record(false)}}`;
    const header = headerOf(['a', 'b', 'c'], text);
    const expected = ['A', '/', 'A'].map((c, i) => [i, ...[44, 16, 24, 16, 24].map((length) => c.repeat(length))]);
    expect(recordTexts(scanRecords(standing(header), header, 2))).toEqual(expected);
  });

  it.each([
    ['no object', '[]'],
    ['nothing', ''],
    ['something after the object', '{}x'],
    ['a record for a tensor that is not there', `{"v":{${good}}}`],
    ['a record for the metadata', `{"__metadata__":{${good}}}`],
    ['a record twice', `{"w":{${good}},"w":{${good}}}`],
    ['a record twice, once escaped', `{"w":{${good}},"\\u0077":{${good}}}`],
    ['a record that is null', '{"w":null}'],
    ['a record that is an array', '{"w":[]}'],
    ['an empty record', '{"w":{}}'],
    ['a field twice', `{"w":{${good},"tags":"BA=="}}`],
    ['a field twice, once escaped', `{"w":{${good},"\\u0074ags":"BA=="}}`],
    ['a field of the other version twice', `{"w":{"iv":null,${good},"iv":null}}`],
    ['an unknown field twice', `{"w":{"x":1,${good},"x":1}}`],
    ['a key twice in an unknown field', `{"w":{"x":{"a":1,"a":1},${good}}}`],
    ['a field of the other version', `{"w":{"iv":"",${good}}}`],
    ['a trailing comma', `{"w":{${good},}}`],
    ['a raw newline', `{"w":{${good.replace('AA==', 'AA\n==')}}}`],
    ...FIELDS[2].flatMap((field) => {
      const pattern = new RegExp(`"${field}":"[^"]*"`);
      return [
        [`no ${field}`, `{"w":{${good.replace(pattern, '"x":1')}}}`],
        [`null as ${field}`, `{"w":{${good.replace(pattern, `"${field}":null`)}}}`],
        [`a number as ${field}`, `{"w":{${good.replace(pattern, `"${field}":1`)}}}`],
      ] as [string, string][];
    }),
  ])('are refused with %s', (_, text) => {
    const header = headerOf(['w'], text);
    refusalSync('InvalidCryptoMetadata', () => scanRecords(standing(header), header, 2));
    refusalSync('InvalidCryptoMetadata', () => scanRecords(text, header, 2));
  });

  it('are refused with tensor and field named', () => {
    const header = headerOf(['w']);
    const error = refusalSync('InvalidCryptoMetadata', () =>
      scanRecords(`{"w":{${good.replace('"tags"', '"tag"')}}}`, header, 2),
    );
    expect(error.tensor).toBe('w');
    expect(error.message).toMatch(/"tag"/);
    expect(refusalSync('InvalidCryptoMetadata', () => scanRecords('{"w":{}}', header, 1)).message).toMatch(
      /"wrapped_key"/,
    );
  });
});
