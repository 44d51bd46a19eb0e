/**
 * The weaknesses of the reference that this library does not have (FORMAT.md §4). Each test is named after one, and fails when
 * its guard is taken out: `node scripts/remove-guards.mjs` shows that.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { decryptFile, encryptFile, generateKeys, load, loadFile, loadKeys, safeOpen, saveFile } from 'cryptotensors';
import type { Dtype, Jwk } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { refusal } from '../support/errors.js';
import { bytesOf, smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { Forgery, attackerKey } from './forgery.js';
import type { CryptoKeysDocument } from './forgery.js';

const folder = temporaryFolder();
const keys = generateKeys();
const signingKey = keys.keys.find(({ kty }) => kty === 'okp')!;
const master = keys.keys.find(({ kty }) => kty === 'oct')!;

const encrypted = join(folder, 'encrypted');
await saveFile(smallTensors(), encrypted, { keys, chunkSize: 64 });
const partial = join(folder, 'partial');
await saveFile(smallTensors(), partial, { keys, chunkSize: 64, tensors: ['encoder.weight'] });

/** Writes a forged file and returns its path. */
function write(name: string, forgery: Forgery): string {
  const path = join(folder, name);
  writeFileSync(path, forgery.bytes());
  return path;
}

const forge = (path = encrypted): Forgery => new Forgery(readFileSync(path));

describe('hands out stored bytes when a tag fails', () => {
  const tampered = write('tampered', forge().flip('encoder.weight', 70));

  it('tensor by tensor, all at once, in slices, from bytes', async () => {
    await using model = await safeOpen(tampered, { keys });
    await refusal('BadTag', () => model.getTensor('encoder.weight'));
    await refusal('BadTag', () => model.getTensorSync('encoder.weight'));
    await refusal('BadTag', () => model.getTensors());
    await refusal('BadTag', () => model.getSlice('encoder.weight').read([1, 3]));
    await refusal('BadTag', () => loadFile(tampered, { keys }));
    await refusal('BadTag', () => load(readFileSync(tampered), { keys }));
    expect((await model.getTensor('encoder.bias')).byteLength).toBe(64);
  });

  it('in the memory that the caller gave', async () => {
    await using model = await safeOpen(tampered, { keys });
    const into = new Uint8Array(new SharedArrayBuffer(4096)).fill(0xaa);
    await refusal('BadTag', () => model.getTensor('encoder.weight', { into }));
    expect(into.every((byte) => byte === 0 || byte === 0xaa)).toBe(true);
    expect(into.some((byte) => byte === 0)).toBe(true);
  });

  it('on disk', async () => {
    const target = join(folder, 'decrypted');
    await refusal('BadTag', () => decryptFile(tampered, target, { keys }));
    expect(existsSync(target)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.includes('.tmp'))).toEqual([]);
  });
});

describe('opens a file whose encryption entries were stripped as a plain one', () => {
  const entries = ['__encryption__', '__crypto_keys__', '__policy__', '__signature__'];

  it('all of them', async () => {
    const stripped = write('stripped', forge().drop(...entries));
    await refusal('NotEncrypted', () => safeOpen(stripped, { keys }));
    await refusal('NotEncrypted', () => safeOpen(stripped, { trust: { keys: [signingKey] } }));
  });

  it.each(entries)('%s alone, and all but it', async (entry) => {
    await refusal('InvalidCryptoMetadata', () => safeOpen(write('one', forge().drop(entry)), { keys }));
    const others = entries.filter((other) => other !== entry);
    await refusal('InvalidCryptoMetadata', () => safeOpen(write('others', forge().drop(...others)), { keys }));
  });

  it('a tensor whose record was taken out, the header signed again by somebody else', async () => {
    const mallory = attackerKey(signingKey.kid!);
    const forgery = forge().edit('__encryption__', (records: object) => Reflect.deleteProperty(records, 'mask'));
    await refusal('BadSignature', () => safeOpen(write('record', forgery.sign(mallory)), { keys }));
  });
});

it('follows the jku of the unverified header to the key that it is verified with', async () => {
  const mallory = attackerKey('mallory');
  const planted = join(folder, 'planted.json');
  const jku = `file://${planted}`;
  writeFileSync(planted, JSON.stringify({ keys: [{ ...mallory, jku }] }));
  const forgery = forge()
    .edit('__crypto_keys__', (document: CryptoKeysDocument) => Object.assign(document.sign, { kid: 'mallory', jku }))
    .sign(mallory);
  const error = await refusal('UntrustedSigner', () => safeOpen(write('jku', forgery), { keys }));
  expect(error.kid).toBe('mallory');
});

describe('leaves plain tensors in an encrypted file without integrity', () => {
  it('a changed byte', async () => {
    await using model = await safeOpen(write('plain-tensor', forge(partial).flip('encoder.bias')), { keys });
    expect(model.info('encoder.bias').encrypted).toBe(false);
    await refusal('BadDigest', () => model.getTensor('encoder.bias'));
  });

  it('a digest that was changed with it', async () => {
    const other = forge(partial).edit('__integrity__', (document: { tensors: Record<string, string> }) => {
      document.tensors['encoder.bias'] = document.tensors.position!;
    });
    await refusal('BadSignature', () => safeOpen(write('digest', other), { keys }));
  });
});

describe('decrypts a whole tensor for a slice of it', () => {
  it('reads no chunk that it does not need', async () => {
    // 8 rows of 64 bytes, one chunk each.
    await using model = await safeOpen(write('first-row', forge().flip('encoder.weight', 0)), { keys });
    const rows = await model.getSlice('encoder.weight').read([3, 5]);
    expect(bytesOf(rows.data)).toEqual(bytesOf(smallTensors().get('encoder.weight')!.data).subarray(192, 320));
    await refusal('BadTag', () => model.getSlice('encoder.weight').read([0, 1]));
  });

  it('slices a plain tensor of an encrypted file', async () => {
    await using model = await safeOpen(partial, { keys });
    const part = await model.getSlice('encoder.bias').read([4, 6]);
    expect([...(part.data as Float32Array)]).toEqual([-4, -5]);
  });
});

it('keeps decrypted tensors until the file is closed', async () => {
  const path = join(folder, 'kept');
  writeFileSync(path, readFileSync(encrypted));
  await using model = await safeOpen(path, { keys });
  await model.getTensor('encoder.weight');
  // In place, so that the open descriptor sees it.
  const changed = readFileSync(path);
  const at = changed.length - new Forgery(changed).data.length + model.info('encoder.weight').dataOffsets[0];
  changed[at] = changed[at]! ^ 1;
  writeFileSync(path, changed, { flag: 'r+' });
  await expect(model.getTensor('encoder.weight')).rejects.toMatchObject({
    code: expect.stringMatching(/^(BadTag|FileChanged)$/) as string,
  });
});

it('writes over a file before the new one is whole', async () => {
  const plain = join(folder, 'large');
  const target = join(folder, 'over');
  await saveFile(new Map([['w', { dtype: 'U8', shape: [2 ** 25], data: new Uint8Array(2 ** 25) }]]), plain);
  writeFileSync(target, 'what was there before');
  const stop = new AbortController();
  const onProgress = (): void => stop.abort();
  const work = encryptFile(plain, target, { keys, threads: 1, signal: stop.signal, onProgress });
  setTimeout(() => stop.abort(), 5);
  await expect(work).rejects.toThrow('The operation was aborted');
  expect(readFileSync(target, 'utf8')).toBe('what was there before');
  expect(readdirSync(folder).filter((name) => name.includes('.tmp'))).toEqual([]);
});

describe('writes what nobody can read, or what nobody meant', () => {
  const target = join(folder, 'never');

  it('a plain file, when the filter of tensors matches nothing', async () => {
    const plain = join(folder, 'plain');
    await saveFile(smallTensors(), plain);
    await refusal('InvalidOption', () => encryptFile(plain, target, { keys, tensors: ['decoder.*'] }));
    await refusal('InvalidOption', () => saveFile(smallTensors(), target, { keys, tensors: ['decoder.*'] }));
    expect(existsSync(target)).toBe(false);
  });

  it.each<[string, string, Dtype, number[], Uint8Array]>([
    ['InvalidOption', '__metadata__', 'U8', [1], new Uint8Array(1)],
    ['MisalignedSlice', 'scalar', 'F4', [], new Uint8Array(1)],
  ])('%s: a tensor named %s of dtype %s', async (code, name, dtype, shape, data) => {
    const tensors = new Map([[name, { dtype, shape, data }]]);
    await expect(saveFile(tensors, target, { keys })).rejects.toMatchObject({ code });
    expect(existsSync(target)).toBe(false);
  });

  it.each(['package model\nallow = data.model.allow', 'package model\nallow { true }', 'package model\nallow = '])(
    'is not brought down by the policy %j',
    async (local) => {
      const path = write('policy', forge().edit('__policy__', (document: object) => Object.assign(document, { local })).sign(signingKey)); // prettier-ignore
      await refusal('PolicyError', () => safeOpen(path, { keys }));
    },
  );
});

it('ignores the input of the policy', async () => {
  const path = join(folder, 'policy-input');
  const local = 'package model\nimport rego.v1\ndefault allow := false\nallow if input.claims.customer == "acme"';
  await saveFile(smallTensors(), path, { keys, policy: { local } });
  await refusal('PolicyDenied', () => safeOpen(path, { keys }));
  await refusal('PolicyDenied', () => safeOpen(path, { keys, claims: { customer: 'other' } }));
  await using model = await safeOpen(path, { keys, claims: { customer: 'acme' } });
  expect(model.size).toBe(6);
});

describe('keeps keys where everything shows them', () => {
  const secrets = [master.k!, signingKey.d!].flatMap((text) => {
    const bytes = Buffer.from(text, 'base64');
    return [text, bytes.toString('base64url'), bytes.toString('hex'), bytes.toString('latin1')];
  });
  const expectNone = (text: string): void => {
    for (const secret of secrets) expect(text).not.toContain(secret);
  };

  it('in key rings, models and errors', async () => {
    using ring = await loadKeys(keys);
    await using model = await safeOpen(encrypted, { keys: ring });
    const stranger: Jwk = { ...master, k: Buffer.alloc(32, 7).toString('base64') };
    const error = await refusal('BadTag', () => safeOpen(encrypted, { keys: { keys: [stranger, signingKey] } }));
    for (const value of [ring, model, error, { ...model.reservedMetadata() }]) {
      expectNone(inspect(value, { depth: null, showHidden: true, getters: true }));
      expectNone(JSON.stringify(value));
    }
    expectNone(error.stack!);
  });
});
