/** Whose signature counts: only that of a key which the caller gave, whatever a header says. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { generateKeys, loadKeys, publicJwks, safeOpen, safeOpenSync, saveFileSync, verifyFile } from 'cryptotensors';
import type { Jwk, JwkSet, OpenOptions } from 'cryptotensors';
import { mkfifoSync } from '../support/fifo.js';
import { Forgery } from '../attacks/forgery.js';
import type { CryptoKeysDocument } from '../attacks/forgery.js';
import { refusal } from '../support/errors.js';
import { writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const shared = generateKeys({ encKid: 'shared-master', signKid: 'own' });
const master = shared.keys.find(({ kty }) => kty === 'oct')!;
const own = shared.keys.find(({ kty }) => kty === 'okp')!;

/** A vendor's signing key. All vendors encrypt for the same master key. */
const signerOf = (kid: string): Jwk => generateKeys({ signKid: kid }).keys.find(({ kty }) => kty === 'okp')!;
const alice = signerOf('alice');
const bob = signerOf('bob');
const carol = signerOf('carol');
const publicOf = (...keys: Jwk[]): JwkSet => publicJwks({ keys });

function saveAs(signer: Jwk, name = signer.kid!): string {
  const path = join(folder, `${name}.safetensors`);
  saveFileSync({ [name]: { shape: [2], data: Int8Array.of(1, 2) } }, path, { keys: { keys: [master, signer] } });
  return path;
}

const files = { alice: saveAs(alice), bob: saveAs(bob), carol: saveAs(carol), own: saveAs(own) };

async function signersOf(path: string | Uint8Array, options: OpenOptions): Promise<(string | null)[]> {
  await using model = await safeOpen(path, options);
  using again = safeOpenSync(path, options);
  expect(again.signers()).toEqual(model.signers());
  return model.signers();
}

describe('several signers', () => {
  test('each may have signed, however they are given', async () => {
    const path = join(folder, 'alice.json');
    writeFileSync(path, JSON.stringify(publicOf(alice)));
    using ring = await loadKeys(publicOf(bob));
    const text = new TextEncoder().encode(JSON.stringify(publicOf(carol)));
    for (const trust of [[path, ring, text], [pathToFileURL(path), [ring], text], publicOf(alice, bob, carol)]) {
      for (const name of ['alice', 'bob', 'carol'] as const) {
        expect(await signersOf(files[name], { keys: shared, trust })).toEqual([name]);
      }
    }
  });

  test('another is refused, with the key id found and those that are trusted', async () => {
    const error = await refusal('UntrustedSigner', () =>
      safeOpen(files.carol, { keys: shared, trust: [publicOf(alice), publicOf(bob)] }),
    );
    expect(error.kid).toBe('carol');
    expect(error.message).toContain('the key "carol", which the header names, is not trusted; trusted: "alice", "bob"');
    await refusal('UntrustedSigner', () => verifyFile(files.carol, { keys: shared, trust: publicOf(alice, bob) }));
  });

  test('`trust` alone decides: a key in `keys` is for decryption then', async () => {
    expect(await signersOf(files.own, { keys: shared })).toEqual(['own']);
    const trust = publicOf(alice);
    expect((await refusal('UntrustedSigner', () => safeOpen(files.own, { keys: shared, trust }))).kid).toBe('own');
    await refusal('KeyNotFound', () => safeOpen(files.own, { keys: shared, trust: [] }));
    // And a key in `trust` is not for decryption.
    await refusal('KeyNotFound', () => safeOpen(files.alice, { keys: publicOf(alice), trust: [master, alice] }));
  });

  test('a header that names nobody is tried with all of them, and the one that signed is told', async () => {
    const path = join(folder, 'nameless.safetensors');
    const nameless = new Forgery(readFileSync(files.bob))
      .edit('__crypto_keys__', ({ sign }: CryptoKeysDocument) => Reflect.deleteProperty(sign, 'kid'))
      .sign(bob);
    writeFileSync(path, nameless.bytes());
    expect(await signersOf(path, { keys: shared, trust: publicOf(alice, bob, carol) })).toEqual(['bob']);
    const error = await refusal('BadSignature', () => safeOpen(path, { keys: shared, trust: publicOf(alice, carol) }));
    expect(error.message).toContain('any of the 2 trusted keys');
  });

  test('of two keys of one name from two sources, either counts and no third', async () => {
    const [first, second, third] = [signerOf('vendor'), signerOf('vendor'), signerOf('vendor')];
    const trust = [publicOf(first), publicOf(second)];
    expect(await signersOf(saveAs(first, 'first'), { keys: shared, trust })).toEqual(['vendor']);
    expect(await signersOf(saveAs(second, 'second'), { keys: shared, trust })).toEqual(['vendor']);
    await refusal('BadSignature', () => safeOpen(saveAs(third, 'third'), { keys: shared, trust }));
  });

  test('the shards of a model may be of several, but all of trusted ones', async () => {
    const index = join(folder, 'model.safetensors.index.json');
    writeShardIndex(index, { alice: 'alice.safetensors', bob: 'bob.safetensors' });
    expect(await signersOf(index, { keys: shared, trust: publicOf(alice, bob) })).toEqual(['alice', 'bob']);
    const error = await refusal('UntrustedSigner', () => safeOpen(index, { keys: shared, trust: publicOf(alice) }));
    expect(error.kid).toBe('bob');
  });
});

describe('nothing in a header adds a key, a path or a URL', () => {
  /** Signed by `signer`, with this `jku` for both keys. */
  function withJku(signer: Jwk, jku: string, kid = signer.kid!): Uint8Array {
    return new Forgery(readFileSync(files.alice))
      .edit('__crypto_keys__', ({ sign, enc }: CryptoKeysDocument) => {
        Object.assign(sign, { kid, jku });
        Object.assign(enc, { jku });
      })
      .sign(signer)
      .bytes();
  }

  async function listen(): Promise<{ port: number; connections: () => number; close: () => void }> {
    let connections = 0;
    // At the level of TCP: a TLS handshake that fails is a connection too.
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return {
      port: (server.address() as AddressInfo).port,
      connections: () => connections,
      close: () => server.close(),
    };
  }

  test.each(['http', 'https'])('no %s connection: neither for a stranger nor for a trusted signer', async (scheme) => {
    const server = await listen();
    const jku = `${scheme}://127.0.0.1:${server.port}/keys.json`;
    const options = { keys: shared, trust: publicOf(alice) };
    await refusal('UntrustedSigner', () => safeOpen(withJku(carol, jku), options));
    await refusal('BadSignature', () => safeOpen(withJku(carol, jku, 'alice'), options));
    expect(await signersOf(withJku(alice, jku), options)).toEqual(['alice']);
    // Not even where the trusted key itself has that jku.
    expect(await signersOf(withJku(alice, jku), { ...options, trust: { ...alice, jku } })).toEqual(['alice']);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.connections()).toBe(0);
    server.close();
  });

  // Whoever opened a pipe for reading would wait for its writer, and the test would time out.
  test('no file is opened, for a trusted signer neither', async () => {
    const pipe = mkfifoSync(join(folder, 'keys.fifo'));
    expect(existsSync(pipe)).toBe(true);
    const options = { keys: shared, trust: publicOf(alice) };
    for (const jku of [pipe, `file://${pipe}`, pathToFileURL(pipe).href, `file://localhost${pipe}`]) {
      await refusal('UntrustedSigner', () => safeOpen(withJku(carol, jku), options));
      expect(await signersOf(withJku(alice, jku), options)).toEqual(['alice']);
      expect(await signersOf(withJku(alice, jku), { ...options, trust: { ...alice, jku } })).toEqual(['alice']);
    }
  });
});
