import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64Length, decodeBase64, encodeBase64 } from '#dist/format/base64.js';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('base64', () => {
  it.each([
    ['', ''],
    ['f', 'Zg=='],
    ['fo', 'Zm8='],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg=='],
    ['fooba', 'Zm9vYmE='],
    ['foobar', 'Zm9vYmFy'],
  ])('RFC 4648 §10: %j is %j', (bytes, text) => {
    expect(encodeBase64(ascii(bytes))).toBe(text);
    expect(decodeBase64(text)).toEqual(ascii(bytes));
  });

  it('agrees with Buffer on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        expect(encodeBase64(bytes)).toBe(text);
        expect(base64Length(bytes.length)).toBe(text.length);
        expect(decodeBase64(text)).toEqual(bytes);
      }),
    );
  });

  it.each([
    ['no padding', 'Zg'],
    ['half of the padding', 'Zg='],
    ['padding too much', 'Zm9v===='],
    ['padding alone', '===='],
    ['padding in the middle', 'Zg==Zm9v'],
    ['three of padding', 'Z==='],
    ['trailing bits before two of padding', 'Zh=='],
    ['trailing bits before one of padding', 'Zm9='],
    ['the URL-safe alphabet', '-_-_'],
    ['a space', 'Zm 9v==='],
    ['a newline at the end', 'Zm9v\n'],
    ['a character above the table', 'Zm9\u0176'],
    ['a NUL', 'Zm9\0'],
  ])('refuses %s', (_, text) => {
    expect(decodeBase64(text)).toBeNull();
  });

  it('accepts only the one text that encoding gives', () => {
    const nearlyBase64 = fc.string({
      unit: fc.constantFrom('A', 'Q', 'g', 'w', '+', '/', '=', '-', '_', ' ', 'z', '9'),
      maxLength: 12,
    });
    fc.assert(
      fc.property(nearlyBase64, (text) => {
        const bytes = decodeBase64(text);
        if (bytes !== null) expect(encodeBase64(bytes)).toBe(text);
        else expect(Buffer.from(text, 'base64').toString('base64')).not.toBe(text);
      }),
      { numRuns: 2000 },
    );
  });
});
