import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ringContents } from '#dist/keys/keyring.js';
import type { KeyRing, KeysInput } from '#dist/keys/keyring.js';
import { openTrust } from '#dist/keys/trust.js';
import { runAsync, runSync } from '#dist/twin.js';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { MASTER, SIGNER, X_A, X_B, base64, json, refusal, ringOf } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-trust-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let fake: FakeEngine;
let keys: KeyRing;
beforeEach(() => {
  fake = new FakeEngine();
  keys = ringOf(fake.engine, MASTER, SIGNER);
});
const trusted = (ring: KeyRing): (string | null)[] => ringContents(ring).signingKeys.map(({ kid }) => kid);
const PUBLIC_B = { kty: 'okp', kid: 'b', x: X_B };

test('by default, the signing keys in `keys` are trusted, and their providers', async () => {
  const vault = { name: 'vault', findSync: () => null };
  const trust = await runAsync(openTrust(undefined, ringOf(fake.engine, keys, vault), fake.engine));
  expect(trusted(trust)).toEqual(['s']);
  expect(trust.providers).toEqual(['vault']);
  expect(base64(ringContents(trust).signingKeys[0]!.publicKey)).toBe(X_A);
});

test('`trust` replaces them', () => {
  expect(trusted(runSync(openTrust(PUBLIC_B, keys, fake.engine)))).toEqual(['b']);
  expect(trusted(runSync(openTrust([], keys, fake.engine)))).toEqual([]);
});

test('private parts and master keys that come along are not kept', async () => {
  const path = join(folder, 'all.json');
  writeFileSync(path, json({ keys: [MASTER, SIGNER, PUBLIC_B] }));
  const before = fake.live.size;
  const inputs: KeysInput[] = [path, [MASTER, SIGNER, PUBLIC_B]];
  for (const input of inputs) {
    const trust = await runAsync(openTrust(input, keys, fake.engine));
    expect(fake.live.size).toBe(before);
    expect(trust.masterKeys).toEqual([]);
    expect(trust.signingKeys.map(({ kid, hasPrivate }) => [kid, hasPrivate])).toEqual([['s', false], ['b', false]]); // prettier-ignore
  }
});

test('a ring that is trusted keeps its keys, and trust outlives it', () => {
  const owner = ringOf(fake.engine, SIGNER);
  const trust = runSync(openTrust(owner, keys, fake.engine));
  expect(owner.signingKeys[0]!.hasPrivate).toBe(true);
  owner.dispose();
  expect(trusted(trust)).toEqual(['s']);
});

test('messages speak of options.trust', async () => {
  const error = await refusal('InvalidKey', () => runSync(openTrust(json({ kty: 'okp' }), keys, fake.engine)));
  expect(error.message).toContain('the key in options.trust');
  expect(() => runSync(openTrust(5 as unknown as string, keys, fake.engine))).toThrow('trust must be a path');
});
