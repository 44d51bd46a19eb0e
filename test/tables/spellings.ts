/** Secrets in every spelling in which they could be handed in, and whether a text repeats one. */
import { generateKeyPairSync } from 'node:crypto';
import type { JwkSet } from 'cryptotensors';

export function secretsOf(keys: JwkSet): { spellings: Record<string, string>; leaks: (text: string) => boolean } {
  const partOf = (type: string, member: 'k' | 'd'): string => keys.keys.find(({ kty }) => kty === type)![member]!;
  const k = partOf('oct', 'k');
  const d = partOf('okp', 'd');
  const raw = Buffer.from(k, 'base64');
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const spellings = {
    k,
    d,
    latin1: raw.toString('latin1'),
    hex: raw.toString('hex'),
    HEX: raw.toString('hex').toUpperCase(),
    base64: raw.toString('base64'),
    base64url: raw.toString('base64url'),
    short: raw.subarray(0, 16).toString('base64url'),
    JWK: JSON.stringify(keys.keys[0]),
    'JWK set': JSON.stringify(keys),
    'indented JWK set': JSON.stringify(keys, null, 2),
    PEM: pem,
    'body of PEM': pem.split('\n')[1]!,
    'with spaces': `  ${k} `,
    'with newlines': `\n${k}\r\n`,
  };
  const parts = [k, d].flatMap((text) => {
    const bytes = Buffer.from(text, 'base64');
    return [text.replace(/=+$/, ''), bytes.toString('base64url'), bytes.toString('hex')];
  });
  const needles = [...new Set([...Object.values(spellings), ...parts])]
    .flatMap((text) => [text.trim(), JSON.stringify(text).slice(1, -1)])
    .filter((text) => text.length >= 16);
  return { spellings, leaks: (text) => needles.some((needle) => text.includes(needle)) };
}
