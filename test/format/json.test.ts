import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonNumber, JsonRange, parseJsonDocument, type JsonValue } from '#dist/format/json.js';
import { refusalSync, thrownBy } from '../support/errors.js';

/** As JSON.parse would give it, where that loses nothing. */
function simple(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(simple);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, simple(item)]));
  if (value instanceof JsonNumber) return Number(value.text);
  return typeof value === 'bigint' ? Number(value) : value;
}

describe('accepts', () => {
  it.each<[string, JsonValue]>([
    ['null', null],
    [' \t\r\n true \n', true],
    ['false', false],
    ['0', 0],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['18446744073709551615', 18446744073709551615n],
    ['18446744073709551616', new JsonNumber('18446744073709551616')],
    ['-0', new JsonNumber('-0')],
    ['-12', new JsonNumber('-12')],
    ['1.0', new JsonNumber('1.0')],
    ['1e400', new JsonNumber('1e400')],
    ['1E-2', new JsonNumber('1E-2')],
    ['"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041"', '"\\/\b\f\n\r\tA'],
    ['"\\ud83d\\uDE00"', '\u{1f600}'],
    ['"é\u{1f600}\u007f\u2028\ufeff"', 'é\u{1f600}\u007f\u2028\ufeff'],
    ['[]', []],
    ['[ 1 , [ ] ]', [1, []]],
    ['{}', new Map()],
  ])('%s', (text, value) => {
    expect(parseJsonDocument(text)).toEqual(value);
    expect(parseJsonDocument(new TextEncoder().encode(text))).toEqual(value);
  });

  it('keys that objects have trouble with, in the order of the text', () => {
    const value = parseJsonDocument('{"b":1,"10":2,"2":3,"__proto__":4,"":5,"constructor":6}');
    expect([...(value as Map<string, JsonValue>)]).toEqual([
      ['b', 1],
      ['10', 2],
      ['2', 3],
      ['__proto__', 4],
      ['', 5],
      ['constructor', 6],
    ]);
  });

  it('127 levels, and not 128', () => {
    expect(thrownBy(() => parseJsonDocument('['.repeat(127) + ']'.repeat(127)))).toBeNull();
    expect(thrownBy(() => parseJsonDocument('{"a":['.repeat(63) + '1' + ']}'.repeat(63)))).toBeNull();
    refusalSync('InvalidCryptoMetadata', () => parseJsonDocument('['.repeat(128) + ']'.repeat(128)));
    refusalSync('InvalidCryptoMetadata', () => parseJsonDocument('{"a":'.repeat(128) + '1' + '}'.repeat(128)));
    refusalSync('InvalidCryptoMetadata', () => parseJsonDocument('['.repeat(1_000_000)));
  });

  it('whatever JSON.stringify writes, as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), fc.nat(3), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(simple(parseJsonDocument(text))).toEqual(JSON.parse(text));
        expect(simple(parseJsonDocument(new TextEncoder().encode(text)))).toEqual(JSON.parse(text));
      }),
    );
  });
});

describe('refuses', () => {
  it.each([
    ['nothing', ''],
    ['white space alone', ' '],
    ['a byte order mark', '\ufeff{}'],
    ['white space that JSON does not have', '\u00a0{}'],
    ['a form feed', '\f{}'],
    ['something after the value', '{}x'],
    ['a second value', '{}{}'],
    ['an unclosed object', '{"a":1'],
    ['an unclosed array', '[1'],
    ['an unclosed string', '"a'],
    ['a string that ends in an escape', '"a\\'],
    ['a trailing comma in an object', '{"a":1,}'],
    ['a trailing comma in an array', '[1,]'],
    ['a leading comma', '[,1]'],
    ['no comma', '[1 2]'],
    ['no colon', '{"a" 1}'],
    ['two colons', '{"a"::1}'],
    ['a key without quotes', '{a:1}'],
    ['a number as a key', '{1:1}'],
    ['single quotes', "{'a':1}"],
    ['a comment', '{/**/}'],
    ['brackets that do not match', '[1}'],
    ['True', 'True'],
    ['nul', 'nul'],
    ['nullx', 'nullx'],
    ['undefined', 'undefined'],
    ['NaN', 'NaN'],
    ['Infinity', '-Infinity'],
    ['a plus sign', '+1'],
    ['a leading zero', '01'],
    ['a leading zero after a sign', '-01'],
    ['a lone minus', '-'],
    ['a fraction without digits', '1.'],
    ['a fraction without a whole', '.5'],
    ['an exponent without digits', '1e'],
    ['two fractions', '1.2.3'],
    ['a hexadecimal number', '0x10'],
    ['a raw newline in a string', '"a\nb"'],
    ['a raw NUL in a string', '"\0"'],
    ['an escape that JSON does not have', '"\\x41"'],
    ['a cut unicode escape', '"\\u004"'],
    ['a unicode escape with other digits', '"\\u004g"'],
    ['a lone high surrogate', '"\\ud800"'],
    ['a lone low surrogate', '"\\udc00"'],
    ['two high surrogates', '"\\ud800\\ud800"'],
    ['a high surrogate before another escape', '"\\ud800\\n"'],
    ['a key twice', '{"a":1,"a":1}'],
    ['a key twice, once with an escape', '{"a":1,"\\u0061":1}'],
    ['a key twice, deep inside', '[{"x":{"a":1,"b":2,"a":3}}]'],
  ])('%s', (_, text) => {
    refusalSync('InvalidCryptoMetadata', () => parseJsonDocument(text));
    refusalSync('InvalidCryptoMetadata', () => parseJsonDocument(new TextEncoder().encode(text)));
  });

  it.each([
    ['a byte 0xFF', [0x22, 0xff, 0x22]],
    ['an overlong sequence', [0x22, 0xc0, 0xaf, 0x22]],
    ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a cut sequence', [0x22, 0xe2, 0x82, 0x22]],
    ['a code point above U+10FFFF', [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]],
    ['such a byte in a key', [0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]],
    ['such a byte beside an escape', [0x22, 0x5c, 0x6e, 0xff, 0x22]],
  ])('what is not UTF-8: %s', (_, bytes) => {
    refusalSync('InvalidKey', () => parseJsonDocument(Uint8Array.from(bytes), { code: 'InvalidKey' }));
  });

  it('what JSON.parse refuses, and of the rest only duplicate keys', () => {
    const nearlyJson = fc.string({
      unit: fc.constantFrom(...Array.from('{}[]":,\\ntu0019.-eE a'), 'true', '\\ud83d', '\\ude00'),
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        fc.oneof(
          nearlyJson,
          nearlyJson.map((inner) => `[${inner}]`),
          nearlyJson.map((inner) => `"${inner}"`),
        ),
        (text) => {
          const refused = thrownBy(() => parseJsonDocument(text)) !== null;
          let parsed: unknown;
          try {
            parsed = JSON.parse(text);
          } catch {
            expect(refused, text).toBe(true);
            return;
          }
          const hasLoneSurrogate = [parsed].flat(Infinity).some((value) => /\p{Surrogate}/u.test(String(value)));
          const hasObject = text.includes('{');
          if (!hasObject) expect(refused, text).toBe(hasLoneSurrogate);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('with position, and with what stands there', () => {
    const error = refusalSync('InvalidIndex', () =>
      parseJsonDocument('{"a":1;}', { code: 'InvalidIndex', name: 'the index' }),
    );
    expect(error).toMatchObject({ position: 6, found: "';'", expected: "',' or '}'" });
    expect(error.message).toContain('the index');
  });
});

describe('raw strings', () => {
  const rawStrings = new Set(['k', 'd']);
  const parse = (text: string): JsonValue => parseJsonDocument(new TextEncoder().encode(text), { rawStrings });

  it('come back as the range of their contents, at any depth', () => {
    const text = '{"kid":"é","keys":[{"k":"c2VjcmV0","x":"c2VjcmV0"},{"d":""}]}';
    const [first, second] = (parse(text) as Map<string, JsonValue>).get('keys') as Map<string, JsonValue>[];
    const range = first!.get('k') as JsonRange;
    expect(range).toBeInstanceOf(JsonRange);
    expect(Buffer.from(text).subarray(range.start, range.end).toString()).toBe('c2VjcmV0');
    expect(first!.get('x')).toBe('c2VjcmV0');
    const empty = second!.get('d') as JsonRange;
    expect(empty.end - empty.start).toBe(0);
  });

  it('do not change what is not a string', () => {
    expect(parse('{"k":null,"d":{"x":[1]}}')).toEqual(
      new Map<string, JsonValue>([
        ['k', null],
        ['d', new Map([['x', [1]]])],
      ]),
    );
  });

  it.each(['{"k":"s\u00e9cret"}', '{"k":"secret\\n"}', '{"k":"secret\\/"}', '{"k":"secret\u007f"}'])(
    'are refused where base64 could not stand: %s',
    (text) => {
      refusalSync('InvalidCryptoMetadata', () => parse(text));
    },
  );

  it.each(['{"k":"secret"s}', '{"k":secret}', '{"k":"secret', '{"k":"secret\n"}', '{"k":"secret","k":"secret"}'])(
    'show nothing in errors: %s',
    (text) => {
      const error = refusalSync('InvalidCryptoMetadata', () => parse(text));
      expect(error.message + String(error.found)).not.toMatch(/secret|'s'/);
    },
  );
});
