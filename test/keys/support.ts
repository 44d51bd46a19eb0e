import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { CryptoTensorsError } from '#dist/errors.js';
import type { ErrorCode } from '#dist/errors.js';
import type { Engine } from '#dist/engine/types.js';
import type { KeyRing } from '#dist/keys/keyring.js';
import { loadKeyRingSync } from '#dist/keys/load.js';
import type { KeysInput } from '#dist/keys/keyring.js';
import type { Jwk } from '#dist/keys/types.js';
import { expect } from 'vitest';

export const VECTORS = new URL('../vectors/', import.meta.url);

/** Test keys: the vectors' own. */
export const K128 = 'dq8FowLXOZN/FBdNZW5iDg==';
export const K256 = 'G3gr8u1m5QYv6zlA37MZHy6+64e6ns7nJn4W3YoIuF4=';
export const K256_OTHER = 'drCv90xKtlJI9wExtjKMD1OiEyFQjNsW63q+Of4Me+E=';
export const X_A = 'gNCe9XhTUiTnbKraCiWLUF2n1YcS8CVYzwUkxZlcXkY=';
export const D_A = '5aok4xs7YSRn6lbANq6gz60UdoHnr1TLNI2Rydnv1qc=';
export const X_B = '9fnA9ou4KT5WSqhkVIX4w6lBC0e2/RRGkqqbUrQuwLQ=';
export const D_B = '0DuxZcRqP9pyyOppO5Uv64HmsPXVU72jD8SbZjNWuMo=';

export const MASTER: Jwk = { kty: 'oct', alg: 'aes256gcm', kid: 'm', k: K256 };
export const SIGNER: Jwk = { kty: 'okp', alg: 'ed25519', kid: 's', x: X_A, d: D_A };

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const vectorFile = (name: string): Uint8Array => readFileSync(new URL(name, VECTORS));
export const ringOf = (engine: Engine, ...jwks: KeysInput[]): KeyRing => loadKeyRingSync(jwks, engine);

/** The refusal that `work` ends in; fails the test if there is none, or one with another code, or one that shows a key. */
export async function refusal(code: ErrorCode, work: () => unknown): Promise<CryptoTensorsError> {
  let result: unknown;
  try {
    result = await work();
  } catch (error) {
    expect(error, inspect(error)).toBeInstanceOf(CryptoTensorsError);
    expect((error as CryptoTensorsError).code, (error as Error).message).toBe(code);
    expectNoMaterial(error);
    return error as CryptoTensorsError;
  }
  expect.fail(`expected a refusal with ${code}, but got ${typeof result}`);
}

/** Fails if any way of printing `value` shows eight characters in a row of one of the test keys' private parts. */
export function expectNoMaterial(
  value: unknown,
  secrets: readonly string[] = [K128, K256, K256_OTHER, D_A, D_B],
): void {
  const printed = [
    String(value),
    inspect(value, { depth: Infinity, showHidden: true, getters: true }),
    JSON.stringify(value, (_, member: unknown) => (typeof member === 'bigint' ? String(member) : member)) as
      string | undefined,
    value instanceof Error ? value.stack : '',
  ].join('\n');
  for (const secret of secrets) {
    const bytes = Buffer.from(secret, 'base64');
    const shapes = [secret, bytes.toString('base64url'), bytes.toString('hex'), bytes.join(', ')];
    for (const shape of shapes) {
      for (let at = 0; at + 8 <= shape.length; at += 4) expect(printed).not.toContain(shape.slice(at, at + 8));
    }
  }
}
