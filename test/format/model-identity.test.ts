import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldedFileName, problemOfFileName } from '#dist/format/file-name.js';
import { encodeModelIdentity, parseModelIdentity, tensorNamesText } from '#dist/format/model-identity.js';
import type { ModelIdentity } from '#dist/format/model-identity.js';
import { refusalSync } from '../support/errors.js';
import { parseText } from './headers.js';

const DIGEST = 'ab'.repeat(32);
const IDENTITY: ModelIdentity = {
  id: '047d6e2a-ba06-481d-acc8-cb8945e66954',
  set: '694cbb28-fdd8-40f8-81b2-eabca8f8ce51',
  generation: 1,
  file: 'model.safetensors',
  weights: new Map([['model.safetensors', DIGEST]]),
  sealed: ['onnx/model.onnx'],
  plain: new Map([['config.json', DIGEST]]),
};

function parse(text: string): ModelIdentity | null {
  return parseModelIdentity(parseText(JSON.stringify({ __metadata__: { __model__: text } }), 0));
}

describe('the text of __model__', () => {
  it('is the one that the specification shows', () => {
    expect(encodeModelIdentity(IDENTITY)).toBe(
      `{"version":"1","id":"${IDENTITY.id}","set":"${IDENTITY.set}","generation":1,"file":"model.safetensors",` +
        `"weights":{"model.safetensors":"${DIGEST}"},"sealed":["onnx/model.onnx"],"plain":{"config.json":"${DIGEST}"}}`,
    );
  });

  it('is read back as it was written, whatever the names are', () => {
    const segment = fc
      .string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
      .filter((text) => problemOfFileName(text) === null && !text.includes('/'));
    const names = fc.uniqueArray(segment, { minLength: 3, maxLength: 8, selector: foldedFileName });
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), ([file, ...others], generation) => {
        const [sealed, ...plain] = others;
        const identity: ModelIdentity = {
          ...IDENTITY,
          generation,
          file: file!,
          weights: new Map([[file!, DIGEST]]),
          sealed: [`folder-of-sealed/${sealed!}`],
          plain: new Map(plain.map((name) => [name, DIGEST])),
        };
        const text = encodeModelIdentity(identity);
        expect(encodeModelIdentity(parse(text)!)).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it('is absent where the header says nothing', () => {
    expect(parseModelIdentity(parseText('{"__metadata__":{"other":"x"}}', 0))).toBeNull();
  });

  it.each([
    ['another order of members', (text: string) => text.replace(/("id":"[^"]*"),("set":"[^"]*")/, '$2,$1')],
    ['white space', (text: string) => text.replace('"version":', '"version": ')],
    ['an unknown member', (text: string) => text.replace(/}$/, ',"more":1}')],
    ['a UUID in upper case', (text: string) => text.replace(IDENTITY.id, IDENTITY.id.toUpperCase())],
    ['generation 0', (text: string) => text.replace('"generation":1', '"generation":0')],
    ['a generation that is no integer', (text: string) => text.replace('"generation":1', '"generation":1.0')],
    ['a digest that is too short', (text: string) => text.replace(DIGEST, DIGEST.slice(2))],
    ['a file that it does not list', (text: string) => text.replace('"file":"model', '"file":"other')],
    ['an escape that need not be', (text: string) => text.replace('config.json', '\\u0063onfig.json')],
    ['a list in place of a map', (text: string) => text.replace(/"plain":{.*}}$/, '"plain":[]}')],
  ])('is refused with %s', (_, change) => {
    const text = encodeModelIdentity(IDENTITY);
    expect(change(text)).not.toBe(text);
    refusalSync('InvalidCryptoMetadata', () => parse(change(text)));
  });

  it('is refused in another version, of which nothing is known', () => {
    const text = encodeModelIdentity(IDENTITY).replace('"version":"1"', '"version":"2"');
    refusalSync('UnsupportedVersion', () => parse(text));
  });

  it.each([
    '../config.json', '/etc/passwd', 'a/../b', 'a//b', 'a/', './a', '', 'C:/x', 'a\\b', 'CON', 'nul.txt', 'com1', 'a/aux', 'x.', 'x ',
    'a\u0000b', 'a\nb', 'a:stream', 'x'.repeat(256), `${'x/'.repeat(600)}x`,
  ])('is refused with the name %j', (name) => {
    const text = encodeModelIdentity({ ...IDENTITY, plain: new Map([[name, DIGEST]]) });
    refusalSync('InvalidCryptoMetadata', () => parse(text));
  }); // prettier-ignore

  it.each([
    ['case', 'Config.json', 'config.json'],
    ['forms of Unicode', 'caf\u00e9.json', 'cafe\u0301.json'],
    ['letters that case does not tell apart', 'mass.json', 'ma\u017f\u017f.json'],
    ['a file and its folder', 'a', 'a/b'],
    ['a file and a folder, but for case', 'A', 'a/b'],
  ])('is refused with two names that are one by %s', (_, one, other) => {
    const text = encodeModelIdentity({ ...IDENTITY, plain: new Map([[one, DIGEST], [other, DIGEST]]) }); // prettier-ignore
    refusalSync('InvalidCryptoMetadata', () => parse(text));
  });

  it('is refused with a sealed file that would lie where a plain one does', () => {
    const plain = new Map([['model.onnx.sealed', DIGEST]]);
    const text = encodeModelIdentity({ ...IDENTITY, sealed: ['model.onnx'], plain });
    refusalSync('InvalidCryptoMetadata', () => parse(text));
  });

  it('is refused with more names than a model has, in little time', () => {
    const sealed = Array.from({ length: 10_001 }, (_, i) => `f${i}`);
    refusalSync('InvalidCryptoMetadata', () => parse(encodeModelIdentity({ ...IDENTITY, sealed })));
  });
});

describe('the digest of tensor names', () => {
  it('is that of netstrings, by bytes of UTF-8', () => {
    expect(Buffer.from(tensorNamesText(['b', 'wte', '', 'größe'])).toString()).toBe('1:b,3:wte,0:,7:größe,');
  });

  it('differs for names that differ in where they are cut', () => {
    const digest = (names: string[]) => createHash('sha256').update(tensorNamesText(names)).digest('hex');
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.string()), (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other));
        expect(digest(one)).not.toBe(digest(other));
      }),
    );
  });
});
