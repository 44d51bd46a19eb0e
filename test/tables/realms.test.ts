/** What is handed in may be of another realm, as the values of test runners and of `node:vm` are. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runInNewContext } from 'node:vm';
import * as library from 'cryptotensors';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import { issueLicense, makeFixture } from './entry-points.js';

const fixture = makeFixture(temporaryFolder());
await issueLicense(fixture);
const { folder, plain, model, license, keys, customer } = fixture;

/** Evaluates in another realm, whose globals have the same names. What a realm of `node:vm` has not, it is given here. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- whoever wrote the code knows what it gives
function there<Value>(code: string, names: Record<string, unknown> = {}): Value {
  return runInNewContext(`${CLASSES}; (${code})`, names) as Value;
}

const CLASSES = `
  class URL { #href; constructor(href) { this.#href = href; } get href() { return this.#href; } get protocol() { return 'file:'; } }
  class AbortSignal {
    #listeners = new Set(); #aborted = false;
    get aborted() { return this.#aborted; }
    get reason() { return new Error('of another realm'); }
    addEventListener(type, listener) { this.#listeners.add(listener); }
    removeEventListener(type, listener) { this.#listeners.delete(listener); }
    abort() { this.#aborted = true; for (const listener of this.#listeners) (listener.handleEvent ?? listener)({ type: 'abort' }); }
  }`;

const data = (text: string): unknown => there(text);
const bytesOf = (path: string, kind = 'Uint8Array'): Uint8Array =>
  there(`${kind}.from(bytes)`, { bytes: [...readFileSync(path)] });
const parsed = <Value>(value: Value): Value => there('JSON.parse(text)', { text: JSON.stringify(value) });
const date = (ms: number): Date => there(`new Date(${ms})`);

test('the values are of another realm', () => {
  expect(bytesOf(plain) instanceof Uint8Array).toBe(false);
  expect(date(0) instanceof Date).toBe(false);
  expect(Object.getPrototypeOf(parsed(keys))).not.toBe(Object.prototype);
});

describe('tensors that are written', () => {
  const KINDS = ['Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array']; // prettier-ignore

  test.each([...KINDS, 'BigInt64Array', 'BigUint64Array'])('of a %s', async (kind) => {
    const one = kind.startsWith('Big') ? '1n' : '1';
    const given: Record<string, library.TensorLike> = there(`{ x: { shape: [3], data: ${kind}.of(${one}, ${one}, 0${one === '1n' ? 'n' : ''}) } }`); // prettier-ignore
    const saved = await library.save(given);
    const x = library.loadSync(saved, { allowPlain: true }).get('x')!;
    expect(Array.from(x.data as Uint8Array, Number)).toEqual([1, 1, 0]);
    // And one that does not fit its dtype is told as such, not taken for bytes.
    if (KINDS.slice(3).includes(kind)) {
      const wrong: Record<string, library.TensorLike> = there(`{ x: { dtype: 'I64', shape: [1], data: new ${kind}(1) } }`); // prettier-ignore
      await expect(library.save(wrong)).rejects.toThrow(/must be I64/);
    }
  });

  test.each(['new ArrayBuffer(4)', 'new SharedArrayBuffer(4)', 'new DataView(new ArrayBuffer(4))'])(
    'of a %s',
    (made) => {
      const given = there<Map<string, library.TensorLike>>(
        `new Map([['x', { dtype: 'F32', shape: [1], data: ${made} }]])`,
      );
      const metadata = there<Map<string, string>>(`new Map([['note', 'of another realm']])`);
      const saved = library.saveSync(given, { metadata, keys: parsed(keys) });
      const file = library.safeOpenSync(saved, { keys });
      expect([file.getTensorSync('x').data, file.metadata()!.note]).toEqual([Float32Array.of(0), 'of another realm']);
    },
  );

  test('by a pattern, and a list of them', async () => {
    const pattern = there<RegExp>('/weight/');
    const target = join(folder, 'pattern.safetensors');
    await library.encryptFile(plain, target, { keys, tensors: pattern });
    await library.encryptFile(plain, target, { keys, tensors: there<RegExp[]>('[/weight/]') });
    const { tensors } = library.inspectFileSync(target);
    expect(new Map(tensors.map(({ name, check }) => [name, check]))).toEqual(
      new Map([
        ['weight', 'tag'],
        ['bias', 'digest'],
      ]),
    );
  });
});

describe('what is read, and where to', () => {
  test('bytes of every kind, and URLs', async () => {
    const url = there<URL>('new URL(href)', { href: pathToFileURL(model).href });
    const buffer = there<ArrayBuffer>('bytes.buffer', { bytes: bytesOf(model) });
    for (const input of [bytesOf(model), buffer, url]) {
      const [file, report] = [await library.safeOpen(input, { keys }), await library.verifyFile(input, { keys })];
      expect([file.size, report.tensors]).toEqual([2, 2]);
      expect(library.inspectFileSync(input).tensors).toHaveLength(2);
    }
    const target = there<URL>('new URL(href)', { href: pathToFileURL(join(folder, 'by-url.safetensors')).href });
    await library.decryptFile(url, target, { keys });
    expect(library.loadFileSync(target, { allowPlain: true }).size).toBe(2);
  });

  test.each(['ArrayBuffer(4096)', 'SharedArrayBuffer(4096)', 'Uint8Array(4096)'])('into a %s', async (made) => {
    const file = library.safeOpenSync(model, { keys });
    for (const read of [file.getTensors.bind(file), file.getTensorsSync.bind(file)]) {
      const tensors = await read({ into: there<ArrayBuffer>(`new ${made}`) });
      expect(Array.from(tensors.get('weight')!.data as Float32Array)).toEqual([1, 2, 3, 4]);
    }
  });
});

describe('keys, licences and options', () => {
  test('keys as objects, as bytes, and from a provider', async () => {
    const text = Buffer.from(JSON.stringify(keys));
    const provider = there<library.KeyProvider>(
      `{ name: 'there', find: async ({ use, kid }) => (use === 'signing' ? keys.keys.find((key) => key.kty === 'OKP') : keys.keys.find((key) => key.kid === kid)) ?? null }`,
      { keys },
    );
    const given = [parsed(keys), there<Uint8Array>('Uint8Array.from(bytes)', { bytes: [...text] }), provider];
    for (const each of given) expect((await library.safeOpen(model, { keys: each })).size).toBe(2);
  });

  test('dates, claims and the bytes of licences', async () => {
    const issued = await library.issueLicense(model, {
      keys,
      to: parsed(library.publicJwks(customer)),
      notBefore: date(Date.now() - 1000),
      expires: date(Date.now() + 100_000),
      claims: there('{ seats: [1, { of: 2 }] }'),
    });
    const path = join(folder, 'there.license');
    writeFileSync(path, issued);
    const now = there<() => Date>('() => new Date()');
    const trust = parsed(library.publicJwks(keys));
    expect((await library.verifyLicense(bytesOf(path), { trust, keys: customer, now })).claims).toEqual({ seats: [1, { of: 2 }] }); // prettier-ignore
    const file = await library.safeOpen(model, { trust, keys: customer, license: bytesOf(path), policy: { now } });
    expect(file.size).toBe(2);
    const late = there<() => Date>(`() => new Date(${Date.now() + 1e9})`);
    await expect(library.safeOpen(model, { trust, keys: customer, license, policy: { now: late } })).resolves.toBeDefined(); // prettier-ignore
    await expect(library.safeOpen(model, { trust, keys: customer, license: path, policy: { now: late } })).rejects.toMatchObject({ code: 'LicenseExpired' }); // prettier-ignore
  });

  test('options, claims, and an evaluation that answers with a promise', async () => {
    const options = there<library.OpenOptions>(`{ keys, claims: { a: 1 }, policy: { evaluate: async () => true } }`, { keys }); // prettier-ignore
    expect((await library.safeOpen(model, options)).size).toBe(2);
    const denied = there<library.OpenOptions>(`{ keys, policy: { evaluate: async () => false } }`, { keys });
    await expect(library.safeOpen(model, denied)).rejects.toMatchObject({ code: 'PolicyDenied' });
    const awaited = there<library.OpenOptions>(`{ keys, onEvent: async () => {} }`, { keys });
    await expect(library.safeOpen(model, awaited)).rejects.toMatchObject({ code: 'InvalidOption', option: 'onEvent' });
    expect(() => library.safeOpenSync(model, there('Promise.resolve({})'))).toThrow(/was await forgotten/);
  });

  test('signals, before and during the work', async () => {
    const [early, during] = [there<Signal>('new AbortSignal()'), there<Signal>('new AbortSignal()')];
    early.abort();
    await expect(library.safeOpen(model, { keys, signal: early })).rejects.toMatchObject({ code: 'ABORT_ERR' });
    const evaluate = (): Promise<boolean> => {
      during.abort();
      return new Promise(() => undefined);
    };
    const work = library.safeOpen(model, { keys, policy: { evaluate }, signal: during });
    await expect(work).rejects.toMatchObject({ code: 'ABORT_ERR' });
  });

  test('errors that callbacks throw come out as they are', async () => {
    const error = there<Error>(`new RangeError('of another realm')`);
    const fail = (): never => {
      throw error;
    };
    const file = library.safeOpenSync(model, { keys });
    await expect(file.getTensors({ onProgress: fail })).rejects.toBe(error);
    await expect(library.safeOpen(model, { keys, onEvent: fail })).rejects.toBe(error);
  });
});

test('what no realm has is refused by its name', () => {
  for (const [made, named] of [
    ['new Map()', 'Map'],
    ['new Date()', 'Date'],
    ['Promise.resolve()', 'Promise'],
    ['new (class Mine {})()', 'Mine'],
  ] as const) {
    // prettier-ignore
    const given = data(made);
    expect(() => library.safeOpenSync(given as string)).toThrow(new RegExp(`input must be .*${named}`));
  }
});

type Signal = AbortSignal & { abort(): void };
