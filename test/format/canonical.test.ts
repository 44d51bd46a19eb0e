import fc from 'fast-check';
import { runSync } from '#dist/twin.js';
import { describe, expect, it } from 'vitest';
import { compareUtf8, encodeCanonical, encodeHeader, type HeaderContent } from '#dist/format/canonical.js';
import { scanHeader } from '#dist/format/header-scan.js';
import { headerContent, parseText, trickyString } from './headers.js';
import { refusalSync } from '../support/errors.js';

const decode = (bytes: Uint8Array): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

function canonicalText(metadata: HeaderContent['metadata'], tensors: HeaderContent['tensors']): string {
  return decode(encodeCanonical({ metadata, tensors }));
}

const content: HeaderContent = {
  metadata: new Map([
    ['z', '1'],
    ['__signature__', 'c2ln'],
    ['\u{1f600}', 'astral'],
    ['\uffff', 'last of the basic plane'],
    ['a', '"\\/\b\f\n\r\t\u0000\u001f\u007f\u2028'],
  ]),
  tensors: [
    { name: 'w"', dtype: 'F32', shape: [2, 3], begin: 0, end: 24 },
    { name: '', dtype: 'U8', shape: [], begin: 24, end: 25 },
    { name: 'e', dtype: 'I64', shape: [2n ** 63n, 0], begin: 25, end: 25 },
  ],
};
const TENSORS =
  '"w\\"":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"":{"dtype":"U8","shape":[],"data_offsets":[24,25]},' +
  '"e":{"dtype":"I64","shape":[9223372036854775808,0],"data_offsets":[25,25]}';
const VALUE_OF_A = '"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u007f\u2028"';

describe('the canonical text', () => {
  it('is compact and sorted by UTF-8, without the signature (FORMAT.md §2)', () => {
    expect(canonicalText(content.metadata, content.tensors)).toBe(
      `{"__metadata__":{"a":${VALUE_OF_A},"z":"1","\uffff":"last of the basic plane","\u{1f600}":"astral"},${TENSORS}}`,
    );
    expect(canonicalText(null, [])).toBe('{}');
    expect(canonicalText(new Map([['__signature__', 'x']]), [])).toBe('{"__metadata__":{}}');
  });

  it('escapes as JSON.stringify does', () => {
    fc.assert(
      fc.property(fc.oneof(trickyString, fc.string({ unit: 'binary', minLength: 250, maxLength: 300 })), (value) => {
        expect(canonicalText(new Map([['k', value]]), [])).toBe(`{"__metadata__":{"k":${JSON.stringify(value)}}}`);
      }),
    );
  });

  it('writes any safe integer in decimal', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (n) => {
        const text = canonicalText(null, [{ name: 'a', dtype: 'U8', shape: [n], begin: n, end: n }]);
        expect(text).toBe(`{"a":{"dtype":"U8","shape":[${n}],"data_offsets":[${n},${n}]}}`);
      }),
      { examples: [[0], [9], [10], [99], [100], [999_999_999], [1_000_000_000], [Number.MAX_SAFE_INTEGER]] },
    );
  });
});

describe('a header as it is written', () => {
  it.each([
    [8, 0],
    [8, 1000],
    [4096, 0],
    [4096, 1],
    [4096, 4096],
  ] as const)('aligned to %d with %d bytes of slack', (align, slack) => {
    const file = encodeHeader(content, { align, slack });
    expect(file.length % align).toBe(0);
    const length = new DataView(file.buffer).getBigUint64(0, true);
    expect(length).toBe(BigInt(file.length - 8));
    const text = decode(file.subarray(8));
    const json = text.trimEnd();
    expect(text.slice(json.length)).toMatch(/^ *$/);
    const spaces = file.length - 8 - new TextEncoder().encode(json).length;
    expect(spaces).toBeGreaterThanOrEqual(slack);
    expect(spaces).toBeLessThan(slack + align);
    expect(json).toBe(
      `{"__metadata__":{"__signature__":"c2ln","a":${VALUE_OF_A},"z":"1","\uffff":"last of the basic plane","\u{1f600}":"astral"},${TENSORS}}`,
    );
  });

  it('is HeaderTooLarge above 100,000,000 bytes', () => {
    const metadata = new Map([['a', 'x'.repeat(99_999_990)]]);
    refusalSync('HeaderTooLarge', () => encodeHeader({ metadata, tensors: [] }, { align: 8 }));
  });
});

describe('the signed bytes of a header', () => {
  const dataBytes = ({ tensors }: HeaderContent): number => tensors.at(-1)?.end ?? 0;

  it('are cut out of what the writer wrote, and equal to what is built anew', () => {
    fc.assert(
      fc.property(headerContent, (written) => {
        const text = encodeHeader(written, { align: 8, slack: 3 }).subarray(8);
        expect(runSync(scanHeader(text)).cut).not.toBeNull();
        expect(decode(parseText(text, dataBytes(written)).canonical())).toBe(decode(encodeCanonical(written)));
      }),
    );
  });

  it('are the same however the header is written', () => {
    const spellings: ((text: string) => string)[] = [
      (text) => JSON.stringify(JSON.parse(text), null, 2),
      (text) => text.replace('"__metadata__"', '"__m\\u0065tadata__"'),
      (text) => text.replace(/"dtype":("[^"]*"),"shape":(\[[^\]]*\])/, '"shape":$2,"dtype":$1'),
      (text) => text.replace('"b":"2"', '"\\u0062":"2"'),
      (text) => text.replace('/', '\\/'),
      (text) => text.replace('"b":"2","c":"/"', '"c":"/","b":"2"'),
      (text) => text.replace(/^\{("__metadata__":\{.*?\}),(.*)\}$/, '{$2,$1}'),
      (text) => text.replace('\\u001f', '\\u001F'),
      (text) => text.replace('\\n', '\\u000a'),
      (text) => text.replace(/("x":\{[^}]*\}),("y":\{[^}]*\})/, '$2,$1'),
    ];
    const written: HeaderContent = {
      metadata: new Map([
        ['b', '2'],
        ['c', '/'],
        ['d', '\n\u001f'],
      ]),
      tensors: [
        { name: 'x', dtype: 'U8', shape: [2], begin: 0, end: 2 },
        { name: 'y', dtype: 'U8', shape: [1], begin: 2, end: 3 },
      ],
    };
    const canonical = canonicalText(written.metadata, written.tensors);
    for (const spell of spellings) {
      const text = spell(canonical);
      expect(text, String(spell)).not.toBe(canonical);
      expect(decode(parseText(text, 3).canonical()), text).toBe(canonical);
    }
  });

  it.each([
    ['first', '{"__metadata__":{"__signature__":"x","a":"1","b":"2"}}', '{"__metadata__":{"a":"1","b":"2"}}'],
    ['in the middle', '{"__metadata__":{"A":"1","__signature__":"x","b":"2"}}', '{"__metadata__":{"A":"1","b":"2"}}'],
    ['last', '{"__metadata__":{"A":"1","B":"2","__signature__":"x"}}', '{"__metadata__":{"A":"1","B":"2"}}'],
    ['alone', '{"__metadata__":{"__signature__":"x"}}', '{"__metadata__":{}}'],
    ['not there', '{"__metadata__":{"a":"1"}}', '{"__metadata__":{"a":"1"}}'],
    ['a tensor', '{"__signature__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', undefined],
  ])('lack the signature, which stands %s', (_, text, expected) => {
    expect(runSync(scanHeader(new TextEncoder().encode(text))).cut).not.toBeNull();
    expect(decode(parseText(text, 0).canonical())).toBe(expected ?? text);
  });
});

describe('compareUtf8', () => {
  it('orders as the bytes do', () => {
    fc.assert(
      fc.property(trickyString, trickyString, trickyString, (prefix, a, b) => {
        const [x, y] = [prefix + a, prefix + b];
        expect(Math.sign(compareUtf8(x, y))).toBe(Buffer.compare(Buffer.from(x), Buffer.from(y)));
      }),
      {
        examples: [
          ['', '\uffff', '\u{10000}'],
          ['', '\ue000', '\u{10ffff}'],
          ['', '\ud7ff', '\u{10000}'],
          ['', '', 'a'],
        ],
      },
    );
  });
});
