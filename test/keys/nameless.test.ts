import { generateKeys, publicJwks, safeOpen, safeOpenSync, saveSync, verifyFile } from 'cryptotensors';
import type { AuditEvent, Jwk, JwkSet, KeyProvider } from 'cryptotensors';
import { MAX_NAMELESS_KEYS } from '#dist/keys/select.js';
import { describe, expect, test } from 'vitest';
import { smallTensors } from '../support/model.js';
import { refusal } from '../support/errors.js';

/** Keys as `openssl` and many JWK tools make them: without a kid. */
const nameless = (jwks: JwkSet): Jwk[] =>
  jwks.keys.map((jwk) => Object.fromEntries(Object.entries(jwk).filter(([name]) => name !== 'kid')) as unknown as Jwk);
const KEYS = generateKeys();
const [MASTER, SIGNER] = nameless(KEYS) as [Jwk, Jwk];
const PUBLIC = nameless(publicJwks(KEYS))[0]!;
const OTHERS = Array.from({ length: 5 }, () => nameless(generateKeys()));
const MODEL = saveSync(smallTensors(), { keys: KEYS });

describe('keys without a kid open a file whose header names its keys', () => {
  const provider: KeyProvider = { name: 'vault', findSync: () => ({ keys: [MASTER, PUBLIC] }) };
  test.each([
    ['alone', { keys: [MASTER, SIGNER] }],
    ['apart as keys and trust', { keys: MASTER, trust: PUBLIC }],
    ['among others without one', { keys: [...OTHERS.flat(), MASTER, SIGNER] }],
    ['among others of other names', { keys: [generateKeys(), MASTER, SIGNER, generateKeys()] }],
    ['from a provider', { keys: provider }],
    ['from a provider behind one that has none', { keys: [{ name: 'none', findSync: () => null }, provider] }],
  ])('%s', async (_, options) => {
    const events: AuditEvent[] = [];
    const opened = safeOpenSync(MODEL, { ...options, onEvent: (event) => void events.push(event) });
    opened.getTensorsSync();
    await opened.close();
    await (await safeOpen(MODEL, options)).close();
    // What a header calls a key is not what the caller knows it by.
    const used = events.flatMap((event) => (event.type === 'key-used' ? [event] : []));
    const provider = JSON.stringify(options).includes('vault') ? 'vault' : null;
    expect(used).toMatchObject([
      { role: 'verifying', kid: null, provider },
      { role: 'master', kid: null, provider },
    ]);
  });

  test('and verify it', async () => {
    await verifyFile(MODEL, { keys: [MASTER, SIGNER] });
  });
});

describe('a name goes first', () => {
  test('a key of that name is taken before those without one, and those are tried after it', () => {
    const impostor = { ...OTHERS[0]![0]!, kid: KEYS.keys[0]!.kid! };
    safeOpenSync(MODEL, { keys: [OTHERS[1]![0]!, KEYS] }).getTensorsSync();
    safeOpenSync(MODEL, { keys: [impostor, MASTER, SIGNER] }).getTensorsSync();
  });

  test('what the caller names is that key and no other', async () => {
    await refusal('KeyNotFound', () => safeOpenSync(MODEL, { keys: [MASTER, SIGNER], encKid: KEYS.keys[0]!.kid! }));
    await refusal('UntrustedSigner', () =>
      safeOpenSync(MODEL, { keys: [MASTER, SIGNER], signKid: KEYS.keys[1]!.kid! }),
    );
  });

  test('a revoked name is refused, whatever else is there', async () => {
    const revoked = { kty: 'oct', kid: KEYS.keys[0]!.kid!, state: 'revoked' } as const;
    await refusal('KeyRevoked', () => safeOpenSync(MODEL, { keys: [revoked, MASTER, SIGNER] }));
  });
});

describe('a key that is not the right one', () => {
  test('does not verify: the signer is not trusted, and the message says what was tried', async () => {
    const { message } = await refusal('UntrustedSigner', () =>
      safeOpenSync(MODEL, { keys: MASTER, trust: OTHERS[0]![1]! }),
    );
    expect(message).toContain('none of the 1 without a kid verifies the signature');
  });

  test('does not unwrap: BadTag, as for a wrong key of the right name', async () => {
    await refusal('BadTag', () => safeOpenSync(MODEL, { keys: OTHERS[0]![0]!, trust: PUBLIC }));
  });

  test('is tried no more often than the bound', async () => {
    const many = Array.from({ length: MAX_NAMELESS_KEYS }, () => nameless(generateKeys())[0]!);
    await refusal('BadTag', () => safeOpenSync(MODEL, { keys: [...many, MASTER], trust: PUBLIC }));
    safeOpenSync(MODEL, { keys: [...many.slice(1), MASTER], trust: PUBLIC }).getTensorsSync();
  });
});

test('a file that names no master key opens with any of those at hand', () => {
  const model = saveSync(smallTensors(), { keys: [MASTER, SIGNER] });
  safeOpenSync(model, { keys: [generateKeys(), ...OTHERS.flat(), MASTER, SIGNER] }).getTensorsSync();
});
