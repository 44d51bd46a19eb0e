import { generateRecipientKeys, publicJwks } from 'cryptotensors';
import type { Jwk } from 'cryptotensors';
import { expect, test } from 'vitest';
import { refusal } from '../support/errors.js';
import { issue } from './support.js';

test.each(['b', undefined])('a revoked key gets no licence under another name (toKid %j)', async (toKid) => {
  const [key] = publicJwks(generateRecipientKeys({ kid: 'a' })).keys as [Jwk];
  const again = { ...key, kid: 'b' };
  expect((await issue({ to: { keys: [again] } })).byteLength).toBeGreaterThan(0);
  const to = [{ ...key, state: 'revoked' as const }, again];
  await refusal('KeyRevoked', () => issue({ to, ...(toKid === undefined ? {} : { toKid }) }));
});
