import { join } from 'node:path';
import { decryptFile, encryptFile, generateKeys, loadKeys, safeOpen, safeOpenSync, saveFile } from 'cryptotensors';
import type { Jwk, KeyState } from 'cryptotensors';
import { ringContents } from '#dist/keys/keyring.js';
import type { KeyRing } from '#dist/keys/keyring.js';
import { getEngine } from '#dist/engine/load.js';
import { publicJwks } from '#dist/keys/generate.js';
import { lookUpSigningKey, lookUpVerifyingKeys, lookUpWritingMasterKey } from '#dist/keys/lookup.js';
import { lookUpMasterKey } from './look-up.js';
import type { KeyAnswer, KeyProvider } from '#dist/keys/providers/types.js';
import { openTrust } from '#dist/keys/trust.js';
import { runAsync, runSync } from '#dist/twin.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { FakeEngine } from './fake-engine.js';
import { K256, K256_OTHER, MASTER, SIGNER, X_A, X_B, refusal, ringOf } from './support.js';

let fake: FakeEngine;
beforeEach(() => {
  fake = new FakeEngine();
});
const folder = temporaryFolder();

const QUERY = { kid: 'm', jku: null, algorithm: 'aes256gcm' } as const;
const reading = (ring: KeyRing, query: Parameters<typeof lookUpMasterKey>[1] = QUERY) =>
  runSync(lookUpMasterKey(ring, query, { engine: fake.engine }));
const encrypting = (ring: KeyRing, kid?: string) =>
  runSync(lookUpWritingMasterKey(ring, { kid }, { engine: fake.engine }));
const verifying = (ring: KeyRing, kid: string | null = 's') =>
  runSync(lookUpVerifyingKeys(ring, { kid, jku: null }, { engine: fake.engine }));
const signing = (ring: KeyRing, kid?: string) => runSync(lookUpSigningKey(ring, kid, { engine: fake.engine }));
const withState = (jwk: Jwk, state: KeyState | 'unknown'): Jwk => ({ ...jwk, state }) as Jwk;
const answering = (answer: KeyAnswer, name = 'vault'): KeyProvider => ({ name, findSync: () => answer });

describe('a key without a state, or active,', () => {
  test.each([MASTER, withState(MASTER, 'active'), { ...MASTER, state: null } as unknown as Jwk])(
    'does all that keys do: %j',
    (jwk) => {
      const ring = ringOf(fake.engine, jwk, SIGNER);
      expect(ring.masterKeys).toEqual([{ kid: 'm', algorithm: 'aes256gcm', state: 'active' }]);
      expect([reading(ring).kid, encrypting(ring).kid, signing(ring).kid]).toEqual(['m', 'm', 's']);
    },
  );
});

describe('a decrypt-only key', () => {
  test('opens files, but encrypts none', async () => {
    const ring = ringOf(fake.engine, withState(MASTER, 'decrypt-only'));
    expect(reading(ring).kid).toBe('m');
    expect((await refusal('KeyNotFound', () => encrypting(ring))).message).toContain('decrypt-only');
    expect((await refusal('KeyNotFound', () => encrypting(ring, 'm'))).message).toContain(
      'the master key "m" at hand is decrypt-only: it opens files, but encrypts none any more',
    );
  });

  test('verifies, but does not sign', async () => {
    const ring = ringOf(fake.engine, withState(SIGNER, 'decrypt-only'));
    expect(verifying(ring)).toHaveLength(1);
    expect((await refusal('KeyNotFound', () => signing(ring))).message).toContain(
      'at hand is decrypt-only: it verifies, but signs nothing any more',
    );
  });

  test('is passed over for an active one', () => {
    const next = { ...MASTER, kid: 'next', k: K256_OTHER };
    const ring = ringOf(fake.engine, { keys: [withState(MASTER, 'decrypt-only'), next] });
    expect([encrypting(ring).kid, reading(ring).kid]).toEqual(['next', 'm']);
  });

  test('stays that when the same key is listed as active as well', () => {
    for (const keys of [
      [withState(MASTER, 'decrypt-only'), MASTER],
      [MASTER, withState(MASTER, 'decrypt-only')],
    ]) {
      for (const ring of [ringOf(fake.engine, { keys }), ringOf(fake.engine, ...keys)]) {
        expect(new Set(ring.masterKeys.map(({ state }) => state))).toEqual(new Set(['decrypt-only']));
        expect(() => encrypting(ring)).toThrow('decrypt-only');
      }
    }
  });
});

describe('a revoked key', () => {
  test('is used for nothing', async () => {
    const ring = ringOf(fake.engine, withState(MASTER, 'revoked'), withState(SIGNER, 'revoked'));
    const error = await refusal('KeyRevoked', () => reading(ring));
    expect(error).toMatchObject({ kid: 'm' });
    expect(error.message).toMatch(/^the key "m" is revoked/);
    await refusal('KeyRevoked', () => encrypting(ring, 'm'));
    await refusal('KeyNotFound', () => encrypting(ring));
    await refusal('KeyRevoked', () => verifying(ring));
    await refusal('KeyRevoked', () => signing(ring, 's'));
    await refusal('KeyNotFound', () => signing(ring));
  });

  test('needs no material to be listed, and what is there is not loaded', () => {
    for (const jwk of [withState(MASTER, 'revoked'), { kty: 'oct', kid: 'm', state: 'revoked' } as Jwk]) {
      const [key] = ringContents(ringOf(fake.engine, jwk)).masterKeys;
      expect(key!.secret!.byteLength).toBe(0);
    }
  });

  test('is shown as that', () => {
    const ring = ringOf(fake.engine, MASTER, withState(SIGNER, 'revoked'), withState(MASTER, 'revoked'));
    expect(String(ring)).toContain('master keys: "m" (revoked), "m" (revoked); signing keys: "s" (revoked)');
    expect(ring.signingKeys[0]).toMatchObject({ kid: 's', state: 'revoked' });
  });

  test('does not come back by being listed as active too, before or after', async () => {
    const revoked = withState({ kty: 'oct', kid: 'm' }, 'revoked');
    for (const keys of [
      [revoked, MASTER],
      [MASTER, revoked],
      [MASTER, withState({ ...MASTER, k: K256_OTHER }, 'revoked')],
    ]) {
      await refusal('KeyRevoked', () => reading(ringOf(fake.engine, { keys })));
      await refusal('KeyRevoked', () => reading(ringOf(fake.engine, ...keys)));
      await refusal('KeyRevoked', () => encrypting(ringOf(fake.engine, ...keys), 'm'));
    }
  });

  test('leaves alone a namesake that a jku tells apart', async () => {
    const revoked = withState({ kty: 'oct', kid: 'm', jku: 'file:///a' }, 'revoked');
    const ring = ringOf(fake.engine, revoked, { ...MASTER, jku: 'file:///b' });
    expect(reading(ring, { ...QUERY, jku: 'file:///b' }).jku).toBe('file:///b');
    await refusal('KeyRevoked', () => reading(ring, { ...QUERY, jku: 'file:///a' }));
    await refusal('KeyRevoked', () => reading(ring));
    const everywhere = ringOf(fake.engine, withState({ kty: 'oct', kid: 'm' }, 'revoked'), { ...MASTER, jku: 'x' });
    await refusal('KeyRevoked', () => reading(everywhere, { ...QUERY, jku: 'x' }));
  });

  test('is not tried where the header names no key', async () => {
    const ring = ringOf(fake.engine, withState(MASTER, 'revoked'), withState(SIGNER, 'revoked'), {
      kty: 'okp',
      kid: 'b',
      x: X_B,
    });
    await refusal('KeyNotFound', () => reading(ring, { ...QUERY, kid: null }));
    expect(verifying(ring, null).map(({ kid }) => kid)).toEqual(['b']);
  });

  test('is refused before any provider is asked', async () => {
    const ring = ringOf(fake.engine, withState(MASTER, 'revoked'), withState(SIGNER, 'revoked'), {
      name: 'vault',
      findSync: () => expect.fail('asked'),
    });
    await refusal('KeyRevoked', () => reading(ring));
    await refusal('KeyRevoked', () => verifying(ring));
  });

  test('in an answer is the end of the search, and nothing of the answer is left', async () => {
    const ring = ringOf(
      fake.engine,
      answering([withState(MASTER, 'revoked'), SIGNER], 'first'),
      answering([MASTER, SIGNER], 'second'),
    );
    await refusal('KeyRevoked', () => reading(ring));
    expect(fake.live.size).toBe(0);
    const signers = ringOf(fake.engine, answering(withState(SIGNER, 'revoked')), answering(SIGNER));
    await refusal('KeyRevoked', () => verifying(signers));
    const either = ringOf(fake.engine, SIGNER, answering(withState(SIGNER, 'revoked')));
    expect((await refusal('KeyNotFound', () => verifying(either, null))).message).toContain('names no signer');
  });

  test('can be told by raw key material', async () => {
    const key = Buffer.from(K256, 'base64');
    const publicKey = Buffer.from(X_A, 'base64');
    await refusal('KeyRevoked', () => reading(ringOf(fake.engine, answering({ key, state: 'revoked' }))));
    await refusal('KeyRevoked', () => verifying(ringOf(fake.engine, answering({ publicKey, state: 'revoked' }))));
    await refusal('KeyNotFound', () => encrypting(ringOf(fake.engine, answering({ key, state: 'decrypt-only' }))));
    const wrong = ringOf(fake.engine, answering({ key, state: 'gone' as KeyState }));
    expect((await refusal('KeyUnavailable', () => reading(wrong))).message).toContain('"state" must be one of active');
    expect(fake.live.size).toBe(0);
  });

  test('among `keys` is not trusted, whatever `trust` lists', async () => {
    const keys = ringOf(fake.engine, withState(SIGNER, 'revoked'));
    const trust = await runAsync(openTrust({ kty: 'okp', kid: 's', x: X_A }, keys, fake.engine));
    await refusal('KeyRevoked', () => verifying(trust));
  });

  test('is not trusted under another name or without one, wherever it is listed', async () => {
    const revoked = withState(SIGNER, 'revoked');
    for (const name of [{ kid: 'other' }, {}]) {
      const again: Jwk = { kty: 'okp', x: X_A, ...name };
      for (const kid of ['other', 's', null]) {
        const trust = runSync(openTrust(again, ringOf(fake.engine, revoked), fake.engine));
        expect(() => verifying(trust, kid)).toThrow(/revoked|trusted|may verify/);
        expect(() => verifying(ringOf(fake.engine, { keys: [revoked, again] }), kid)).toThrow(
          /revoked|trusted|may verify/,
        );
      }
    }
    await refusal('KeyRevoked', () => signing(ringOf(fake.engine, revoked, { ...SIGNER, kid: 'other' }), 'other'));
  });

  test('is not trusted either where a provider of `keys` revokes it, under whatever name', async () => {
    const keys = generateKeys({ encKid: 'm', signKid: 's' });
    const [master, signer] = keys.keys as [Jwk, Jwk];
    const path = join(folder, 'provided.safetensors');
    await saveFile(smallTensors(), path, { keys });
    const trust = publicJwks({ keys: [signer] }, getEngine());
    const byName = (jwk: Jwk): KeyProvider => ({
      name: 'vault',
      findSync: ({ kid, role }) => (role === 'verifying' && (kid === null || kid === jwk.kid) ? jwk : null),
    });
    const revoked = withState(trust.keys[0]!, 'revoked');
    for (const jwk of [revoked, { ...revoked, kid: 'other' }] as Jwk[]) {
      await refusal('KeyRevoked', () => safeOpen(path, { keys: [master, byName(jwk)], trust }));
      await refusal('KeyRevoked', () => safeOpenSync(path, { keys: [master, byName(jwk)], trust }));
      process.env.CRYPTOTENSOR_KEYS = JSON.stringify({ keys: [master, jwk] });
      try {
        await refusal('KeyRevoked', () => safeOpen(path, { trust }));
      } finally {
        delete process.env.CRYPTOTENSOR_KEYS;
      }
    }
    const other = withState({ kty: 'okp', kid: 'b', x: X_B }, 'revoked');
    await (await safeOpen(path, { keys: [master, byName(other)], trust })).close();
    const down: KeyProvider = { name: 'down', findSync: () => expect.fail('down') };
    await refusal('KeyUnavailable', () => safeOpen(path, { keys: [master, down], trust }));
    await refusal('UntrustedSigner', () =>
      safeOpen(path, { keys: [master, down], trust: { kty: 'okp', kid: 'b', x: X_B } }),
    );
  });

  test('must have a name', async () => {
    const error = await refusal('InvalidKey', () => ringOf(fake.engine, { kty: 'oct', k: K256, state: 'revoked' }));
    expect(error.message).toContain('a key is revoked by its name');
  });
});

test.each(['Active', '', 'disabled', 'constructor'])('a state of %j is refused', async (state) => {
  const error = await refusal('InvalidKey', () => ringOf(fake.engine, { ...MASTER, state } as unknown as Jwk));
  expect(error.message).toContain('"state" must be one of active, decrypt-only, revoked or absent');
});

test('the public half of a key keeps its state', () => {
  const { keys } = publicJwks({ keys: [withState(SIGNER, 'revoked'), MASTER] }, fake.engine);
  expect(keys).toEqual([{ kty: 'okp', alg: 'ed25519', kid: 's', state: 'revoked', x: X_A }]);
});

describe('files', () => {
  test('open, and are written, as the states of their keys say', async () => {
    const keys = generateKeys({ encKid: 'm', signKid: 's' });
    const [master, signer] = keys.keys as [Jwk, Jwk];
    const path = join(folder, 'model.safetensors');
    await saveFile(smallTensors(), path, { keys });

    const retired = { keys: keys.keys.map((jwk) => withState(jwk, 'decrypt-only')) };
    const model = await safeOpen(path, { keys: retired });
    expect((await model.getTensor('scale')).shape).toEqual([]);
    await model.close();
    const plain = join(folder, 'plain.safetensors');
    await decryptFile(path, plain, { keys: retired });
    await refusal('KeyNotFound', () => encryptFile(plain, join(folder, 'again.safetensors'), { keys: retired }));

    for (const revoked of [
      [withState(master, 'revoked'), signer],
      [master, withState(signer, 'revoked')],
    ]) {
      await refusal('KeyRevoked', () => safeOpen(path, { keys: { keys: revoked } }));
      await refusal('KeyRevoked', () => safeOpenSync(path, { keys: { keys: revoked } }));
      using ring = await loadKeys([{ keys: revoked }, keys]);
      await refusal('KeyRevoked', () => safeOpen(path, { keys: ring }));
    }
  });
});
