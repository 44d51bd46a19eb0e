/** What somebody who can rewrite a file tries with its header. The list, in words, is README.md beside this file. */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { generateKeys, inspectFileSync, loadFile, safeOpen, saveFile } from 'cryptotensors';
import type { ErrorCode, Jwk, JwkSet } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { headerOf } from '../support/detach.js';
import { refusal } from '../support/errors.js';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { mkfifoSync } from '../support/fifo.js';
import { Forgery, attackerKey } from './forgery.js';
import type { CryptoKeysDocument, Records } from './forgery.js';

const folder = temporaryFolder();
const keys = generateKeys();
const others = generateKeys();
const of = (set: JwkSet, kty: string): Jwk => set.keys.find((key) => key.kty === kty)!;
const signer = of(keys, 'okp');
/** Has the name of the trusted signer, but not its key. */
const impostor = attackerKey(signer.kid!);
const mallory = attackerKey('mallory');

const victim = join(folder, 'victim');
await saveFile(smallTensors(), victim, { keys, chunkSize: 64 });
const sibling = join(folder, 'sibling');
await saveFile(smallTensors(), sibling, { keys, chunkSize: 64 });

const forge = (path = victim): Forgery => new Forgery(readFileSync(path));
const strip = (): Forgery =>
  forge().drop('__crypto_keys__', '__encryption__', '__policy__', '__signature__', '__integrity__');
const cryptoKeys = (change: (document: CryptoKeysDocument) => void): Forgery => forge().edit('__crypto_keys__', change);

async function expectRefused(code: ErrorCode, forgery: Forgery, options: object = { keys }): Promise<void> {
  const path = join(folder, 'forged');
  writeFileSync(path, forgery.bytes());
  await refusal(code, () => loadFile(path, options));
}

it('opens what was not touched, put together by the forger', async () => {
  const path = join(folder, 'untouched');
  writeFileSync(path, forge().bytes());
  expect((await loadFile(path, { keys })).size).toBe(6);
  writeFileSync(path, forge().sign(signer).bytes());
  expect((await loadFile(path, { keys })).size).toBe(6);
});

describe('signer swap', () => {
  const named = (kid: string): Forgery => cryptoKeys(({ sign }) => (sign.kid = kid));

  it('signs under the name of a trusted key', () => expectRefused('BadSignature', forge().sign(impostor)));
  it('signs under a name of its own', () => expectRefused('UntrustedSigner', named('mallory').sign(mallory)));
  it('names nobody', () =>
    expectRefused('BadSignature', cryptoKeys(({ sign }) => Reflect.deleteProperty(sign, 'kid')).sign(mallory)));
  it('brings its public key along', () =>
    expectRefused('BadSignature', cryptoKeys(({ sign }) => (sign.x = mallory.x!)).sign(mallory)));
  it('is signed with the master key’s name', () =>
    expectRefused('UntrustedSigner', named(of(keys, 'oct').kid!).sign(mallory)));
  it('is trusted for decryption, but not as a signer', () =>
    expectRefused('UntrustedSigner', named(mallory.kid!).sign(mallory), {
      keys: { keys: [...keys.keys, mallory] },
      trust: { keys: [signer] },
    }));
});

describe('jku', () => {
  it('to a file, a link to it and a pipe: none is opened', async () => {
    const file = join(folder, 'mallory.json');
    writeFileSync(file, JSON.stringify({ keys: [mallory] }));
    const link = join(folder, 'link.json');
    symlinkSync(file, link);
    const pipe = mkfifoSync(join(folder, 'pipe.json'));
    for (const jku of [`file://${file}`, `file://${link}`, file, 'file://~/mallory.json', `file://${pipe}`]) {
      const forgery = cryptoKeys(({ sign, enc }) => {
        Object.assign(sign, { kid: 'mallory', jku });
        Object.assign(enc, { jku });
      });
      // Whoever opened the pipe would wait for its writer, and the test would time out.
      await expectRefused('UntrustedSigner', forgery.sign(mallory));
    }
  });

  it('to a URL: nobody connects', async () => {
    let connections = 0;
    const server = createServer((_, response) => response.end(JSON.stringify({ keys: [mallory] })));
    server.on('connection', () => connections++);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const jku = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys.json`;
    await expectRefused(
      'UntrustedSigner',
      cryptoKeys(({ sign }) => Object.assign(sign, { kid: 'mallory', jku })).sign(mallory),
    );
    server.close();
    expect(connections).toBe(0);
  });
});

describe('replay', () => {
  // What the vendor signed once stays signed: only a pin tells an old file from a new one.
  const { pin } = inspectFileSync(victim);
  const oldHeader = (): Uint8Array => headerOf(readFileSync(sibling));

  it('serves an old file in the place of the pinned one', async () => {
    expect((await loadFile(sibling, { keys })).size).toBe(6);
    await expectRefused('PinMismatch', forge(sibling), { keys, pin });
  });
  it('serves an old header, detached, over the pinned body', () =>
    expectRefused('PinMismatch', forge(), { keys, pin, header: oldHeader() }));
  it('serves the old body under the pinned header', () =>
    expectRefused('BadTag', forge(sibling), { keys, pin, header: headerOf(readFileSync(victim)) }));
  it('serves an old plain file', () => expectRefused('PinMismatch', strip(), { pin }));
  it('serves the pinned header under another signature', () =>
    expectRefused('BadSignature', forge().sign(impostor), { keys, pin }));
});

describe('key confusion', () => {
  it('names another master key of the reader', () =>
    expectRefused('BadTag', cryptoKeys(({ enc }) => (enc.kid = of(others, 'oct').kid!)).sign(signer), {
      keys: { keys: [...keys.keys, of(others, 'oct')] },
    }));
  it('names a master key that nobody has', () =>
    expectRefused('KeyNotFound', cryptoKeys(({ enc }) => (enc.kid = 'nobody')).sign(signer)));
  it('brings its own master key along', () =>
    expectRefused(
      'BadSignature',
      cryptoKeys(({ enc }) => (enc.k = of(others, 'oct').k!)),
    ));
  it('gives a tensor the data key of another', () =>
    expectRefused(
      'BadTag',
      forge()
        .edit('__encryption__', (records: Records) => {
          for (const field of ['wrapped_key', 'key_iv', 'key_tag']) {
            records['encoder.weight']![field] = records['encoder.bias']![field]!;
          }
        })
        .sign(signer),
    ));
});

describe('algorithm confusion', () => {
  const algorithm = (alg: string): Forgery => cryptoKeys(({ enc }) => (enc.alg = alg));

  it('says ChaCha20-Poly1305 of what AES encrypted', () =>
    expectRefused('KeyNotFound', algorithm('chacha20poly1305').sign(signer)));
  it('the same, of a key that does not say what it is for', () => {
    const bare = { kty: 'oct', kid: of(keys, 'oct').kid!, k: of(keys, 'oct').k! };
    return expectRefused('BadTag', algorithm('chacha20poly1305').sign(signer), { keys: { keys: [bare, signer] } });
  });
  it('says AES-128 of a 256-bit key', () =>
    expectRefused('InvalidCryptoMetadata', algorithm('aes128gcm').sign(signer)));
  it.each(['none', 'aes256ctr', 'aes256gcmsiv', '', 'AES256GCM\u0000'])('says %j', (alg) =>
    expectRefused('UnsupportedAlgorithm', algorithm(alg).sign(signer)),
  );
  it.each(['none', 'hs256', 'rsa', ''])('says that the signature is of %j', (alg) =>
    expectRefused('UnsupportedAlgorithm', cryptoKeys(({ sign }) => (sign.alg = alg)).sign(signer)),
  );
  it('says version 1 of a file in chunks', () =>
    expectRefused('InvalidCryptoMetadata', cryptoKeys((document) => (document.version = '1')).sign(signer)));
  it('says version 3', () =>
    expectRefused('UnsupportedVersion', cryptoKeys((document) => (document.version = '3')).sign(signer)));
  it('says another chunk size', () =>
    expectRefused('InvalidCryptoMetadata', cryptoKeys((document) => (document.chunk_size = 32)).sign(signer)));
});

describe('splicing', () => {
  it('the header of one file, the data of another', () => {
    const forgery = forge();
    forgery.data = forge(sibling).data;
    return expectRefused('BadTag', forgery);
  });
  it('the record of another file under the same name', () => {
    const record = (JSON.parse(forge(sibling).metadata.get('__encryption__')!) as Records)['encoder.weight']!;
    const forgery = forge().edit('__encryption__', (records: Records) => (records['encoder.weight'] = record));
    return expectRefused('BadSignature', forgery);
  });
  it('two chunks of a tensor in the other order', () => {
    const forgery = forge();
    const { data_offsets } = forgery.tensors.get('encoder.weight')!;
    const chunk = forgery.data.slice(data_offsets[0], data_offsets[0] + 64);
    forgery.data.copyWithin(data_offsets[0], data_offsets[0] + 64, data_offsets[0] + 128);
    forgery.data.set(chunk, data_offsets[0] + 64);
    return expectRefused('BadTag', forgery);
  });
  it('two tensors under each other’s name', () => {
    const forgery = forge();
    const [a, b] = ['encoder.weight', 'encoder.bias'].map((name) => forgery.tensors.get(name)!);
    forgery.tensors.set('encoder.weight', b!).set('encoder.bias', a!);
    return expectRefused('BadSignature', forgery);
  });
  it('another shape and another dtype', async () => {
    const reshaped = forge();
    reshaped.tensors.get('encoder.weight')!.shape = [16, 8];
    await expectRefused('BadSignature', reshaped);
    const retyped = forge();
    retyped.tensors.get('encoder.weight')!.dtype = 'I32';
    await expectRefused('BadSignature', retyped);
  });
  it('a policy that says yes', async () => {
    const path = join(folder, 'closed');
    await saveFile(smallTensors(), path, { keys, policy: { local: 'package model\nallow = false' } });
    const open = { local: 'package model\nallow = true', remote: 'package model\nallow = true' };
    const forgery = forge(path);
    forgery.metadata.set('__policy__', JSON.stringify(open));
    await expectRefused('BadSignature', forgery);
    await expectRefused('BadSignature', forgery.sign(impostor));
  });
});

describe('names that look like prototypes', () => {
  it('as tensors and metadata', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    const path = join(folder, 'prototypes');
    const data = Float32Array.of(1);
    const tensors = new Map(names.map((name) => [name, { dtype: 'F32' as const, shape: [1], data }]));
    await saveFile(tensors, path, { keys, metadata: new Map([['constructor', 'x']]) });
    await using model = await safeOpen(path, { keys });
    expect(model.keys()).toEqual([...names].sort());
    expect(model.has('valueOf')).toBe(false);
    expect(Object.keys(model.metadata()!)).toEqual(['constructor']);
    expect(Object.prototype).not.toHaveProperty('dtype');
  });

  it('as claims: they are data, and do not stand for what is not there', async () => {
    const path = join(folder, 'claims');
    const local = 'package model\nimport rego.v1\ndefault allow := false\nallow if input.claims.admin == true';
    await saveFile(smallTensors(), path, { keys, policy: { local } });
    const polluted = JSON.parse('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}') as never;
    await refusal('PolicyDenied', () => safeOpen(path, { keys, claims: polluted }));
    expect({}).not.toHaveProperty('admin');
    const inherited = Object.create({ admin: true }) as never;
    await expect(safeOpen(path, { keys, claims: inherited })).rejects.toThrow(TypeError);
  });
});

describe('policies that are bombs', () => {
  const deep = `package model\nallow if ${'['.repeat(5000)}${']'.repeat(5000)}`;
  const bombs: [string, string][] = [
    ['nested brackets', deep],
    ['a long chain of sums', `package model\nallow if x == 1\nx := 1${' + 1'.repeat(100_000)}`],
    ['a format of gigabytes', 'package model\nallow if sprintf("%2000000000d", [1]) == ""'],
    ['a range of billions', 'package model\nallow if count(numbers.range(1, 4000000000)) == 1'],
    ['a loop within loops', `package model\nallow if { n := numbers.range(1, 3000); some a in n; some b in n; some c in n; a * b * c == -1 }`],
  ]; // prettier-ignore

  it.each(bombs)('%s', async (_, local) => {
    const path = join(folder, 'bomb');
    const forgery = forge().edit('__policy__', (document: object) => Object.assign(document, { local }));
    writeFileSync(path, forgery.sign(signer).bytes());
    const before = process.memoryUsage.rss();
    await refusal('PolicyError', () => safeOpen(path, { keys }));
    expect(process.memoryUsage.rss() - before).toBeLessThan(512 * 2 ** 20);
    // The engine that was killed is replaced.
    await refusal('PolicyDenied', () => safeOpen(closed, { keys }));
  });
});

const closed = join(folder, 'says-no');
await saveFile(smallTensors(), closed, { keys, policy: { local: 'package model\nallow = 1 == 2' } });
