import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  cachedKeyProvider,
  directKeyProvider,
  directoryKeyProvider,
  engineInfo,
  fileKeyProvider,
  httpsKeyProvider,
  listKeyProviders,
  loadKeysSync,
  registerKeyProvider,
  safeOpen,
  saveFile,
  unregisterKeyProvider,
} from 'cryptotensors';
import type { KeyProvider, KeysInput } from 'cryptotensors';
import { ringContents } from '#dist/keys/keyring.js';
import { describe, expect, test } from 'vitest';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { D_B, K256_OTHER, MASTER, SIGNER, X_B, expectNoMaterial, json } from './support.js';

const folder = temporaryFolder();
const keyFile = join(folder, 'keys.json');
writeFileSync(keyFile, json({ keys: [MASTER, SIGNER] }));
const model = join(folder, 'model.safetensors');
await saveFile(smallTensors(), model, { keys: keyFile });

/* `expectNoMaterial` prints in every way: String, util.inspect with hidden properties and getters, JSON, the stack. */

describe('nothing of a key is shown by', () => {
  const ring = loadKeysSync(keyFile);
  const providers: [string, KeyProvider][] = [
    ['a direct provider', directKeyProvider(ring)],
    ['a file provider', fileKeyProvider([keyFile])],
    ['a folder provider', directoryKeyProvider(folder)],
    ['an HTTPS provider', httpsKeyProvider('https://localhost/', { headers: { authorization: MASTER.k! } })],
    ['a cache', cachedKeyProvider(directKeyProvider(ring))],
  ];
  test.each(providers)('%s, before and after it was asked', async (_, provider) => {
    expectNoMaterial(provider);
    if (provider.name !== 'https') await (await safeOpen(model, { keys: provider })).close();
    expectNoMaterial(provider);
    registerKeyProvider(provider);
    expectNoMaterial(listKeyProviders());
    unregisterKeyProvider(provider.name);
  });

  test('a ring, its keys and its secrets', () => {
    expectNoMaterial(ring);
    const { masterKeys, signingKeys } = ringContents(ring);
    for (const key of [...masterKeys, ...signingKeys, masterKeys[0]!.secret, signingKeys[0]!.seed])
      expectNoMaterial(key);
  });

  test('an open file, what it tells, and what it shares', async () => {
    await using file = await safeOpen(model, { keys: ring });
    for (const shown of [file, file.signers(), file.metadata(), file.info('scale'), file.share(), engineInfo()]) {
      expectNoMaterial({ shown });
    }
    expectNoMaterial(await file.getTensor('scale'));
  });
});

describe('nothing of a key is shown by the refusal of', () => {
  const wrong: [string, string, KeysInput][] = [
    ['another key of that name', 'BadTag', { keys: [{ ...MASTER, k: K256_OTHER }, SIGNER] }],
    ['another signer', 'BadSignature', { keys: [MASTER, { ...SIGNER, x: X_B, d: D_B }] }],
    ['no key', 'KeyNotFound', { keys: [SIGNER] }],
    ['a stranger', 'UntrustedSigner', { keys: [MASTER, { ...SIGNER, kid: 't' }] }],
    ['a revoked key', 'KeyRevoked', { keys: [{ ...MASTER, state: 'revoked' }, SIGNER] }],
    ['a malformed key', 'InvalidKey', { keys: [{ ...MASTER, alg: 'aes128gcm' }, SIGNER] }],
    ['text that is no JSON', 'InvalidKey', json(MASTER).subarray(1)],
    [
      'a provider that throws its key',
      'KeyUnavailable',
      [
        SIGNER,
        {
          name: 'leaky',
          findSync: () => {
            throw new TypeError(`cannot use "${String(MASTER.k)}"`);
          },
        },
      ],
    ],
  ];
  test.each(wrong)('%s', async (_, code, keys) => {
    const error: unknown = await safeOpen(model, { keys }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    // What a provider threw is its own, and is the cause; all that this library says of it is checked.
    const { cause, ...fields } = error as Error & Record<string, unknown>;
    expectNoMaterial({ ...fields, message: (error as Error).message, stack: (error as Error).stack });
    if (code !== 'KeyUnavailable') expectNoMaterial(cause);
  });
});
